"""A hundred and fifty broken, odd or hostile rasters, made from one good one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from tests.kit.inference_rasters import NORTH_UP, UTM, write
from tests.kit.vrts import vrt_band

BANDS = ["RED", "NIR_NARROW"]
SIDE = 64
Make = Callable[[Path], Path]  # takes the path of a GeoTIFF to make, and returns the path to read


def pixels(dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(5).integers(200, 4000, (2, SIDE, SIDE)).astype(dtype)


def good(path: Path, dtype: str = "int16", names: list[str] | None = None, **profile: Any) -> Path:
    return write(path, pixels(dtype), BANDS if names is None else names, **profile)


def changed(change: Callable[[bytearray], bytes], **profile: Any) -> Make:
    def make(path: Path) -> Path:
        good(path, **profile)
        path.write_bytes(change(bytearray(path.read_bytes())))
        return path

    return make


def with_values(value: float, count: int, dtype: str, **profile: Any) -> Make:
    def make(path: Path) -> Path:
        array = pixels(dtype)
        array.reshape(-1)[:: array.size // count] = value
        return write(path, array, BANDS, **profile)

    return make


def vrt(text: str) -> Make:
    """A VRT; INNER stands for a good raster beside it."""

    def make(path: Path) -> Path:
        inner = good(path.with_suffix(".inner.tif"))
        target = path.with_suffix(".vrt")
        target.write_text(text.replace("INNER", str(inner)))
        return target

    return make


def band(number: int, kind: str = "Int16", source: str = "INNER", name: str | None = None) -> str:
    return vrt_band(number, name or BANDS[number - 1], kind, source)


def dataset(bands: str, where: str = "", size: str = f'rasterXSize="{SIDE}" rasterYSize="{SIDE}"') -> Make:
    return vrt(f"<VRTDataset {size}>{where}{bands}</VRTDataset>")


def broken() -> Iterator[tuple[str, Make]]:
    """Yield each raster's name, and what makes it."""
    layouts: dict[str, dict[str, Any]] = {
        "strips": {},
        "deflate": {"compress": "deflate"},
        "lzw": {"compress": "lzw"},
        "tiles": {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"},
    }
    for layout, profile in layouts.items():
        for eighths in range(8):
            yield f"cut at {eighths}/8, {layout}", changed(lambda b, n=eighths: bytes(b[: len(b) * n // 8]), **profile)
        for eighths in range(1, 8):
            yield (
                f"zeroed from {eighths}/8, {layout}",
                changed(lambda b, n=eighths: bytes(b[: len(b) * n // 8]) + bytes(len(b) - len(b) * n // 8), **profile),
            )
        for seed in range(6):
            yield f"noise {seed}, {layout}", changed(lambda b, s=seed: _noise(b, s), **profile)
    for kind in ("uint8", "uint16", "int16", "int32", "uint32", "float32", "float64", "int8", "int64", "uint64"):
        yield f"of {kind}", lambda path, kind=kind: good(path, kind)
    for kind in ("complex64", "complex128"):
        yield f"of {kind}", lambda path, kind=kind: good(path, kind)
    for value in (np.nan, np.inf, -np.inf):
        for count in (1, 100, 2 * SIDE * SIDE):
            yield f"{count} times {value}", with_values(value, count, "float32")
    for value in (1e300, -1e300):
        yield f"beyond float32: {value}", with_values(value, 3, "float64")
        yield f"beyond float32, declared: {value}", with_values(value, 3, "float64", nodata=value)
    for nodata in (np.nan, -3.4028234663852886e38, 0, -9999, 0.1):
        yield f"all nodata: {nodata}", with_values(nodata, 2 * SIDE * SIDE, "float32", nodata=nodata)
    for names in ([], ["RED"], ["RED", "RED"], ["RED", "B4"], ["NIR", "SWIR"], ["red", "nir_narrow"], ["", ""]):
        yield f"names {names}", lambda path, names=names: good(path, names=names)
    for numbers in (
        "nan,1,0,0,0,-1",
        "0,nan,0,0,0,-1",
        "0,0,0,0,0,0",
        "0,1,1,0,1,1",
        "inf,1,0,0,0,-1",
        "0,1e-300,0,0,0,0",
    ):
        where = f"<GeoTransform>{numbers}</GeoTransform>"
        yield f"transform {numbers}", dataset(band(1) + band(2), where)
    for kinds in (("UInt16", "Float32"), ("CInt16", "CInt16"), ("CFloat32", "Int16"), ("Float64", "Byte")):
        yield f"bands of {kinds}", dataset("".join(band(i, kind) for i, kind in enumerate(kinds, 1)))
    yield "a source that is gone", dataset(band(1, source="gone.tif") + band(2, source="gone.tif"))
    yield "a source that is itself", dataset(band(1, source="self.vrt") + band(2, source="self.vrt"))
    yield "a source band that is not there", dataset(band(1) + band(2).replace("<SourceBand>2", "<SourceBand>9"))
    yield "VRT without size", dataset(band(1) + band(2), size="")
    yield "VRT of size 0", dataset(band(1) + band(2), size='rasterXSize="0" rasterYSize="0"')
    yield "VRT of negative size", dataset(band(1) + band(2), size='rasterXSize="-5" rasterYSize="5"')
    yield "VRT that ends early", vrt(f'<VRTDataset rasterXSize="64" rasterYSize="64">{band(1)}')
    yield "an unknown projection", dataset(band(1) + band(2), "<SRS>EPSG:99999999</SRS>")
    yield "text", lambda path: _text(path, "this is not a raster\n")
    yield "nothing", lambda path: _text(path, "")
    yield "HTML of a failed download", lambda path: _text(path, "<html><body>404 Not Found</body></html>")
    yield (
        "a Git LFS pointer",
        lambda path: _text(path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
    )
    yield "a link to nothing", _dangling
    yield "a folder", _folder
    yield "no georeference", lambda path: good(path, crs=None, transform=rasterio.Affine.identity())
    yield "one pixel", lambda path: write(path, pixels()[:, :1, :1], BANDS)
    yield "one row", lambda path: write(path, pixels()[:, :1], BANDS)
    yield "south up", lambda path: good(path, transform=NORTH_UP * rasterio.Affine.scale(1, -1))
    yield "rotated", lambda path: good(path, transform=NORTH_UP * rasterio.Affine.rotation(30))
    yield "a PNG called tif", _png
    yield "three bands", lambda path: write(path, np.concatenate([pixels(), pixels()[:1]]), [*BANDS, "BLUE"])
    yield "a colour table", _palette


def _noise(content: bytearray, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    for place in random.integers(8, len(content), 40):
        content[place] = int(random.integers(256))
    return bytes(content)


def _text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _dangling(path: Path) -> Path:
    path.symlink_to(path.with_name("gone.tif"))
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _png(path: Path) -> Path:
    array = pixels("uint8")
    with rasterio.open(path, "w", driver="PNG", height=SIDE, width=SIDE, count=1, dtype="uint8") as file:
        file.write(array[:1])
    return path


def _palette(path: Path) -> Path:
    with rasterio.open(path, "w", driver="GTiff", height=SIDE, width=SIDE, count=1, dtype="uint8", crs=UTM) as file:
        file.write(pixels("uint8")[:1])
        file.write_colormap(1, {0: (255, 0, 0)})
    return path
