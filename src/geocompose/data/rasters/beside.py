"""The files that GDAL reads with a raster: masks, overviews, metadata and world files beside it, sources of a VRT."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path

from geocompose.data.rasters.file import file_on_disk, reopened

# Names that may have files beside a GeoTIFF which GDAL reads; whether it reads one, GDAL itself says.
_AFTER_NAME = (".aux.xml", ".msk", ".ovr", ".msk.ovr", ".aux")
_AFTER_STEM = (".aux", ".tfw", ".tifw", ".tiffw", ".wld", ".tab", ".imd", ".rpb", ".xml", "_rpc.txt", "_metadata.txt")
_OF_ONE_FILE = (".tif", ".tiff")
_STATISTICS = "STATISTICS_"


def files_beside(rasters: Iterable[Path]) -> list[Path]:
    """Return the further files that GDAL reads with these rasters, each once; no pixel is read.

    A GeoTIFF without such a name beside it is not opened. Files that hold nothing but statistics, as viewers write
    them, change nothing and are left out.

    Raises:
        UserError: a raster that has to be opened for this can't be.
    """
    listed: dict[str, set[str]] = {}
    found: dict[Path, None] = {}
    looked_at: set[str] = set()
    left = list(rasters)
    while left:
        raster = left.pop()
        path = os.path.abspath(raster)
        if path in looked_at:
            continue
        looked_at.add(path)
        if not _may_have_more(path, listed):
            continue
        for name in reopened(raster).files:
            on_disk = file_on_disk(name)
            if on_disk is None:
                # What a VRT names and is not there: whoever hashes the files says so.
                on_disk = None if name.startswith("/vsi") or "://" in name else name
            if on_disk is None or os.path.abspath(on_disk) == path or _says_nothing(on_disk):
                continue
            found[Path(on_disk)] = None
            if raster.suffix.lower() == ".vrt" and os.path.isfile(on_disk):
                left.append(Path(on_disk))  # a source has files beside it too, or is a VRT itself
    return list(found)


def _may_have_more(path: str, listed: dict[str, set[str]]) -> bool:
    folder, name = os.path.split(path)
    stem, ending = os.path.splitext(name.lower())
    if ending in (".aux", ".xml", ".msk", ".ovr", ".txt", ".imd", ".rpb"):
        return False  # such a file itself, among the sources of a VRT
    if ending not in _OF_ONE_FILE:
        return True
    if folder not in listed:
        listed[folder] = {each.lower() for each in os.listdir(folder)} if os.path.isdir(folder) else set()
    there = listed[folder]
    return any(name.lower() + each in there for each in _AFTER_NAME) or any(
        stem + each in there for each in _AFTER_STEM
    )


def _says_nothing(path: str) -> bool:
    """Return whether a file of metadata holds statistics and histograms alone."""
    if not path.endswith(".aux.xml"):
        return False
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError):
        return False
    return all(_is_statistics(part) for part in root)


def _is_statistics(part: ElementTree.Element) -> bool:
    if part.tag == "PAMRasterBand":
        return all(_is_statistics(inner) for inner in part)
    if part.tag == "Metadata":
        return not part.get("domain") and all((item.get("key") or "").startswith(_STATISTICS) for item in part)
    return part.tag == "Histograms"
