"""What the sources of a VRT say of their pixels, and the VRT itself does not: their masks, alpha bands and nodata."""

import warnings
from typing import NamedTuple

import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader

_MOST_OPENED = 64  # sources of a mosaic that are looked at; thousands would take long, and mosaics are of one kind


class _Says(NamedTuple):
    masks: bool
    nodata: tuple[float, ...]


def unused_by(vrt: DatasetReader) -> list[str]:
    """Return what is to be said of a VRT of which more pixels count than of its sources; empty for other formats.

    GDAL reads the values of sources alone. A VRT that gdalbuildvrt or gdal_translate wrote repeats which of them hold
    data; one that was written by hand may lack that. The texts name no file: they are the same for all of a kind.
    """
    flags = [set(of_band) for of_band in vrt.mask_flag_enums]
    masked = any(MaskFlags.per_dataset in of_band for of_band in flags) or ColorInterp.alpha in vrt.colorinterp
    if vrt.driver != "VRT" or masked:
        return []
    sources = [says for name in vrt.files[1 : _MOST_OPENED + 1] if (says := _says(name)) is not None]
    found = []
    if any(says.masks for says in sources):
        found.append(
            "it is a VRT without a mask of sources that have masks or alpha bands: pixels that these hide count as "
            "data. Write it with gdalbuildvrt or gdal_translate, or write a MaskBand into it."
        )
    if all(of_band == {MaskFlags.all_valid} for of_band in flags):
        values = dict.fromkeys(value for says in sources for value in says.nodata)
        if values:
            shown = ", ".join(f"{value:.10g}" for value in values)
            found.append(
                f"it is a VRT without a nodata value of sources that declare {shown}: such pixels count as data, "
                "unless the value is given. Write a NoDataValue into it if they hold none."
            )
    return found


def _says(name: str) -> _Says | None:
    """Return what a source says of its pixels; None where it can't be read, which whoever reads the VRT says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(name) as source:
                flags = [set(of_band) for of_band in source.mask_flag_enums]
                masks = any(MaskFlags.per_dataset in of_band for of_band in flags)
                masks |= ColorInterp.alpha in source.colorinterp  # of floating numbers it is no mask of GDAL's
                values = [value for value in source.nodatavals if value is not None]
    except RasterioIOError:
        return None
    return _Says(masks, tuple(dict.fromkeys(values)))
