"""Which pixels of an image count: nodata declared and given, masks inside and beside the file, and alpha bands."""

import logging
import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geocompose.data.rasters import file
from geocompose.data.rasters.bands import BandNaming
from geocompose.data.rasters.image import RasterImage
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.both_readers import BOTH, TWO, Read, by_training
from tests.kit.inference_rasters import write
from tests.kit.masked_rasters import HIDDEN, ONES, declaring, masked, with_alpha


def missing(seen: Any) -> list[list[int]]:
    return np.argwhere(~seen.valid).tolist()


@BOTH
def test_declared_and_given_nodata_count_together(tmp_path: Path, read: Read, caplog: pytest.LogCaptureFixture) -> None:
    pixels = ONES.copy()
    pixels[0, 1, 2], pixels[1, 4, 0] = -9999, 0
    path = write(tmp_path / "a.tif", pixels, TWO, nodata=-9999)
    assert missing(read(path, nodata=0)) == HIDDEN
    assert missing(read(path)) == HIDDEN[:1]
    if read is by_training:
        assert f"{path}: it declares nodata -9999, and 0 is given: pixels with either hold no data." in caplog.messages


@BOTH
def test_bands_of_a_stack_may_declare_different_values(tmp_path: Path, read: Read) -> None:
    pixels = ONES.copy()
    pixels[0, 1, 2], pixels[1, 4, 0], pixels[1, 1, 1] = 7, 8, 7
    path = declaring(tmp_path / "a.vrt", "7", "float32", pixels)
    path.write_text(path.read_text().replace("<NoDataValue>7</NoDataValue>", "<NoDataValue>8</NoDataValue>", 2))
    text = path.read_text()
    path.write_text(text.replace("<NoDataValue>8</NoDataValue>", "<NoDataValue>7</NoDataValue>", 1))
    assert missing(read(path)) == HIDDEN
    assert missing(read(path, nodata=7)) == [[1, 1], *HIDDEN]


@BOTH
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("nodata", [None, -1.0])
def test_a_mask_of_the_file_counts(tmp_path: Path, read: Read, inside: bool, nodata: float | None) -> None:
    pixels = ONES.copy()
    pixels[1, 5, 5] = -1
    path = masked(tmp_path / "a.tif", pixels, inside=inside, nodata=nodata)
    assert missing(read(path)) == HIDDEN + [[5, 5]] * (nodata is not None)
    assert missing(read(path, nodata=-1)) == [*HIDDEN, [5, 5]]


@BOTH
def test_a_mask_counts_in_every_frame_and_in_further_rasters(tmp_path: Path, read: Read) -> None:
    frames = np.ones((4, 6, 7), "float32")
    frames[3, 0, 6] = 9
    series = masked(tmp_path / "a.tif", frames, [*TWO, *TWO], inside=True, nodata=9)
    assert missing(read(series, num_frames=2)) == [[0, 6], *HIDDEN]
    first = write(tmp_path / "b.tif", ONES, TWO)
    beside = masked(tmp_path / "c.tif", ONES[:1], ["VV"], inside=False)
    assert missing(read(first, [*TWO, "VV"], more=[beside])) == HIDDEN
    assert missing(read(first, more=[beside])) == [], "no band of it is read"


@BOTH
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("names", [None, TWO, [*TWO, "ALPHA"]])
def test_an_alpha_band_is_a_mask_and_no_band(
    tmp_path: Path, read: Read, dtype: str, names: list[str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.ones((3, 6, 7), dtype)
    pixels[2, 0, 0] = 100  # half transparent is there
    for row, column in HIDDEN:
        pixels[2, row, column] = 0
    path = with_alpha(tmp_path / "a.tif", pixels, TWO if names is None else None)
    with caplog.at_level(logging.WARNING, "geocompose"):
        seen = read(path, names=names)
    assert seen.pixels.shape == (2, 6, 7)
    assert missing(seen) == HIDDEN
    if read is by_training:
        said = "band 3 is an alpha band: it says which pixels hold data; the image's bands are the others."
        assert caplog.messages == [f"{path}: {said}"]
    with pytest.raises(UserError, match="ALPHA"):
        read(path, [*TWO, "ALPHA"], names=names)


@BOTH
def test_alpha_behind_the_frames_of_a_series_and_after_each(tmp_path: Path, read: Read) -> None:
    pixels = np.ones((5, 6, 7), "uint16")
    pixels[4, 1, 2] = pixels[4, 4, 0] = 0
    path = with_alpha(tmp_path / "a.tif", pixels, [*TWO, *TWO])
    seen = read(path, num_frames=2)
    assert seen.pixels.shape == (2, 2, 6, 7)
    assert missing(seen) == HIDDEN


@BOTH
@pytest.mark.parametrize("given", [True, False])
def test_a_named_band_that_gdal_flags_as_alpha_is_the_images(
    tmp_path: Path, read: Read, given: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.ones((4, 6, 7), "uint8")  # GDAL writes four 8-bit bands as red, green, blue and alpha
    pixels[3] = np.arange(7)
    bands = [*TWO, "BLUE", "NIR_NARROW"]
    path = write(tmp_path / "a.tif", pixels, None if given else bands)
    with caplog.at_level(logging.WARNING, "geocompose"):
        seen = read(path, bands, names=bands if given else None)
    assert seen.pixels[3, 0].tolist() == list(range(7))
    assert seen.valid.all()
    if read is by_training:
        assert caplog.messages == [f"{path}: band 4 is flagged as alpha in the file, but read as the band NIR_NARROW."]


IMPOSSIBLE = [("uint8", "-9999"), ("uint8", "300"), ("uint8", "nan"), ("int16", "nan"), ("uint16", "-1")]
IMPOSSIBLE += [("int16", "-9999.9"), ("float32", "-1e300"), ("int32", "inf")]


@pytest.mark.parametrize(("dtype", "text"), IMPOSSIBLE)
def test_a_nodata_value_that_the_type_lacks_is_said(
    tmp_path: Path, dtype: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    shown = f"{float(text):.10g}"
    path = declaring(tmp_path / "a.vrt", text, dtype)
    assert by_training(path).valid.all()
    end = f"nodata value {shown} is not a value of {dtype}, so that no pixel has it."
    assert caplog.messages == [f"{path}: the declared {end}"]
    caplog.clear()
    plain = write(tmp_path / "b.tif", ONES.astype(dtype), TWO)
    assert by_training(plain, nodata=float(text)).valid.all()
    assert caplog.messages == [f"{plain}: the given {end}"]


LARGEST = float(np.finfo("float32").max)
NEAR = [
    ("float32", "-3.4e38", -LARGEST),
    ("float32", "-3.4e38", -3.4e38),
    ("float32", "-3.40282306074e+38", -LARGEST),
    ("float32", "3.4e+38", LARGEST),
    ("float64", "-3.4e38", -LARGEST),
    ("float64", "-1.797693e+308", -float(np.finfo("float64").max)),
    ("float32", "9.9692e+36", 9.969209968386869e36),
    ("int64", "9223372036854775807", 2**63 - 1),
    ("uint64", "18446744073709551615", 2**64 - 1),
]


@BOTH
@pytest.mark.parametrize(("dtype", "text", "stored"), NEAR)
def test_a_nodata_value_of_few_digits_finds_the_types_own(
    tmp_path: Path, read: Read, dtype: str, text: str, stored: float, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.ones((2, 6, 7), dtype)
    pixels[0, 1, 2] = pixels[1, 4, 0] = stored
    assert missing(read(declaring(tmp_path / "a.vrt", text, dtype, pixels))) == HIDDEN
    rounded = not dtype.endswith("int64")
    said = [message for message in caplog.messages if "by rounding" in message]
    assert len(said) == (rounded and read is by_training), said
    caplog.clear()
    assert missing(read(write(tmp_path / "b.tif", pixels, TWO), nodata=float(text))) == HIDDEN
    assert any("the given nodata value" in message for message in caplog.messages) == (read is by_training)


@BOTH
def test_the_transparent_colour_of_an_image_is_none_of_its_values(tmp_path: Path, read: Read) -> None:
    pixels = np.ones((3, 6, 7), "uint8")
    pixels[0, 3, 3] = 9
    for row, column in HIDDEN:
        pixels[:, row, column] = 9
    path = tmp_path / "a.tif"
    write(path, pixels, [*TWO, "BLUE"])
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(NODATA_VALUES="9 9 9")
    assert missing(read(path)) == HIDDEN


@BOTH
def test_a_mask_of_one_band_hides_that_band(tmp_path: Path, read: Read) -> None:
    inner = masked(tmp_path / "a.tif", inside=True)
    path = declaring(tmp_path / "b.vrt", "7", "float32")
    mask = (
        f'<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename>{inner}</SourceFilename><SourceBand>'
        "mask,1</SourceBand></SimpleSource></VRTRasterBand></MaskBand></VRTRasterBand></VRTDataset>"
    )
    text = path.read_text().replace("<NoDataValue>7</NoDataValue>", "")
    path.write_text(text.replace("</VRTRasterBand></VRTDataset>", mask))
    with rasterio.open(path) as raster:
        assert raster.mask_flag_enums[1] == []
    assert missing(read(path)) == HIDDEN
    assert missing(read(path, ["GREEN"])) == HIDDEN
    assert missing(read(path, ["RED"])) == []


def test_masks_are_read_only_where_there_are_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        "geocompose.data.rasters.stored.read_masks", lambda *given: read.append("") or file.read_masks(*given)
    )
    plain = RasterImage(write(tmp_path / "a.tif", ONES, TWO, nodata=3), BandNaming())
    plain.read(Window(0, 0, 6, 7), [0, 1])
    assert not read
    hidden = RasterImage(masked(tmp_path / "b.tif", inside=True), BandNaming())
    hidden.read(Window(0, 0, 6, 7), [0, 1])
    assert len(read) == 1, "one mask is for all bands"
    hidden.keep_decoded = True
    first = hidden.read(Window(1, 2, 5, 5), [0, 1])[1]
    second = pickle.loads(pickle.dumps(hidden)).read(Window(1, 2, 5, 5), [0, 1])[1]
    np.testing.assert_array_equal(first, second)
    hidden.read(Window(0, 0, 6, 7), [0, 1])
    assert len(read) == 3
    assert hidden.decoded_bytes(2) == 6 * 7 * (2 * 4 + 1)


def test_a_mask_beside_the_file_that_changes_is_noticed(tmp_path: Path) -> None:
    image = RasterImage(masked(tmp_path / "a.tif", inside=False), BandNaming())
    other = masked(tmp_path / "b.tif", np.ones((1, 6, 7), "float32"), [], inside=False)
    shutil.move(f"{other}.msk", tmp_path / "a.tif.msk")
    with pytest.raises(UserError, match=r"a\.tif has changed since"):
        image.read(Window(0, 0, 6, 7), [0, 1])


@BOTH
def test_nan_under_a_mask_is_not_refused(tmp_path: Path, read: Read) -> None:
    pixels = ONES.copy()
    for row, column in HIDDEN:
        pixels[:, row, column] = math.nan
    assert missing(read(masked(tmp_path / "a.tif", pixels, inside=True))) == HIDDEN
