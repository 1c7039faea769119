"""Where a prediction goes: checked before anything is computed, in place only when it is complete."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from geocompose.data.rasters.file import check_name_is_text, is_local
from geocompose.errors import UserError

GEOTIFF = (".tif", ".tiff")
TABLE = (".csv",)
# What GDAL and other programs keep beside a raster; left there, they would describe the raster that was replaced.
SIDE_FILES = (".aux.xml", ".ovr", ".msk")


def check_name(destination: Path, endings: Sequence[str], sources: Sequence[str | Path]) -> None:
    """Refuse a file whose name can't be a prediction's or that would overwrite a source; writes nothing.

    endings: what its name may end with.

    Raises:
        UserError: it is a folder, has another ending, or is one of `sources`.
    """
    check_name_is_text(destination)
    if destination.is_dir():
        example = destination / f"prediction{endings[0]}"
        raise UserError(f"action.output={destination} is a folder. Name the file to write in it, such as {example}.")
    if destination.suffix.lower() not in endings:
        kind = "a table" if tuple(endings) == TABLE else "GeoTIFF"
        raise UserError(
            f"This run's predictions are written as {kind}: {destination} should end with {' or '.join(endings)}."
        )
    resolved = destination.resolve()
    if any(is_local(source) and Path(source).resolve() == resolved for source in sources):
        raise UserError(
            f"{destination} is the raster to be predicted; the prediction would overwrite it. Name another file."
        )


def check_destination(destination: Path, endings: Sequence[str], sources: Sequence[str | Path]) -> None:
    """Refuse a file that can't become a prediction or would overwrite a source; make its folder.

    Raises:
        UserError: see `check_name`; or its folder can't be made or written to.
    """
    check_name(destination, endings, sources)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {destination.parent} can't be made: {error.strerror}. Name another target."
        ) from error
    if not os.access(destination.parent, os.W_OK):
        raise UserError(f"The folder {destination.parent} can't be written to. Name another target.")


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Yield the path to write a raster to, which takes `destination`'s place at the end, or is removed on an error."""
    partial = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, destination)
    finally:
        partial.unlink(missing_ok=True)
    for ending in SIDE_FILES:
        destination.with_name(destination.name + ending).unlink(missing_ok=True)
