"""Images of one file per band, by a pattern such as `*_{band}.tif`."""

import glob
import logging
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from geocompose.data.files.band_files import band_files
from geocompose.data.files.band_patterns import one_per_band
from geocompose.data.preflight import preflight
from geocompose.data.sources import GeoTiffClassification, GeoTiffSegmentation
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.inference.listing import list_images
from tests.kit.both_readers import BOTH, Read, by_prediction
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.data_rasters import arguments, image, label, write

NAMES = ["B02", "B03", "B04", "B8A"]


def bands_of(root: Path, key: str, seed: int = 0, names: list[str] = NAMES, form: str = "{key}_{band}.tif") -> None:
    for band, pixels in zip(names, image(seed, bands=len(names)), strict=True):
        write(root / form.format(key=key, band=band), pixels)


def scenes(root: Path, **given: str) -> Path:
    """Four images of a file per band, and their labels beside them."""
    for seed, key in enumerate("abcd"):
        bands_of(root, key, seed, **given)
        write(root / f"{key}_lab.tif", label(seed))
    return root


def declared(root: Path, **changes) -> GeoTiffSegmentation:
    return GeoTiffSegmentation(**arguments(root, images="*_{band}.tif", **changes))


@pytest.mark.parametrize(
    ("pattern", "files", "images"),
    [
        ("*_{band}.tif", ["a_B3.tif", "a_B10.tif", "a_B2.tif", "b_B2.tif"], ["a_{B2,B3,B10}.tif", "b_{B2}.tif"]),
        ("*_{band}.tif", ["a_b_NIR_NARROW.tif", "a_b_RED.tif"], ["a_b_{RED,NIR_NARROW}.tif"]),
        ("*_{band}.tif", ["a_red.tif", "a_slope.tif", "a_x2.tif", "a_x10.tif"], ["a_{red,slope,x2,x10}.tif"]),
        ("*/{band}.jp2", ["s/B04.jp2", "s/B02.jp2", "t/B02.jp2"], ["s/{B02,B04}.jp2", "t/{B02}.jp2"]),
        ("{band}/*.tif", ["B02/a.tif", "B03/a.tif", "B02/b.tif"], ["{B02,B03}/a.tif", "{B02}/b.tif"]),
        ("{band}/*_{band}.tif", ["B02/a_B02.tif", "B03/a_B03.tif", "B03/a_B02.tif"], ["{B02,B03}/a_{B02,B03}.tif"]),
        ("**/*_{band}_10m.tif", ["x/y/a_B02_10m.tif", "a_B03_10m.tif"], ["a_{B03}_10m.tif", "x/y/a_{B02}_10m.tif"]),
        ("T[0-9]_?_{band}.tif", ["T1_a_B02.tif", "T1_a_B03.tif"], ["T1_a_{B02,B03}.tif"]),
    ],
)
def test_files_of_equal_names_but_for_the_band_are_one_image(pattern, files, images):
    root = Path("/data")
    assert one_per_band([root / name for name in files], root, pattern) == [root / name for name in images]


def test_the_bands_of_an_image_are_its_files(tmp_path):
    source = declared(scenes(tmp_path))
    assert source.collection.band_names == NAMES
    assert [scene.name for scene in source.collection.scenes] == [f"{key}_{{band}}.tif" for key in "abcd"]
    pixels, valid = source.collection.scenes[1].read_image(Window(0, 0, 40, 60), [3, 0])
    np.testing.assert_array_equal(pixels, image(1, bands=4)[[3, 0]])
    assert valid.all()
    assert len(source.input_files) == 4 * (len(NAMES) + 1)
    assert all(path.is_file() for path in source.input_files)


def test_band_names_choose_and_order_and_other_bands_are_not_opened(tmp_path):
    root = scenes(tmp_path)
    write(root / "a_B11.tif", image(bands=1)[:, :20, :30])  # of 20 m
    with pytest.raises(UserError, match=r"a_B11\.tif has 20 x 30 pixels"):
        _ = declared(root).collection
    assert declared(root, band_names=["RED", "BLUE"]).collection.band_names == ["B04", "B02"]
    assert preflight(declared(root, bands=["NIR_NARROW"]), list).inputs.bands == ("B8A",)
    with pytest.raises(UserError, match=r"a_\{.*\}\.tif has no file of the band SWIR_2 \(data\.band_names\)"):
        _ = declared(root, band_names=["RED", "SWIR_2"]).collection


def test_what_a_pattern_found_is_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "geocompose"):
        _ = declared(scenes(tmp_path)).collection
    said = f"{tmp_path / 'a_B02.tif'} and 3 further files: each band of the image is a file: B02, B03, B04, B8A."
    assert caplog.messages == [said]


def test_an_image_that_lacks_a_band_is_named(tmp_path):
    (scenes(tmp_path) / "c_B03.tif").unlink()
    with pytest.raises(UserError, match=r"c_\{band\}\.tif has other bands than 3 other images: it has no GREEN"):
        preflight(declared(tmp_path), list)


@pytest.mark.parametrize("kind", ["size", "place", "bands", "complex"])
def test_a_file_of_one_band_that_does_not_fit_is_named(tmp_path, kind):
    root = scenes(tmp_path)
    pixels, profile = image(bands=1), {}
    if kind == "size":
        pixels = pixels[:, :30]
    elif kind == "place":
        profile["transform"] = Affine(30, 0, 600_000, 0, -30, 5_000_000)
    elif kind == "bands":
        pixels = image(bands=3)
    else:
        pixels = pixels.astype("complex64")
    write(root / "b_B04.tif", pixels, **profile)
    with pytest.raises(UserError, match=r"b_B04\.tif (has|lies|holds)"):
        preflight(declared(root), list)


@pytest.mark.parametrize("row", ["{}", "{}.tif", "{}_{{band}}.tif"])
def test_tables_and_lists_name_such_images(tmp_path, row):
    for number, key in enumerate("abcdef"):
        bands_of(tmp_path, key, number)
    table = "\n".join(["file,label", *(f"{row.format(key)},{'xy'[at % 2]}" for at, key in enumerate("abcdef"))])
    (tmp_path / "labels.csv").write_text(table)
    source = GeoTiffClassification(root=str(tmp_path), images="*_{band}.tif", table="labels.csv", tile_px=64)
    assert [scene.name for scene in source.collection.scenes] == [f"{key}_{{band}}.tif" for key in "abcdef"]
    lists = {}
    for split, keys in {"train": "ab", "val": "c", "test": "d"}.items():
        lists[split] = f"{split}.txt"
        (tmp_path / lists[split]).write_text("\n".join(keys if "band" in row else [f"{key}_B04.tif" for key in keys]))
    for seed, key in enumerate("abcdef"):
        write(tmp_path / f"{key}_lab.tif", label(seed))
    regions = declared(tmp_path, split_files=lists).collection.regions
    assert {split: len(found) for split, found in regions.items()} == {"train": 2, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("images", "form"), [("*/*_{band}.tif", "x/{key}_{band}.tif"), ("*/*/{band}.tif", "x/{key}/{band}.tif")]
)
def test_a_folder_is_the_class_of_such_images(tmp_path, images, form):
    for seed, key in enumerate("abcd"):
        bands_of(tmp_path, key, seed, form=form.replace("x/", f"{'xy'[seed % 2]}/"))
    collection = GeoTiffClassification(root=str(tmp_path), images=images, tile_px=64).collection
    assert list(collection.labels.target.names) == ["x", "y"]
    assert len(collection.scenes) == 4


@BOTH
def test_both_readers_read_a_pattern_alike(tmp_path: Path, read: Read) -> None:
    bands_of(tmp_path, "a")
    bands_of(tmp_path, "a_1", 1)
    write(tmp_path / "a_lab.tif", label())
    (tmp_path / "a_lab.tif").unlink()
    seen = read(tmp_path / "a_{band}.tif", ["RED", "BLUE"])
    np.testing.assert_array_equal(seen.pixels, image(0, bands=4)[[2, 0]])
    write(tmp_path / "a_B04.tif", image(0, bands=4)[2], nodata=float(image(0, bands=4)[2, 5, 6]))
    assert not read(tmp_path / "a_{band}.tif", ["RED", "BLUE"]).valid[5, 6]
    assert read(tmp_path / "a_{band}.tif", ["BLUE"]).valid.all()
    write(tmp_path / "a_s1_VV.tif", image(9, bands=1))
    more = read(tmp_path / "a_{band}.tif", ["BLUE", "VV"], more=[tmp_path / "a_s1_{band}.tif"])
    np.testing.assert_array_equal(more.pixels[1], image(9, bands=1)[0])


def test_frames_of_a_file_per_band(tmp_path):
    for band, pixels in zip("AB", image(bands=6).reshape(2, 3, 40, 60), strict=True):
        write(tmp_path / f"a_{band}.tif", pixels)
    seen = by_prediction(tmp_path / "a_{band}.tif", ["B", "A"], num_frames=3)
    np.testing.assert_array_equal(seen.pixels, image(bands=6).reshape(2, 3, 40, 60)[::-1])


def test_predictions_of_many_images_find_such_files(tmp_path):
    folder = tmp_path / "of {5} [bands]"
    for key in "ab":
        bands_of(folder, key)
    found = list_images(f"{glob.escape(str(tmp_path))}/*/*_{{band}}.tif")
    assert [image.name for image in found] == [f"{folder.name}/{key}_{{band}}.tif" for key in "ab"]
    assert list(band_files(found[1].path).values()) == [folder / f"b_{band}.tif" for band in NAMES]
    (only,) = list_images(str(tmp_path / "x_{B04,B02}.tif"))
    assert only.name == "x_{band}.tif"
    assert list(band_files(folder / "a_{band}.tif")) == NAMES


def test_no_such_files_is_answered(tmp_path):
    with pytest.raises(UserError, match=r"There is no raster .*x_\{band\}\.tif"):
        band_files(tmp_path / "x_{band}.tif")
    with pytest.raises(UserError, match=r"data\.images=\*_\{band\}\.jp2 matches nothing"):
        _ = GeoTiffSegmentation(**arguments(scenes(tmp_path), images="*_{band}.jp2")).collection
    with pytest.raises(UserError, match=r"data\.labels=\*_\{band\}\.tif must name one raster"):
        _ = GeoTiffSegmentation(**arguments(tmp_path, images="*_{band}.tif", labels="*_{band}.tif")).collection


def test_fit_evaluate_and_predict_read_a_file_per_band(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = scenes(tmp_path / "data")
    given = [
        f"data.root={root}",
        "data.images='*_{band}.tif'",
        "data.labels=*_lab.tif",
        "data.class_names=[land,water]",
    ]
    shared = [word for word in SMALL if not word.startswith(("data.num_scenes", "data.scene_px"))]
    run(*shared, "data=geotiff", *given, "trainer.max_epochs=1", "data.tile_px=32")
    folder = only_run("default")
    record = record_of(folder)
    assert record["data"]["bands"] == NAMES
    assert any("each band of the image is a file" in line for line in record["said"])
    run("action=evaluate", f"action.run={folder}")
    run("action=predict", f"action.run={folder}", f"action.input='{root}/a_{{band}}.tif'", "action.output=map.tif")
    assert Path("map.tif").is_file()
    (root / "b_B03.tif").unlink()
    with pytest.raises(UserError, match=r"b_\{band\}\.tif has no band 'B03'"):
        run("action=evaluate", f"action.run={folder}")
    with pytest.raises(UserError, match=r"b_B02\.tif.* has no band 'B03'"):
        run("action=predict", f"action.run={folder}", f"action.input='{root}/b_{{band}}.tif'", "action.output=m.tif")
