"""Rasters of a stranger: a name is a file's name, and a file that leads elsewhere has to say so by its name."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from geocompose.data.rasters.file import opened, read_bands
from geocompose.errors import UserError

SOURCE = """<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">ok.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>
</VRTDataset>"""
SERVICE = """<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}.png</ServerUrl></Service>
<DataWindow><UpperLeftX>-180</UpperLeftX><UpperLeftY>90</UpperLeftY><LowerRightX>180</LowerRightX>
<LowerRightY>-90</LowerRightY><TileLevel>2</TileLevel></DataWindow><Projection>EPSG:4326</Projection>
<BlockSizeX>8</BlockSizeX><BlockSizeY>8</BlockSizeY><BandsCount>1</BandsCount></GDAL_WMS>"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    with rasterio.open("ok.tif", "w", transform=rasterio.Affine(1, 0, 0, 0, -1, 8), **profile) as file:
        file.write(np.full((1, 8, 8), 7, "uint8"))
    return tmp_path


@pytest.mark.parametrize(
    "name", ["http:/h/x.tif", "https:/h/x.tif", "s3:x.tif", "DERIVED_SUBDATASET:AMPLITUDE:ok.tif", "NETCDF:ok.tif:x"]
)
def test_a_files_name_is_never_an_address(name: str, folder: Path) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((folder / "ok.tif").read_bytes())
    assert opened(path).driver == "GTiff"
    assert (read_bands(path, [0], None)[0] == 7).all()


@pytest.mark.parametrize(("text", "driver"), [(SOURCE, "VRT"), (SERVICE, "WMS")])
def test_a_file_that_leads_elsewhere_under_another_name_is_refused(text: str, driver: str, folder: Path) -> None:
    (folder / "chip.tif").write_text(text)
    with pytest.raises(UserError, match=rf"chip\.tif is not what its name says: it is a {driver} file"):
        opened(folder / "chip.tif")


def test_a_vrt_that_says_so_is_read(folder: Path) -> None:
    (folder / "chip.vrt").write_text(SOURCE)
    assert (read_bands(folder / "chip.vrt", [0], None)[0] == 7).all()
