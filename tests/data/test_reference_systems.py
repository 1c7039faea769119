"""Rasters on one grid whose coordinate reference systems are written differently."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from geocompose.data.label_values import LabelCodes
from geocompose.data.rasters.grid import check_alike
from geocompose.data.rasters.header import read_header
from geocompose.data.rasters.label import ClassRaster
from geocompose.errors import UserError
from tests.kit.both_readers import BOTH, TWO, Read
from tests.kit.inference_rasters import write
from tests.kit.masked_rasters import ONES

UTM = rasterio.CRS.from_epsg(32630)
ESRI = (
    'PROJCS["WGS_1984_UTM_Zone_30N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,'
    '298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",-3.0],'
    'PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
)
ALIKE = {
    "with heights": ("EPSG:32630", "EPSG:32630+5773"),
    "other heights": ("EPSG:32630+5703", "EPSG:32630+5773"),
    "a national grid with heights": ("EPSG:27700", "EPSG:7405"),
    "degrees with heights": ("EPSG:4326", "EPSG:4326+5773"),
    "degrees in three dimensions": ("EPSG:4326", "EPSG:4979"),
    "longitude first": ("EPSG:4326", "OGC:CRS84"),
    "WKT": ("EPSG:32630", UTM.to_wkt(version="WKT2_2019")),
    "Esri's WKT": ("EPSG:32630", ESRI),
    "PROJ": ("EPSG:32630", "+proj=utm +zone=30 +datum=WGS84 +units=m +no_defs"),
    "a shift of nothing": ("EPSG:32630", "+proj=utm +zone=30 +ellps=WGS84 +towgs84=0,0,0,0,0,0,0 +units=m"),
}
DIFFERENT = {
    "another zone with the same heights": ("EPSG:32630+5773", "EPSG:32631+5773"),
    "another datum": ("EPSG:32630", "EPSG:25830"),
    "degrees of another datum": ("EPSG:4326", "EPSG:4258"),
    "a local one": ("EPSG:32630", 'LOCAL_CS["x",UNIT["metre",1]]'),
}


def two(tmp_path: Path, one: str, other: str) -> tuple[Path, Path]:
    first = write(tmp_path / "a.tif", ONES, TWO, crs=rasterio.CRS.from_user_input(one))
    second = write(tmp_path / "b.tif", np.ones((1, 6, 7), "uint8"), ["VV"], crs=rasterio.CRS.from_user_input(other))
    return first, second


@BOTH
@pytest.mark.parametrize("case", list(ALIKE))
def test_reference_systems_that_agree_on_the_ground_fit(tmp_path: Path, read: Read, case: str) -> None:
    first, second = two(tmp_path, *ALIKE[case])
    assert read(first, [*TWO, "VV"], more=[second]).valid.all()
    ClassRaster(second, LabelCodes(["no", "yes"])).check_fits(first, read_header(first))


@BOTH
@pytest.mark.parametrize("case", list(DIFFERENT))
def test_others_are_refused_with_the_files_names(tmp_path: Path, read: Read, case: str) -> None:
    first, second = two(tmp_path, *DIFFERENT[case])
    with pytest.raises(UserError, match=r"b\.tif is in .*a\.tif"):
        read(first, [*TWO, "VV"], more=[second])
    with pytest.raises(UserError, match=r"The label .*b\.tif is in .*a\.tif"):
        check_alike(first, read_header(first), second, read_header(second), what="label")
