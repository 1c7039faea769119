"""Reading several rasters on one grid for a model that was trained on such: Sentinel-1 beside Sentinel-2, say."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rasterio.io import DatasetReader

from geocompose.data.files.grids import check_alike
from geocompose.data.rasters.file import Header
from geocompose.errors import UserError
from geocompose.imagery.bands import canonical
from geocompose.imagery.units import Conversion
from geocompose.inference.source import BandReader, available_bands, open_raster
from geocompose.inference.windows import Box


class Reader(Protocol):
    """What reads windows of one raster or of several."""

    def read(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return the normalised pixels of `box`, float32 (C, [T,] h, w), and which of them are valid, bool (h, w)."""


@dataclass(frozen=True)
class FurtherRaster:
    """A raster beside the first: its path and nodata value.

    training_names: the names that its bands were given in training, if any.
    """

    path: str
    training_names: Sequence[str] | None = None
    nodata: float | None = None


class StackedReader:
    """A model's view of several open rasters on one grid: each wanted band from the raster that has it.

    The arguments are those of `BandReader`, which are for the first raster where each may have its own.

    Raises:
        UserError: as `BandReader`; also a raster on another grid than the first, or a band that none or several have.
    """

    def __init__(
        self,
        dataset: DatasetReader,
        further: Sequence[tuple[FurtherRaster, DatasetReader]],
        *,
        bands: Sequence[str],
        band_names: Sequence[str] | None,
        training_names: Sequence[str] | None,
        mean: Sequence[float],
        std: Sequence[float],
        nodata: float | None,
        conversions: Sequence[Conversion] | None = None,
        num_frames: int = 1,
    ) -> None:
        rasters = [(dataset, band_names, training_names, nodata)]
        for raster, opened in further:
            check_alike(Path(dataset.name), Header(dataset), Path(opened.name), Header(opened), what="further raster")
            rasters.append((opened, None, raster.training_names, raster.nodata))
        names = [
            available_bands(opened, bands, given, trained, num_frames=num_frames)
            for opened, given, trained, _ in rasters
        ]
        owners = [_owner(band, names, [opened.name for opened, *_ in rasters]) for band in bands]
        self._parts: list[tuple[list[int], BandReader]] = []
        for number, (opened, given, trained, missing) in enumerate(rasters):
            places = [place for place, owner in enumerate(owners) if owner == number]
            if places:
                own: dict[str, Any] = {
                    "bands": [bands[place] for place in places],
                    "mean": [mean[place] for place in places],
                    "std": [std[place] for place in places],
                    "conversions": None if conversions is None else [conversions[place] for place in places],
                }
                reader = BandReader(
                    opened, band_names=given, training_names=trained, nodata=missing, num_frames=num_frames, **own
                )
                self._parts.append((places, reader))

    def read(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return what `BandReader.read` does; a pixel is valid where it is in every raster that is read."""
        planes: dict[int, np.ndarray] = {}
        valid = np.ones((box.height, box.width), dtype=bool)
        for places, reader in self._parts:
            pixels, there = reader.read(box)
            planes.update(zip(places, pixels, strict=True))
            valid &= there
        image = np.stack([planes[place] for place in range(len(planes))])
        image[..., ~valid] = 0
        return image, valid


def open_reader(
    stack: ExitStack, dataset: DatasetReader, further: Sequence[FurtherRaster], reading: dict[str, Any]
) -> Reader:
    """Return what reads a raster, together with further ones, which stay open as long as `stack`.

    reading: the arguments of `BandReader`.

    Raises:
        UserError: see `BandReader` and `StackedReader`.
    """
    if not further:
        return BandReader(dataset, **reading)
    opened = [(raster, stack.enter_context(open_raster(raster.path))) for raster in further]
    return StackedReader(dataset, opened, **reading)


def _owner(band: str, names: Sequence[Sequence[str]], files: Sequence[str]) -> int:
    owners = [number for number, own in enumerate(names) if canonical(band) in map(canonical, own)]
    if not owners:
        there = "; ".join(f"{file} has {', '.join(own)}" for file, own in zip(files, names, strict=True))
        raise UserError(f"The model wants the band {band!r}, which none of the rasters has: {there}.")
    if len(owners) > 1:
        raise UserError(
            f"{' and '.join(files[number] for number in owners)} both have the band {band!r}. Rename it in one of them."
        )
    return owners[0]
