"""What does not count is counted and named: files, tiles and pixels, for every split."""

import json
import logging

import numpy as np
import pytest
import rasterio

from geocompose.data.left_out import TileCount
from geocompose.data.window import Region, Window, grid
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.data_modules import geotiff, geotiff_regression
from tests.kit.data_rasters import BANDS, arguments, image, label, pair, write
from tests.kit.labelled_images import classified, flat, folders, from_table, table


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "geocompose")

    def of(data) -> str:
        data.setup()
        return "\n".join(caplog.messages)

    return of


def pairs(root, count=5):
    for i in range(count):
        pair(root, str(i), i)
    return root


def test_nothing_is_said_where_nothing_is_left_out(tmp_path, said):
    data = geotiff(**arguments(pairs(tmp_path)))
    assert "Left out" not in said(data)
    assert "that count" not in said(data)
    described = data.describe()
    assert described["left_out"] == {}
    for split in described["splits"].values():
        assert split["left_out"] == {
            "tiles_without_label": 0,
            "share_of_pixels_that_count": 1.0,
            "pixels_with_unlisted_values": 0,
        }


def test_labels_without_an_image_are_named(tmp_path, said):
    write(pairs(tmp_path) / "9_lab.tif", label())
    data = geotiff(**arguments(tmp_path))
    assert "1 label without an image that data.images=*_img.tif matches (9_lab.tif)" in said(data)
    assert data.describe()["left_out"]["labels_without_image"] == {"count": 1, "names": ["9_lab.tif"]}


@pytest.mark.parametrize("ending", ["TIF", "tiff", "Tiff"])
def test_files_of_another_ending_are_named_with_the_pattern_that_matches_them(tmp_path, said, ending):
    pairs(tmp_path)
    for kind, array in (("img", image(7)), ("lab", label(7))):
        write(tmp_path / "x.tif", array, BANDS[: array.ndim + 2 if kind == "img" else 0]).rename(
            tmp_path / f"7_{kind}.{ending}"
        )
    told = said(geotiff(**arguments(tmp_path)))
    assert f"data.images=*_img.tif (7_img.{ending})" in told
    assert f"data.labels=*_lab.tif (7_lab.{ending})" in told
    if ending == "TIF":
        wide = {"images": "*_img.[tT][iI][fF]", "labels": "*_lab.[tT][iI][fF]"}
        assert len(geotiff(**arguments(tmp_path, **wide)).scenes) == 6


def test_images_that_no_list_or_table_has_are_named(tmp_path, said):
    pairs(tmp_path)
    for name, key in (("train", 0), ("val", 1), ("test", 2)):
        (tmp_path / f"{name}.txt").write_text(f"{key}_img.tif")
    lists = {name: f"{name}.txt" for name in ("train", "val", "test")}
    assert "2 images that no file of data.split_files lists (3_img.tif, 4_img.tif)" in said(
        geotiff(**arguments(tmp_path, split_files=lists))
    )
    root = table(flat(tmp_path / "t"), ("file", "label"), *[(f"chip_{i}.tif", "ab"[i % 2]) for i in range(4)])
    data = from_table(root)
    assert "has no row (chip_4.tif, chip_5.tif)" in said(data)
    assert data.describe()["left_out"]["images_without_label"]["count"] == 2


def test_tiles_without_a_labelled_pixel_and_the_share_that_counts(tmp_path, said):
    pairs(tmp_path)
    values = label(0)
    values[:16, :32] = -1  # two tiles of 16
    write(tmp_path / "0_lab.tif", values)
    data = geotiff(**arguments(tmp_path))
    told = said(data)
    split = next(name for name, regions in data.regions.items() if any(r.scene == 0 for r in regions))
    assert f"2 of {data.num_tiles(split)} in {split} (0_img.tif at rows 0-15, columns 0-15" in told
    described = data.describe()["splits"][split]
    assert described["left_out"]["tiles_without_label"] == 2
    pixels = 2400 * described["scenes"]
    assert described["left_out"]["share_of_pixels_that_count"] == pytest.approx(1 - 512 / pixels)
    assert "Pixels that count, with image data and a label" in told


def test_unlisted_values_are_counted(tmp_path, said):
    data = geotiff(**arguments(pairs(tmp_path), label_values=[0, 5], unlisted_labels="ignore"))
    assert "pixels with values that data.label_values does not list" in said(data)
    ones = sum(int(label(i).sum()) for i in range(5))
    splits = data.describe()["splits"].values()
    assert sum(split["left_out"]["pixels_with_unlisted_values"] for split in splits) == ones


def test_numbers_and_images_are_counted_too(tmp_path, said):
    for i in range(5):
        write(tmp_path / f"{i}_img.tif", image(i), BANDS)
        numbers = image(i + 50, bands=1)
        numbers[:, :16, :16] = np.nan
        write(tmp_path / f"{i}_lab.tif", numbers)
    given = arguments(tmp_path, variables=["height"])
    del given["class_names"]
    assert "3 of 36 in train" in said(geotiff_regression(**given))
    root = folders(tmp_path / "images")
    with rasterio.open(root / "water" / "2.tif", "r+") as raster:
        raster.nodata = 0
        raster.write(np.zeros((5, 16, 16), "float32"))
    assert "images without a label or without data: 1 of" in said(classified(root))


@pytest.mark.parametrize(("height", "width", "tile_px", "cell_px"), [(40, 60, 16, 10), (33, 7, 5, 13), (8, 8, 16, 3)])
def test_tiles_are_counted_whatever_windows_are_read(height, width, tile_px, cell_px):
    region = Region(0, Window(3, 5, height, width))
    mask = np.random.default_rng(0).random((3 + height, 5 + width)) < 0.3
    count = TileCount(region, tile_px)
    for _, window in grid(region, cell_px):
        count.add(window, mask[window.slices])
    assert count.counts.ravel().tolist() == [int(mask[tile.window.slices].sum()) for tile in grid(region, tile_px)]


def test_a_run_records_what_it_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(pairs(tmp_path / "data") / "9_lab.tif", label())
    small = [each for each in SMALL if not each.startswith(("data.num_scenes", "data.scene_px"))]
    patterns = ("data=geotiff", "data.root=data", "data.images=*_img.tif", "data.labels=*_lab.tif")
    run(*small, *patterns, "data.class_names=[land,water]", "study=s")
    record = record_of(only_run("s"))
    assert sum("9_lab.tif" in line for line in record["said"]) == 1
    assert "left_out" in json.dumps(record["data"]["splits"]["val"])
