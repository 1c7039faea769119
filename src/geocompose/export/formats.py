"""The formats that a run's model is exported to: a line in `FORMATS` each, with what writes it. Loads no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geocompose.export.source import Source

FormatName = Literal["bundle", "merged", "pt2", "onnx"]


# Writes a model to a path where nothing is yet, and returns what the terminal is told, a line each. Raises UserError
# for a model that the format can't hold; what it has written until then is removed.
Write = Callable[[Source, Path], Sequence[str]]


@dataclass(frozen=True)
class Format:
    """A format.

    ending: of its file, beside which its record is written (`model.onnx.json`); empty for a folder, which holds a
        `manifest.json`. write: see `Write`. needs: the requirements file of the packages that it takes
        (`geocompose.catalog.optional`); empty where it takes none.
    """

    ending: str
    write: Write
    needs: str = ""


def _bundle(source: Source, place: Path) -> Sequence[str]:
    from geocompose.export.bundle import write_bundle

    return write_bundle(source, place)


def _merged(source: Source, place: Path) -> Sequence[str]:
    from geocompose.export.merged import write_merged

    return write_merged(source, place)


def _pt2(source: Source, place: Path) -> Sequence[str]:
    from geocompose.export.pt2 import write_pt2

    return write_pt2(source, place)


def _onnx(source: Source, place: Path) -> Sequence[str]:
    from geocompose.export.onnx import write_onnx

    return write_onnx(source, place)


FORMATS: Mapping[FormatName, Format] = {
    "bundle": Format("", _bundle),
    "merged": Format("", _merged),
    "pt2": Format(".pt2", _pt2),
    "onnx": Format(".onnx", _onnx, needs="export"),
}
