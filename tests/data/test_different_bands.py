"""Images of one data set with different bands: which are read must not depend on the file that comes first."""

from pathlib import Path

import pytest

from geocompose.data.preflight import preflight
from geocompose.data.sources import GeoTiffClassification, GeoTiffSegmentation
from geocompose.errors import UserError
from tests.kit.command import SMALL, run
from tests.kit.data_rasters import BANDS, arguments, image, pair, write


def images(root: Path, **bands: list[str]) -> Path:
    """Write one pair per keyword, with these bands."""
    for seed, (key, names) in enumerate(bands.items()):
        pair(root, key, seed)
        write(root / f"{key}_img.tif", image(seed, bands=len(names)), names)
    return root


def every(available):
    return list(available)


FOUR = BANDS[:4]


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (FOUR[:3], r"it has no NIR_NARROW\..*data\.bands=\[BLUE,GREEN,RED\]"),
        (BANDS, r"it has also SWIR_1\..*data\.bands=\[BLUE,GREEN,RED,NIR_NARROW\]"),
        ([*FOUR[1:], "DEM"], r"it has no BLUE and also DEM\..*data\.bands=\[GREEN,RED,NIR_NARROW\]"),
    ],
)
@pytest.mark.parametrize("place", range(4))
def test_a_file_with_other_bands_than_the_rest_is_named(tmp_path, odd, message, place):
    names = [odd if at == place else FOUR for at in range(4)]
    source = GeoTiffSegmentation(**arguments(images(tmp_path, **dict(zip("abcd", names, strict=True)))))
    with pytest.raises(UserError, match=rf"{'abcd'[place]}_img\.tif has other bands than 3 other images: {message}"):
        preflight(source, every)
    stated = preflight(source, lambda available: ["GREEN", "RED"])
    assert stated.inputs.bands == ("GREEN", "RED")


def test_other_names_and_another_order_are_the_same_bands(tmp_path):
    source = GeoTiffSegmentation(**arguments(images(tmp_path, a=FOUR, b=FOUR[::-1], c=["B2", "B3", "B4", "B8A"])))
    assert preflight(source, every).inputs.bands == tuple(FOUR)


def test_images_of_one_label_are_compared_too(tmp_path):
    for number, names in enumerate([FOUR[:3], FOUR, FOUR, FOUR]):
        write(tmp_path / "ab"[number % 2] / f"{number}.tif", image(number, 8, 8, len(names)), names)
    with pytest.raises(UserError, match=r"a/0\.tif has other bands than 3 other images: it has no NIR_NARROW"):
        preflight(GeoTiffClassification(root=str(tmp_path), tile_px=8), every)


def test_fit_names_the_first_file_that_lacks_a_band(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = images(tmp_path / "data", a=FOUR[:3], b=FOUR, c=FOUR, d=FOUR)
    given = [f"data.{key}={value}" for key, value in arguments(root).items() if isinstance(value, str | int)]
    shared = [word for word in SMALL if not word.startswith(("data.num_scenes", "data.scene_px", "data."))]
    with pytest.raises(UserError, match=r"a_img\.tif has other bands than 3 other images"):
        run(*shared, "data=geotiff", *given, "data.class_names=[land,water]")


def test_complex_numbers_are_refused_before_a_pixel_is_read(tmp_path, monkeypatch):
    root = images(tmp_path, a=FOUR, b=FOUR, c=FOUR)
    write(root / "b_img.tif", image(1, bands=4).astype("complex64"), FOUR)
    monkeypatch.setattr("geocompose.data.rasters.stored.read_bands", None)
    with pytest.raises(UserError, match=r"b_img\.tif holds complex numbers \(complex64\)"):
        preflight(GeoTiffSegmentation(**arguments(root)), every)
