"""What GDAL reads beside a raster is part of what a data set holds."""

import numpy as np
import pytest
import rasterio

from geocompose.data.sources import GeoTiffSegmentation
from geocompose.errors import UserError
from geocompose.runs.fingerprint import fingerprint
from tests.kit.data_rasters import BANDS, arguments, image, label, pair, write
from tests.kit.labelled_images import flat, from_table, table
from tests.kit.vrts import vrt_band, write_vrt

STATISTICS = '<Metadata><MDI key="STATISTICS_MEAN">1</MDI></Metadata><Histograms><HistItem/></Histograms>'


def pam(inside: str) -> str:
    return f'<PAMDataset><PAMRasterBand band="1">{inside}</PAMRasterBand></PAMDataset>'


def of(root, **changes) -> str:
    return fingerprint(GeoTiffSegmentation(**arguments(root, **changes)).input_files, root)


@pytest.fixture
def root(tmp_path):
    for i in range(3):
        pair(tmp_path, str(i), i)
    return tmp_path


def mask(path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as raster:
        raster.write_mask(np.eye(40, 60, dtype="uint8") * 255)


@pytest.mark.parametrize("name", ["1_img.tif", "1_lab.tif"])
@pytest.mark.parametrize(
    "add",
    [
        lambda path: path.with_name(f"{path.name}.aux.xml").write_text(pam("<NoDataValue>7</NoDataValue>")),
        mask,
        lambda path: path.with_suffix(".IMD").write_text('version = "a";\nEND;\n'),
    ],
    ids=["aux.xml", "msk", "IMD"],
)
def test_a_file_beside_an_image_or_label_counts(root, name, add):
    before = of(root)
    tif = (root / name).read_bytes()
    add(root / name)
    (root / name).write_bytes(tif)
    assert of(root) != before


def test_a_change_of_such_a_file_counts_and_its_removal_brings_back_what_was(root):
    before, beside = of(root), root / "1_img.tif.aux.xml"
    beside.write_text(pam("<NoDataValue>7</NoDataValue>"))
    first = of(root)
    beside.write_text(pam("<NoDataValue>8</NoDataValue>"))
    assert len({before, first, of(root)}) == 3
    beside.unlink()
    assert of(root) == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("1_img.tif.aux.xml", pam(STATISTICS)),  # as a viewer leaves it
        ("1_img.prj", "none of GDAL's"),
        ("1_img.tfw", "1\n0\n0\n-1\n5\n5\n"),  # the file's own georeference counts
        ("other.tif.aux.xml", pam("<NoDataValue>7</NoDataValue>")),
    ],
)
def test_what_changes_no_pixel_does_not_count(root, name, text):
    before = of(root)
    (root / name).write_text(text)
    assert of(root) == before


def test_a_world_file_counts_where_the_raster_has_no_place_of_its_own(root):
    write(root / "1_img.tif", image(1), BANDS, crs=None, transform=None)
    before = of(root)
    (root / "1_img.tfw").write_text("1\n0\n0\n-1\n5\n5\n")
    assert of(root) != before


def vrt(path, source):
    bands = [vrt_band(i, name, "Float32", source, relative=True) for i, name in enumerate(BANDS, 1)]
    write_vrt(path, bands, 40, 60)


def test_the_sources_of_a_vrt_count_and_what_lies_beside_them(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("sources")
    for i in range(3):
        write(elsewhere / f"{i}.tif", image(i), BANDS)
        write(root / f"{i}_lab.tif", label(i), crs=None, transform=None)
        vrt(root / f"{i}_img.vrt", elsewhere / f"{i}.tif")
    before = of(root, images="*_img.vrt")
    write(elsewhere / "1.tif", image(9), BANDS)
    changed = of(root, images="*_img.vrt")
    (elsewhere / "2.tif.aux.xml").write_text(pam("<NoDataValue>7</NoDataValue>"))
    assert len({before, changed, of(root, images="*_img.vrt")}) == 3
    (elsewhere / "1.tif").unlink()
    with pytest.raises(UserError, match=r"1\.tif"):
        of(root, images="*_img.vrt")


def test_images_of_a_table_count_with_what_lies_beside_them(tmp_path):
    root = table(flat(tmp_path), ("file", "label"), *[(f"chip_{i}.tif", "ab"[i % 2]) for i in range(6)])
    source = from_table(root)._source
    before = fingerprint(source.input_files, root)
    (root / "chip_3.tif.aux.xml").write_text(pam("<NoDataValue>7</NoDataValue>"))
    assert fingerprint(from_table(root)._source.input_files, root) != before
