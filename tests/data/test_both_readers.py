"""Training and prediction read rasters through one reader: what one refuses the other refuses, in the same words."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from geocompose.data.rasters.bands import BandNaming
from geocompose.data.rasters.image import RasterImage
from geocompose.data.rasters.label import ImageLabel
from geocompose.data.rasters.scenes import SceneRasters
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.inference.raster import predict_raster
from geocompose.inference.reading import Reading
from tests.kit.both_readers import BOTH, TWO, Read, by_prediction, by_training
from tests.kit.inference_rasters import NORTH_UP, UTM, above_zero, classes, write
from tests.kit.vrts import vrt_band, write_vrt

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
ONES = np.ones((2, 6, 7), dtype="float32")


def damaged(path: Path) -> Path:
    pixels = np.random.default_rng(0).normal(size=(2, 200, 200)).astype("float32")
    write(path, pixels, TWO, compress="deflate")
    with path.open("rb+") as content:
        content.seek(path.stat().st_size // 2)
        content.write(bytes(10_000))
    return path


def several_rasters(path: Path) -> Path:
    """A GeoPackage of two rasters."""
    profile = {"height": 6, "width": 7, "count": 1, "dtype": "uint8", "crs": UTM, "transform": NORTH_UP}
    for name in ("first", "second"):
        with rasterio.open(path, "w", driver="GPKG", RASTER_TABLE=name, APPEND_SUBDATASET="YES", **profile) as raster:
            raster.write(ONES[:1].astype("uint8"))
    return path


def described(path: Path, *types: str, where: str = "") -> Path:
    """A VRT of two bands of these types, with what writers refuse and files have all the same."""
    inner = write(path.with_suffix(".inner.tif"), ONES, TWO)
    return write_vrt(path, [vrt_band(i, TWO[i - 1], kind, inner) for i, kind in enumerate(types, 1)], 6, 7, where)


def placed(path: Path, *numbers: float | str) -> Path:
    where = f"<GeoTransform>{', '.join(map(str, numbers))}</GeoTransform>"
    return described(path, "Float32", "Float32", where=where)


def with_value(path: Path, value: float, **profile: Any) -> Path:
    pixels = ONES.copy()
    pixels[1, 4, 5] = value
    return write(path, pixels, TWO, **profile)


REFUSED = {
    "missing": (lambda p: write(p / "tile1.tif", ONES, TWO).with_name("tile.tif"), {}, r"Did you mean .*tile1"),
    "folder": (lambda p: p, {}, "is a folder. Name one raster file in it"),
    "not a raster": (lambda p: (p / "a.tif").write_text("x") and p / "a.tif", {}, r"a\.tif can't be read as a raster"),
    "empty file": (lambda p: (p / "a.tif").write_text("") or p / "a.tif", {}, r"a\.tif can't be read as a raster"),
    "damaged block": (lambda p: damaged(p / "a.tif"), {}, r"a\.tif can't be read at rows 0-199, .*is it complete"),
    "several rasters": (lambda p: several_rasters(p / "a.gpkg"), {}, r"no bands of its own.*holds: .*first.*second"),
    "complex": (
        lambda p: write(p / "a.tif", ONES.astype("complex64"), TWO),
        {},
        r"a\.tif holds complex numbers \(complex64\).*amplitude",
    ),
    "complex whole numbers": (
        lambda p: described(p / "a.vrt", "CInt16", "CInt16"),
        {},
        r"a\.vrt holds complex numbers \(complex_int16\).*amplitude",
    ),
    "pixels of size 0": (lambda p: placed(p / "a.vrt", 0, 0, 0, 0, 0, -10), {}, r"a\.vrt has a georeference that"),
    "NaN in the transform": (lambda p: placed(p / "a.vrt", 0, "nan", 0, 0, 0, -1), {}, "georeference that no grid"),
    "infinite origin": (lambda p: placed(p / "a.vrt", "inf", 1, 0, 0, 0, -1), {}, "georeference that no grid can have"),
    "no names": (lambda p: write(p / "a.tif", ONES), {}, r"a\.tif has 2 bands without names.*band_names=\["),
    "a band without name": (
        lambda p: write(p / "a.tif", np.ones((3, 6, 7), "uint8"), TWO),
        {},
        r"has 3 bands and 1 of them have no name",
    ),
    "too few names": (lambda p: write(p / "a.tif", ONES), {"names": ["RED"]}, r"2 bands, but .*band_names has 1 name"),
    "too many names": (
        lambda p: write(p / "a.tif", ONES),
        {"names": ["RED", "GREEN", "BLUE"]},
        r"2 bands, but .*band_names has 3 names \(RED, GREEN, BLUE\)",
    ),
    "a name twice": (
        lambda p: write(p / "a.tif", np.ones((3, 6, 7), "uint8"), ["B4", "GREEN", "RED"]),
        {},
        r"the band 'RED' more than once \(bands 1, 3 of B4, GREEN, RED\)",
    ),
    "a name twice that is not read": (
        lambda p: write(p / "a.tif", np.ones((4, 6, 7), "uint8"), ["QA", "GREEN", "RED", "QA"]),
        {},
        r"the band 'QA' more than once \(bands 1, 4",
    ),
    "a band that is not there": (lambda p: write(p / "a.tif", ONES, ["RED", "NIR"]), {}, r"a\.tif has no band 'GREEN'"),
    "bands that are not whole frames": (
        lambda p: write(p / "a.tif", np.ones((3, 6, 7), "uint8"), ["RED", "GREEN", "RED"]),
        {"num_frames": 2},
        r"3 bands, which can't be 2 frames",
    ),
    "frames with other names": (
        lambda p: write(p / "a.tif", np.ones((4, 6, 7), "uint8"), ["RED", "GREEN", "GREEN", "RED"]),
        {"num_frames": 2},
        r"don't have the same names in every frame \(RED, GREEN, GREEN, RED\)",
    ),
    "NaN": (
        lambda p: with_value(p / "a.tif", math.nan),
        {},
        r"value nan in band 'GREEN' at row 4, column 5 .*\.nodata=nan",
    ),
    "infinity": (lambda p: with_value(p / "a.tif", math.inf, nodata=0), {}, r"value inf in band 'GREEN' at row 4"),
    "beyond float32": (
        lambda p: write(p / "a.tif", np.full((2, 6, 7), 1e300), TWO),
        {},
        r"value inf in band 'RED' at row 0, column 0",
    ),
}


@BOTH
@pytest.mark.parametrize("case", list(REFUSED))
def test_both_readers_refuse(tmp_path: Path, read: Read, case: str) -> None:
    make, settings, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        read(make(tmp_path), **settings)


SECOND_REFUSED = {
    "another size": (lambda p: write(p, np.ones((1, 5, 7), "uint8"), ["VV"]), "has 5 x 7 pixels"),
    "another place": (
        lambda p: write(p, np.ones((1, 6, 7), "uint8"), ["VV"], transform=NORTH_UP * Affine.translation(1, 0)),
        "lies up to 1 pixels beside",
    ),
    "another projection": (
        lambda p: write(p, np.ones((1, 6, 7), "uint8"), ["VV"], crs=rasterio.CRS.from_epsg(32631)),
        "is in EPSG:32631",
    ),
    "a band that the first has": (lambda p: write(p, ONES, ["VV", "RED"]), r"a\.tif and .*b\.tif both have .*'RED'"),
    "no names": (lambda p: write(p, ONES[:1]), r"b\.tif has 1 band without names"),
    "NaN in it": (
        lambda p: write(p, np.full((1, 6, 7), math.nan, "float32"), ["VV"]),
        r"b\.tif has the value nan in band 'VV'",
    ),
    "complex": (lambda p: write(p, np.ones((1, 6, 7), "complex64"), ["VV"]), r"b\.tif holds complex numbers"),
    "missing": (lambda p: p, r"no raster .*b\.tif"),
}


@BOTH
@pytest.mark.parametrize("case", list(SECOND_REFUSED))
def test_both_readers_refuse_a_second_raster(tmp_path: Path, read: Read, case: str) -> None:
    make, message = SECOND_REFUSED[case]
    first = write(tmp_path / "a.tif", ONES, TWO)
    with pytest.raises(UserError, match=message):
        read(first, [*TWO, "VV"], more=[make(tmp_path / "b.tif")])


ACCEPTED = {
    "names of another mission": (ONES, ["B4", "B3"], {}, {}),
    "given names for the file's": (ONES, ["a", "b"], {}, {"names": TWO}),
    "no georeference": (ONES, TWO, {"crs": None, "transform": Affine.identity()}, {}),
    "a rotated grid": (ONES, TWO, {"transform": Affine.rotation(30)}, {}),
    "two frames": (np.ones((4, 6, 7), "uint8"), [*TWO, *TWO], {}, {"num_frames": 2}),
    "NaN declared by the file": (ONES * math.nan, TWO, {"nodata": math.nan}, {}),
}


@pytest.mark.parametrize("case", list(ACCEPTED))
def test_both_readers_read_the_same(tmp_path: Path, case: str) -> None:
    pixels, names, profile, settings = ACCEPTED[case]
    pixels = pixels * np.arange(7, dtype=pixels.dtype)
    if "NaN" in case:
        pixels[:, 2:] = 1
    path = write(tmp_path / "a.tif", pixels, names, **profile)
    training, prediction = by_training(path, **settings).pixels, by_prediction(path, **settings).pixels
    there = np.isfinite(training)
    assert there.sum() >= pixels.size * 4 / 6
    np.testing.assert_array_equal(training[there], prediction[there])
    assert (prediction[~there] == 0).all()


@BOTH
def test_two_rasters_are_one_image(tmp_path: Path, read: Read) -> None:
    first = write(tmp_path / "a.tif", np.stack([ONES[0], ONES[0] * 2]), TWO)
    second = write(tmp_path / "b.tif", ONES[:1] * 3, ["VV"])
    image = read(first, ["VV", "GREEN"], more=[second]).pixels
    assert image[:, 0, 0].tolist() == [3, 2]


@BOTH
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize("given", [True, False])
def test_nodata_is_known_to_both(tmp_path: Path, read: Read, dtype: str, given: bool) -> None:
    pixels = np.ones((2, 6, 7), dtype)
    pixels[0, 1, 2] = -9999
    path = write(tmp_path / "a.tif", pixels, TWO, nodata=None if given else -9999)
    image = read(path, nodata=-9999 if given else None).pixels
    assert image[0, 1, 2] == (0 if read is by_prediction else -9999)


@BOTH
def test_a_nodata_value_that_float32_rounds_is_known(tmp_path: Path, read: Read) -> None:
    pixels = np.ones((2, 6, 7), "float32")
    pixels[0, 1, 2] = 0.1
    path = write(tmp_path / "a.tif", pixels, TWO, nodata=0.1)
    raster = RasterImage(path, BandNaming())
    assert np.argwhere(~raster.read(Window(0, 0, 6, 7), [0])[1]).tolist() == [[1, 2]]
    assert read(path).pixels.shape == (2, 6, 7)


@BOTH
def test_each_raster_has_its_own_nodata(tmp_path: Path, read: Read) -> None:
    pixels = np.full((1, 6, 7), 7, "uint8")
    pixels[0, 1, 2] = 9
    first = write(tmp_path / "a.tif", ONES * 9, TWO)
    second = write(tmp_path / "b.tif", pixels, ["VV"], nodata=9)
    image = read(first, [*TWO, "VV"], more=[second]).pixels
    changed = np.argwhere(image[0] == 0).tolist()
    assert changed == ([[1, 2]] if read is by_prediction else [])
    assert image[0, 0, 0] == 9


@BOTH
def test_a_raster_inside_a_file_is_read_by_the_name_that_the_refusal_says(tmp_path: Path, read: Read) -> None:
    package = several_rasters(tmp_path / "a.gpkg")
    with pytest.raises(UserError, match="Name one of the rasters") as refusal:
        read(package)
    inner = str(refusal.value).rpartition("holds: ")[2].split(", ")[0]
    assert read(inner, ["RED"], names=["RED", "GREEN", "BLUE", "ALPHA"]).pixels.shape == (1, 6, 7)


def test_training_says_once_which_names_files_contradict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [write(tmp_path / f"{i}.tif", ONES, ["B3", "Layer 2"]) for i in range(3)]
    rasters = SceneRasters(["RED", "NIR_BROAD"])
    with caplog.at_level(logging.WARNING, "geocompose"):
        rasters.scenes([(path.name, path, ImageLabel(np.array(0))) for path in paths], [])
    assert [record.getMessage() for record in caplog.records] == [
        f"{paths[0]} and 2 further files: the names of data.band_names count, not the file's own: B3 is read as RED."
    ]


def test_prediction_says_which_names_a_file_contradicts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.tif", ONES, ["GREEN", "RED"])
    reading = Reading(bands=TWO, mean=[0.0] * 2, std=[1.0] * 2, training_names=TWO)
    settings: dict[str, Any] = {"target": classes("low", "high"), "content": "classes", "reading": reading}
    with caplog.at_level(logging.WARNING, "geocompose"):
        predict_raster(above_zero, path, tmp_path / "o.tif", **settings, tile_px=8, overlap_px=0, batch_size=1)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: the names of the training data count, not the file's own: GREEN is read as RED, RED is read as GREEN."
    ]
