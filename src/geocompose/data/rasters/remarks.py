"""What is said of rasters as they are opened: once per kind, with the files that it holds for."""

import logging
from collections.abc import Collection, Iterable
from typing import Protocol

from geocompose.data.rasters.file import RasterPath
from geocompose.errors import counted

log = logging.getLogger("geocompose")


class Remarked(Protocol):
    """A raster with what is to be said of it.

    remarks: the same text for the same kind, without the file's name.
    """

    remarks: list[str]

    @property
    def path(self) -> RasterPath:
        """Its file."""


def say_remarks(rasters: Iterable[Remarked], known: Collection[str] = ()) -> set[str]:
    """Say each remark once, with its first file and the number of the others, and return those that were said.

    known: what was said earlier, and is not said again.
    """
    paths: dict[str, list[RasterPath]] = {}
    for raster in rasters:
        for remark in raster.remarks:
            if remark not in known:
                paths.setdefault(remark, []).append(raster.path)
    for remark, files in paths.items():
        more = f" and {counted(len(files) - 1, 'further file')}" if len(files) > 1 else ""
        log.warning("%s%s: %s", files[0], more, remark)
    return set(paths)
