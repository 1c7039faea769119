"""Rasters inside files, archives and VRTs: read by training and prediction alike, or refused with the file's name."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.shutil import copy
from scipy.io import netcdf_file  # scikit-learn needs scipy

from geocompose.data.preflight import preflight
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.both_readers import BOTH, TWO, Read
from tests.kit.data_rasters import arguments, image, label, write

NAMES = ["GREEN", "RED", "ndvi_mean"]


def cube(path: Path, pixels: np.ndarray, names: Sequence[str] = NAMES) -> Path:
    """Write a NetCDF file with a variable per band."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with netcdf_file(path, "w") as file:
        file.createDimension("y", pixels.shape[1])
        file.createDimension("x", pixels.shape[2])
        for name, plane in zip(names, pixels, strict=True):
            file.createVariable(name, "f4", ("y", "x"))[:] = plane[::-1]  # GDAL has its last row first
    return path


def cubes(root: Path) -> Path:
    for seed, key in enumerate("abcd"):
        cube(root / f"nc/{key}.nc", image(seed, bands=3))
        write(root / f"{key}_lab.tif", label(seed))
    return root


def declared(root: Path, images: str, **changes) -> GeoTiffSegmentation:
    return GeoTiffSegmentation(**arguments(root, images=images, **changes))


@BOTH
@pytest.mark.parametrize("form", ["{}:GREEN", "netcdf:{}:GREEN", 'NETCDF:"{}":GREEN'])
def test_a_variable_of_a_file_is_a_raster(tmp_path: Path, read: Read, form: str) -> None:
    path = cube(tmp_path / "a.nc", image(bands=3))
    seen = read(form.format(path), ["GREEN"])
    np.testing.assert_array_equal(seen.pixels[0], image(bands=3)[0])


@BOTH
@pytest.mark.parametrize("form", ["{}:{{band}}", "netcdf:{}:{{band}}", 'NETCDF:"{}":{{band}}'])
def test_the_variables_of_a_file_are_the_bands_of_an_image(tmp_path: Path, read: Read, form: str) -> None:
    path = cube(tmp_path / "a.nc", image(bands=3))
    with pytest.raises(UserError, match=r"a\.nc has no bands of its own.*':\{band\}'.*holds: netcdf:.*RED"):
        read(path)
    seen = read(form.format(path), ["ndvi_mean", "RED"])
    np.testing.assert_array_equal(seen.pixels, image(bands=3)[[2, 1]])
    one = cube(tmp_path / "b.nc", image(bands=1), ["RED"])
    np.testing.assert_array_equal(read(one, ["RED"]).pixels, image(bands=1))
    np.testing.assert_array_equal(read(f"{one}:{{band}}", ["RED"]).pixels, image(bands=1))


@pytest.mark.parametrize("images", ["nc/*.nc:{band}", "netcdf:nc/*.nc:{band}", 'netcdf:"nc/*.nc":{band}'])
def test_a_data_set_of_such_files(tmp_path, images):
    source = declared(cubes(tmp_path), images)
    assert source.collection.band_names == NAMES
    assert [scene.name for scene in source.collection.scenes] == [f"nc/{key}.nc:{{band}}" for key in "abcd"]
    assert sorted(path.name for path in source.input_files) == sorted(
        f"{key}{end}" for key in "abcd" for end in (".nc", "_lab.tif")
    )
    pixels = source.collection.scenes[2].read_image(Window(0, 0, 40, 60), [1])[0]
    np.testing.assert_array_equal(pixels[0], image(2, bands=3)[1])


def test_a_data_set_of_one_variable_and_labels_in_another(tmp_path):
    for seed, key in enumerate("abcd"):
        pair = np.concatenate([image(seed, bands=2), label(seed)[None].astype("float32")])
        cube(tmp_path / f"{key}.nc", pair, ["RED", "GREEN", "classes"])
    source = declared(tmp_path, "*.nc:GREEN", labels="*.nc:classes")
    assert preflight(source, list).inputs.bands == ("GREEN",)
    assert len(source.input_files) == 4


def test_rows_that_gdal_turns_over_are_said(tmp_path, caplog):
    _ = declared(cubes(tmp_path), "nc/*.nc:GREEN").collection
    said = f"{tmp_path}/nc/a.nc:GREEN and 3 further files: it has no georeference, so that GDAL has the last row"
    assert any(message.startswith(said) for message in caplog.messages)


@BOTH
def test_what_is_not_inside_is_answered_with_what_is(tmp_path: Path, read: Read) -> None:
    path = cube(tmp_path / "a.nc", image(bands=3))
    with pytest.raises(UserError, match=r"a\.nc has no raster 'NIR' in it\. It holds: GREEN, RED, ndvi_mean"):
        read(f"{path}:NIR")
    plain = write(tmp_path / "b.tif", image(bands=2), TWO)
    with pytest.raises(UserError, match=r"b\.tif has no raster 'RED' in it\. It has none inside"):
        read(f"{plain}:RED")
    with pytest.raises(UserError, match=r"HDF4:.* has no driver HDF4"):
        read(f"HDF4:{path}:RED")


@BOTH
def test_archives_and_formats_without_a_driver_are_named(tmp_path: Path, read: Read) -> None:
    inner = write(tmp_path / "a.tif", image(bands=2), TWO)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(inner, "a.tif")
    with pytest.raises(UserError, match=r"a\.zip can't be read.*an archive: unpack it.* /vsizip/\S*a\.zip/NAME"):
        read(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(inner, "a.tif")
        archive.write(inner, "b.tif")
    with pytest.raises(UserError, match=rf"such as /vsizip/{tmp_path}/b\.zip/NAME"):
        read(f"/vsizip/{tmp_path}/b.zip")  # of one raster, GDAL takes that
    np.testing.assert_array_equal(read(f"/vsizip/{tmp_path}/a.zip/a.tif").pixels, image(bands=2))
    (tmp_path / "a.hdf").write_bytes(b"\x0e\x03\x13\x01" + bytes(3000))
    with pytest.raises(UserError, match=r"a\.hdf can't be read.*HDF4, which the GDAL of this rasterio"):
        read(tmp_path / "a.hdf")


def test_a_pattern_into_an_archive_is_refused_and_a_vrt_of_it_is_read(tmp_path):
    for seed, key in enumerate("abcd"):
        inner = write(tmp_path / f"src/{key}.tif", image(seed, bands=2), TWO)
        with zipfile.ZipFile(tmp_path / f"{key}.zip", "w") as archive:
            archive.write(inner, "x.tif")
        copy(f"/vsizip/{tmp_path}/{key}.zip/x.tif", str(tmp_path / f"{key}_img.vrt"), driver="VRT")
        write(tmp_path / f"{key}_lab.tif", label(seed))
    with pytest.raises(UserError, match=r"data\.images=/vsizip/.* only a prediction reads.*write a VRT"):
        _ = declared(tmp_path, f"/vsizip/{tmp_path}/a.zip/x.tif").collection
    assert preflight(declared(tmp_path, "*_img.vrt"), list).inputs.bands == tuple(TWO)


@BOTH
def test_a_vrt_of_vrts_and_of_masked_and_scaled_sources(tmp_path: Path, read: Read) -> None:
    inner = write(tmp_path / "a.tif", image(bands=2), TWO, nodata=float(image(bands=2)[0, 3, 3]))
    copy(str(inner), str(tmp_path / "b.vrt"), driver="VRT")
    copy(str(tmp_path / "b.vrt"), str(tmp_path / "c.vrt"), driver="VRT")
    seen = read(tmp_path / "c.vrt")
    np.testing.assert_array_equal(seen.pixels[:, seen.valid], image(bands=2)[:, seen.valid])
    assert not seen.valid[3, 3]
    with rasterio.open(inner, "r+") as raster:
        raster.build_overviews([2], Resampling.nearest)
    inner.unlink()
    with pytest.raises(UserError, match=r"c\.vrt"):
        read(tmp_path / "c.vrt")
