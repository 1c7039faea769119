"""Splits that show the same ground or the same pixels are refused unless that is stated."""

import logging

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import transform

from geocompose.data.overlap import ground_overlaps
from geocompose.data.preflight import preflight
from geocompose.data.scene import ArrayScene
from geocompose.data.split import SPLITS
from geocompose.data.window import Region, Window
from geocompose.errors import UserError
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, write
from tests.kit.labelled_images import classified, folders

UTM33 = {"crs": "EPSG:32633"}


def placed(root, corners, seeds=None, nodata=None, **profile):
    """Write an image and a label at each of these upper left corners, in units of 100 km and metres."""
    for i, (x, y) in enumerate(corners):
        at = UTM33 | {"transform": from_origin(500_000 + x, 5_000_000 + y, 30, 30)} | profile
        seed = i if seeds is None else seeds[i]
        write(root / f"{i}_img.tif", image(seed), BANDS, nodata=nodata, **at)
        write(root / f"{i}_lab.tif", label(seed), **at)
    for split, i in zip(SPLITS, range(3), strict=True):
        (root / f"{split}.txt").write_text(f"{i}_img.tif")
    return root


def of(root, **changes):
    lists = {split: f"{split}.txt" for split in SPLITS}
    return geotiff(**arguments(root, split_files=lists, **changes))


APART = [(0, 0), (5000, 0), (0, 5000)]


def test_images_apart_are_accepted(tmp_path, caplog):
    of(placed(tmp_path, APART)).setup()
    assert "overlap" not in caplog.text


def test_images_side_by_side_are_accepted(tmp_path, caplog):
    of(placed(tmp_path, [(0, 0), (1800, 0), (0, 1200 - 10)])).setup()  # 60 x 40 pixels; a third of a pixel shared
    assert "overlap" not in caplog.text


@pytest.mark.parametrize(("shift", "share"), [((900, 0), "50%"), ((1500, 1000), "3%"), ((0, 30), "98%")])
def test_images_that_overlap_are_refused_with_their_names_and_share(tmp_path, shift, share):
    root = placed(tmp_path, [(0, 0), shift, (0, 9000)])
    with pytest.raises(UserError, match=rf"0_img\.tif in train and 1_img\.tif in val \({share}\).*allow_overlap=true"):
        of(root).setup()
    with pytest.raises(UserError, match="overlap on the ground"):  # before a pixel is read, and before torch
        preflight(of(root)._source, list)


def test_what_is_meant_is_said(tmp_path, caplog):
    root = placed(tmp_path, [(0, 0), (900, 0), (0, 9000)])
    of(root, allow_overlap=True).setup()
    assert (
        "overlap on the ground: 0_img.tif in train and 1_img.tif in val (50%). data.allow_overlap=true" in caplog.text
    )


def test_a_model_that_is_scored_is_told_and_not_refused(tmp_path, caplog):
    data = of(placed(tmp_path, [(0, 0), (900, 0), (0, 9000)]))
    data.only_scored = True
    data.setup()
    assert "where the model was trained on one of them" in caplog.text


def test_images_that_all_begin_at_one_place_are_said(tmp_path, caplog):
    of(placed(tmp_path, [(0, 0)] * 3)).setup()
    assert "All 3 images begin at the same place" in caplog.text


def test_a_series_of_one_place_split_by_its_dates_is_refused_until_that_is_stated(tmp_path, caplog):
    for number, (split, year) in enumerate(zip(SPLITS, (2019, 2020, 2021), strict=True)):
        write(tmp_path / f"{year}0601_img.tif", image(number), BANDS)
        write(tmp_path / f"{year}0601_lab.tif", label(number))
        (tmp_path / f"{split}.txt").write_text(f"{year}0601_img.tif")
    with pytest.raises(UserError, match=r"20190601_img\.tif in train and .*allow_overlap=true"):
        of(tmp_path).setup()
    of(tmp_path, allow_overlap=True).setup()
    assert "data.allow_overlap=true says that this is meant" in caplog.text


def test_images_in_other_coordinate_systems_are_compared(tmp_path):
    (x,), (y,) = transform("EPSG:32633", "EPSG:32634", [500_000 + 900], [5_000_000])
    root = placed(tmp_path, APART)
    at = {"crs": "EPSG:32634", "transform": from_origin(x, y, 30, 30)}
    write(root / "1_img.tif", image(1), BANDS, **at)
    write(root / "1_lab.tif", label(1), **at)
    with pytest.raises(UserError, match=r"0_img\.tif in train and 1_img\.tif in val"):
        of(root).setup()


@pytest.mark.parametrize("crs", [None, 'LOCAL_CS["mine",UNIT["metre",1]]'])
def test_images_without_a_place_on_earth_are_compared_as_far_as_they_can_be(tmp_path, crs):
    data = of(placed(tmp_path, [(0, 0), (900, 0), (0, 9000)], crs=crs))
    if crs is None:
        data.setup()
    else:
        with pytest.raises(UserError, match="overlap on the ground"):
            data.setup()


def test_blocks_of_one_raster_do_not_overlap(tmp_path, caplog):
    write(tmp_path / "a_img.tif", image(0), BANDS)
    write(tmp_path / "a_lab.tif", label(0))
    geotiff(**arguments(tmp_path)).setup()
    assert "overlap" not in caplog.text


def test_identical_pixels_are_refused_wherever_they_lie(tmp_path, caplog):
    root = placed(tmp_path, APART, seeds=[0, 1, 0])
    with pytest.raises(UserError, match=r"identical pixels: 0_img\.tif in train and 2_img\.tif in test.*data\.groups"):
        of(root).setup()
    with pytest.raises(UserError, match="identical pixels"):
        preflight(of(root)._source, list)
    of(root, allow_overlap=True).setup()
    assert "identical pixels" in caplog.text


def test_a_copy_that_declares_other_nodata_is_one(tmp_path):
    root = placed(tmp_path, APART, seeds=[0, 1, 0])
    with rasterio.open(root / "2_img.tif", "r+") as raster:
        raster.nodata = float(raster.read(1)[3, 4])
    with pytest.raises(UserError, match=r"identical pixels: 0_img\.tif in train and 2_img\.tif in test"):
        of(root).setup()


def test_a_copy_whose_pixels_without_data_hold_other_numbers_is_one(tmp_path):
    root = placed(tmp_path, APART, seeds=[0, 1, 0])
    for name, fill in (("0_img.tif", 1.5), ("2_img.tif", 2.5)):
        with rasterio.open(root / name, "r+") as raster:
            pixels = raster.read()
            pixels[:, :5] = fill
            raster.write(pixels)
            raster.nodata = fill
    with pytest.raises(UserError, match=r"identical pixels: 0_img\.tif in train and 2_img\.tif in test"):
        of(root).setup()


def test_identical_pixels_within_a_split_and_images_without_data_are_accepted(tmp_path):
    root = placed(tmp_path, [*APART, (0, 9000), (9000, 0)], seeds=[0, 1, 2, 0, 1], nodata=0)
    (root / "train.txt").write_text("0_img.tif\n3_img.tif")
    for i in (3, 1):
        at = UTM33 | {"transform": from_origin(600_000 + 9000 * i, 5_000_000, 30, 30)}
        write(root / f"{i}_img.tif", image(i) * (i == 1), BANDS, nodata=0, **at)
        write(root / f"{i}_lab.tif", label(i), **at)
    of(root).setup()


def test_identical_images_of_a_table_or_folders_are_refused(tmp_path):
    root = folders(tmp_path, count=4)
    for i in range(4):
        write(root / "water" / f"{i}.tif", image(0, 16, 16), BANDS)
        write(root / "forest" / f"{i}.tif", image(1, 16, 16), BANDS)
    with pytest.raises(UserError, match="identical pixels"):
        classified(root).setup()


def test_the_one_overlap_among_ten_thousand_images_is_found():
    rng = np.random.default_rng(0)
    at = [from_origin(500_000 + 10_000 * (i % 100), 5_000_000 - 10_000 * (i // 100), 10, 10) for i in range(10_000)]
    at[9_999] = at[17]  # the one that overlaps
    scenes = [ArrayScene(f"{i}", 512, 512, ["RED"], lambda: None, "EPSG:32633", at[i]) for i in range(10_000)]
    parts = np.split(rng.permutation(9_998) + 1, [6_000, 8_000])
    regions = {
        split: [Region(int(i), Window(0, 0, 512, 512)) for i in part if i not in (17, 9_999)]
        for split, part in zip(SPLITS, parts, strict=True)
    }
    regions["train"].append(Region(17, Window(0, 0, 512, 512)))
    regions["test"].append(Region(9_999, Window(0, 0, 512, 512)))
    (found,) = ground_overlaps(scenes, regions)
    assert (found.first, found.second, found.share) == (("train", "17"), ("test", "9999"), 1.0)


@pytest.fixture(autouse=True)
def _hear(caplog):
    caplog.set_level(logging.INFO, "geocompose")
