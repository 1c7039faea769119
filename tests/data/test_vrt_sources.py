"""What a VRT's sources say of their pixels and the VRT does not is said; so are colour tables of images."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.shutil import copy

from geocompose.data.label_values import LabelCodes
from geocompose.data.rasters.label import ClassRaster
from geocompose.data.rasters.remarks import say_remarks
from geocompose.inference.raster import predict_raster
from geocompose.inference.reading import Reading
from tests.kit.both_readers import TWO, by_training
from tests.kit.inference_rasters import NORTH_UP, UTM, above_zero, classes, write
from tests.kit.masked_rasters import ONES, masked, with_alpha

HAND_WRITTEN = (
    '<VRTRasterBand dataType="Float32" band="{band}"><Description>{name}</Description>{nodata}<SimpleSource>'
    '<SourceFilename relativeToVRT="1">{source}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
    "</VRTRasterBand>"
)


def by_hand(path: Path, source: Path, nodata: str = "", inside: str = "") -> Path:
    bands = "".join(
        HAND_WRITTEN.format(band=i, name=name, source=source.name, nodata=nodata) for i, name in enumerate(TWO, 1)
    )
    path.write_text(f'<VRTDataset rasterXSize="7" rasterYSize="6">{bands}{inside}</VRTDataset>')
    return path


def by_gdal(path: Path, source: Path) -> Path:
    copy(source, path, driver="VRT")
    return path


def mask_inside(folder: Path) -> Path:
    return masked(folder / "m.tif", inside=True)


def mask_beside(folder: Path) -> Path:
    return masked(folder / "m.tif", inside=False)


def alpha(folder: Path) -> Path:
    return with_alpha(folder / "m.tif", np.ones((3, 6, 7), "float32"), TWO)


def declared(folder: Path) -> Path:
    return write(folder / "m.tif", ONES, TWO, nodata=-9999)


MASK = "it is a VRT without a mask of sources that have masks or alpha bands"
NODATA = "it is a VRT without a nodata value of sources that declare -9999"
CASES = [(mask_inside, MASK), (mask_beside, MASK), (alpha, MASK), (declared, NODATA)]


@pytest.mark.parametrize(("source", "said"), CASES)
def test_what_sources_hide_and_a_hand_written_vrt_does_not_is_said_in_training(
    tmp_path: Path, source: Callable[[Path], Path], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = by_hand(tmp_path / "a.vrt", source(tmp_path))
    with caplog.at_level(logging.WARNING, "geocompose"):
        seen = by_training(path)
    assert seen.valid.all(), "GDAL reads the sources' values alone"
    (line,) = caplog.messages
    assert line.startswith(f"{path}: {said}")


@pytest.mark.parametrize(("source", "said"), CASES[::2])
def test_it_is_said_in_prediction_too(
    tmp_path: Path, source: Callable[[Path], Path], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = by_hand(tmp_path / "a.vrt", source(tmp_path))
    with caplog.at_level(logging.WARNING, "geocompose"):
        predict_raster(
            above_zero,
            path,
            tmp_path / "map.tif",
            reading=Reading(bands=TWO, mean=[0.0, 0.0], std=[1.0, 1.0]),
            target=classes("a", "b"),
            content="classes",
            tile_px=8,
            overlap_px=0,
            batch_size=1,
        )
    assert said in caplog.text


@pytest.mark.parametrize("source", [mask_inside, mask_beside, declared])
def test_a_vrt_that_gdal_wrote_has_all_of_it(
    tmp_path: Path, source: Callable[[Path], Path], caplog: pytest.LogCaptureFixture
) -> None:
    by_training(by_gdal(tmp_path / "a.vrt", source(tmp_path)))
    assert "is a VRT" not in caplog.text


def test_a_mask_band_written_by_hand_counts_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    band = (
        '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename relativeToVRT="1">m.tif'
        "</SourceFilename><SourceBand>mask,1</SourceBand></SimpleSource></VRTRasterBand></MaskBand>"
    )
    seen = by_training(by_hand(tmp_path / "a.vrt", mask_beside(tmp_path), inside=band))
    assert np.argwhere(~seen.valid).tolist() == [[1, 2], [4, 0]]
    assert not caplog.messages


def test_a_nodata_value_of_the_vrt_does_not_stand_for_a_mask_of_its_sources(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    by_training(by_hand(tmp_path / "a.vrt", mask_beside(tmp_path), "<NoDataValue>-1</NoDataValue>"))
    assert MASK in caplog.text


def test_vrts_of_one_kind_are_one_line_and_labels_are_told_of_as_well(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    masked(tmp_path / "m.tif", ONES[:1].astype("uint8"), ["class"], inside=True)
    labels = []
    for name in "abc":
        path = tmp_path / f"{name}.vrt"
        text = HAND_WRITTEN.format(band=1, name="class", source="m.tif", nodata="").replace("Float32", "Byte")
        path.write_text(f'<VRTDataset rasterXSize="7" rasterYSize="6">{text}</VRTDataset>')
        labels.append(ClassRaster(path, LabelCodes(["a", "b"])))
    say_remarks(labels)
    (line,) = caplog.messages
    assert "a.vrt and 2 further files: it is a VRT without a mask" in line


def palette(path: Path) -> Path:
    size = {"height": 6, "width": 7, "count": 1, "dtype": "uint8", "photometric": "palette"}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32630", transform=rasterio.Affine(10, 0, 0, 0, -10, 60), **size
    ) as to:
        to.write(np.ones((1, 6, 7), "uint8"))
        to.write_colormap(1, {0: (0, 0, 0, 255), 1: (255, 0, 0, 255)})
        to.set_band_description(1, "RED")
    return path


def test_an_image_of_indices_into_a_colour_table_is_said_and_a_label_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = palette(tmp_path / "a.tif")
    by_training(path, ["RED"])
    (line,) = caplog.messages
    assert line.startswith(f"{path}: band 1 has a colour table, and is read as its indices")
    assert "gdal_translate -expand rgb" in line
    caplog.clear()
    say_remarks([ClassRaster(path, LabelCodes(["a", "b"]))])
    assert not caplog.messages


def test_bands_beside_one_with_a_colour_table_are_not_spoken_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=6,
        width=7,
        count=2,
        dtype="uint8",
        photometric="minisblack",
        crs=UTM,
        transform=NORTH_UP,
    ) as to:
        to.colorinterp = [ColorInterp.gray, ColorInterp.undefined]
        to.write(ONES.astype("uint8"))
        for i, name in enumerate(TWO, 1):
            to.set_band_description(i, name)
    by_training(path)
    assert "colour table" not in caplog.text
