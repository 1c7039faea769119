"""VRT files: rasters described by text, with what writers of rasters refuse and files have all the same."""

from collections.abc import Sequence
from pathlib import Path

_GDAL_TYPES = {"uint8": "Byte", "uint16": "UInt16", "uint32": "UInt32"}


def gdal_type(dtype: str) -> str:
    """Return how GDAL calls a type of numpy."""
    return _GDAL_TYPES.get(dtype, dtype.capitalize())


def vrt_band(
    number: int,
    name: str,
    kind: str,
    source: Path | str,
    source_band: int | None = None,
    *,
    nodata: str | None = None,
    relative: bool = False,
) -> str:
    """Return a band's text. kind: GDAL's type. source_band: of the source, its `number`th where it is not given.

    nodata: what it declares, as text. relative: whether `source` is a path from the VRT's folder.
    """
    declared = "" if nodata is None else f"<NoDataValue>{nodata}</NoDataValue>"
    return (
        f'<VRTRasterBand dataType="{kind}" band="{number}"><Description>{name}</Description>{declared}<SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative:d}">{source}</SourceFilename>'
        f"<SourceBand>{number if source_band is None else source_band}</SourceBand></SimpleSource></VRTRasterBand>"
    )


def write_vrt(path: Path, bands: Sequence[str], height: int, width: int, where: str = "") -> Path:
    """Write a VRT of bands from `vrt_band`. where: its georeference, as text."""
    path.write_text(f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{where}{"".join(bands)}</VRTDataset>')
    return path
