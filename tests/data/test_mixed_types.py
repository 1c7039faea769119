"""Bands of different types in one image, as of a VRT that stacks files: each is read as its own file has it."""

from pathlib import Path

import numpy as np
import pytest

from geocompose.data.rasters.bands import BandNaming
from geocompose.data.rasters.image import RasterImage
from geocompose.data.window import Window
from tests.kit.both_readers import BOTH, Read, by_prediction, by_training
from tests.kit.inference_rasters import write
from tests.kit.vrts import gdal_type, vrt_band, write_vrt

NAMES = ["BLUE", "GREEN", "RED", "NIR_NARROW"]
MIXED = {
    "whole numbers and fractions": ["uint16", "uint16", "uint16", "float32"],
    "fractions first": ["float32", "uint16"],
    "signed and unsigned": ["int16", "uint8"],
    "unsigned and signed": ["uint16", "int16"],
    "doubles and long": ["float64", "uint32"],
    "long and short": ["int32", "uint8", "float64"],
}
# Of each type, what a cast to a neighbour's would change: its ends, and fractions where it has them.
ENDS = {
    "uint8": [0, 255],
    "uint16": [0, 65535],
    "int16": [-32768, 32767],
    "uint32": [0, 4294967295],
    "int32": [-2147483648, 2147483647],
    "float32": [-0.75, 1e-4],
    "float64": [-1e30, 0.1],
}


def planes(dtypes: list[str]) -> list[np.ndarray]:
    drawn = np.random.default_rng(3)
    found = []
    for dtype in dtypes:
        whole = np.issubdtype(dtype, np.integer)
        values = drawn.integers(1, 100, (6, 7)) if whole else drawn.normal(size=(6, 7))
        plane = values.astype(dtype)
        plane[2, 3], plane[5, 6] = ENDS[dtype]
        found.append(plane)
    return found


def stacked(folder: Path, bands: list[np.ndarray], nodata: dict[int, str] | None = None) -> Path:
    """Write a VRT whose bands are files of one band each."""
    texts = []
    for number, band in enumerate(bands, 1):
        write(folder / f"src{number}.tif", band[None])
        kind, declared = gdal_type(str(band.dtype)), (nodata or {}).get(number)
        texts.append(vrt_band(number, NAMES[number - 1], kind, f"src{number}.tif", 1, nodata=declared, relative=True))
    return write_vrt(folder / "a.vrt", texts, 6, 7)


@pytest.mark.parametrize("case", list(MIXED))
def test_both_readers_tell_each_band_as_its_file_has_it(tmp_path: Path, case: str) -> None:
    bands = planes(MIXED[case])
    path = stacked(tmp_path, bands)
    expected = np.stack([band.astype("float32") for band in bands])
    for order in (list(range(len(bands))), list(reversed(range(len(bands)))), [len(bands) - 1]):
        names = [NAMES[place] for place in order]
        training, prediction = by_training(path, names), by_prediction(path, names)
        np.testing.assert_array_equal(training.pixels, expected[order])
        np.testing.assert_array_equal(prediction.pixels, training.pixels)
        assert training.valid.all()
        assert prediction.valid.all()


@pytest.mark.parametrize("case", list(MIXED))
def test_a_window_is_the_same_from_the_file_and_from_memory(tmp_path: Path, case: str) -> None:
    bands = planes(MIXED[case])
    path, window, places = stacked(tmp_path, bands), Window(2, 1, 4, 5), list(range(len(bands)))
    kept = RasterImage(path, BandNaming())
    kept.keep_decoded = True
    kept.read(window, places[1:])  # so that what is kept grows band by band
    for image in (RasterImage(path, BandNaming()), kept):
        pixels, _ = image.read(window, places)
        np.testing.assert_array_equal(pixels, np.stack([band[window.slices].astype("float32") for band in bands]))
    assert kept.decoded_bytes(len(bands)) >= sum(band.nbytes for band in bands)


@BOTH
def test_each_band_has_the_nodata_value_of_its_own_type(tmp_path: Path, read: Read) -> None:
    bands = planes(["uint16", "float32", "uint8"])
    path = stacked(tmp_path, bands, {1: "65535", 2: "9.999999747378752e-05", 3: "7"})
    bands[2][0, 0] = 7
    write(tmp_path / "src3.tif", bands[2][None])
    expected = np.ones((6, 7), bool)
    for band, value in zip(bands, (65535, np.float32(1e-4), 7), strict=True):
        expected &= band != value
    np.testing.assert_array_equal(read(path, NAMES[:3]).valid, expected)
    assert (~expected).sum() >= 3


@BOTH
def test_a_mixed_raster_is_one_of_several_of_an_image(tmp_path: Path, read: Read) -> None:
    bands = planes(["int16", "uint8"])
    second = write(tmp_path / "b.tif", np.full((1, 6, 7), 0.25, "float64"), ["VV"])
    image = read(stacked(tmp_path, bands), ["VV", "GREEN", "BLUE"], more=[second]).pixels
    np.testing.assert_array_equal(image, np.stack([np.full((6, 7), 0.25), bands[1], bands[0]]).astype("float32"))
