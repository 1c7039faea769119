"""Samples to compare two programs on: of the run's own data where it is here, else made."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geocompose.data.fitting import fitted_image
from geocompose.data.module import SceneData
from geocompose.data.normalization import Normalization, beside
from geocompose.data.split import SPLITS
from geocompose.data.window import Region
from geocompose.errors import UserError, counted, unwrapped
from geocompose.export.source import Source
from geocompose.imagery.coordinates import BATCH_KEYS
from geocompose.imagery.samples import Inputs

log = logging.getLogger("geocompose")

COUNT = 3  # more than one, so that a batch of another size than that of the export is tried
_SEARCHED = 64  # tiles of a split in which a valid pixel is looked for


@dataclass(frozen=True)
class Tiles:
    """A batch of samples.

    raw: in the unit that the model reads, float32 (B, bands, [frames,] tile_px, tile_px); NaN where there is no data.
    normalized: the same, as training gives it to the model. coordinates: what a model is given beside, by name.
    origin: where they come from, in words.
    """

    raw: Tensor
    normalized: Tensor
    coordinates: Mapping[str, Tensor]
    origin: str

    def first(self, count: int) -> "Tiles":
        """Return the first so many."""
        beside = {name: value[:count] for name, value in self.coordinates.items()}
        return Tiles(self.raw[:count], self.normalized[:count], beside, self.origin)


def tiles_of(source: Source) -> Tiles:
    """Return samples of the run's data, of its test split where that has some; made ones where it is not here."""
    recorded = source.run.record.data
    try:
        data = source.open_data()
    except UserError as error:
        log.warning(
            "The outputs are compared on made tiles, not on real ones: the run's data is not here (%s)",
            unwrapped(error),
        )
        return made_tiles(recorded)
    return real_tiles(data, recorded)


def real_tiles(data: SceneData, recorded: Mapping[str, Any]) -> Tiles:
    """Return the first samples with valid pixels, of the test split, else of the next that has any.

    data: with the bands and units of the training; its `setup` is not needed. recorded: what the record says of it.

    Raises:
        UserError: a file can't be read, or no split has a tile with data.
    """
    for split in reversed(SPLITS):
        found: list[_Sample] = []
        for tile in data.tile_windows(split)[:_SEARCHED]:
            sample = _read(data, tile, recorded)
            if sample is not None:
                found.append(sample)
            if len(found) == COUNT:
                break
        if found:
            origin = f"{counted(len(found), 'tile')} of the run's {split} split"
            return _stacked([found[place % len(found)] for place in range(COUNT)], recorded, origin)
    raise UserError(f"The run's data has no tile with data among the first {_SEARCHED} of each split.")


def made_tiles(recorded: Mapping[str, Any]) -> Tiles:
    """Return samples of random values with the mean and deviation of the training's, the same each time."""
    inputs = Inputs.from_record(recorded)
    frames = (inputs.num_frames,) if inputs.num_frames > 1 else ()
    shape = (COUNT, len(inputs.bands), *frames, inputs.tile_px, inputs.tile_px)
    drawn = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    ndim = len(shape) - 1
    mean, std = (beside(np.asarray(recorded["normalization"][key], np.float32), ndim) for key in ("mean", "std"))
    samples = [
        _Sample(raw, _normalized(raw, np.ones(raw.shape[-2:], bool), recorded), {}) for raw in drawn * std + mean
    ]
    return _stacked(samples, recorded, "made tiles")


@dataclass(frozen=True)
class _Sample:
    raw: np.ndarray
    normalized: np.ndarray
    coordinates: Mapping[str, np.ndarray]


def _read(data: SceneData, tile: Region, recorded: Mapping[str, Any]) -> _Sample | None:
    """Return a sample; None where it has no valid pixel."""
    raw, valid = data.scenes[tile.scene].read_image(tile.window, data.selected_places(tile.scene))
    if not valid.any():
        return None
    size = int(recorded["tile_px"])
    normalized = fitted_image(_normalized(raw, valid, recorded), size)
    below, right = (max(0, size - side) for side in raw.shape[-2:])
    if max(raw.shape[-2:]) > size:  # shrunk after it was normalised: what a program is given is shrunk already
        mean, std = (
            beside(np.asarray(recorded["normalization"][key], np.float32), raw.ndim) for key in ("mean", "std")
        )
        raw = normalized * std + mean
    else:
        raw = np.where(valid, raw, np.float32(np.nan))
        raw = np.pad(raw, (*[(0, 0)] * (raw.ndim - 2), (0, below), (0, right)), constant_values=np.nan)
    return _Sample(raw.astype(np.float32), normalized, data.coordinates.of(tile.scene, tile.window))


def _normalized(raw: np.ndarray, valid: np.ndarray, recorded: Mapping[str, Any]) -> np.ndarray:
    return Normalization(recorded["normalization"]["mean"], recorded["normalization"]["std"])(raw, valid)


def _stacked(samples: Sequence[_Sample], recorded: Mapping[str, Any], origin: str) -> Tiles:
    inputs = Inputs.from_record(recorded)
    sizes = {"time": (inputs.num_frames, 2), "location": (2,)}
    beside = {
        BATCH_KEYS[name]: torch.from_numpy(
            np.stack(
                [
                    np.asarray(sample.coordinates.get(BATCH_KEYS[name], np.full(sizes[name], np.nan)), np.float32)
                    for sample in samples
                ]
            )
        )
        for name in inputs.coordinates
    }
    raw, normalized = (
        torch.from_numpy(np.stack([np.asarray(getattr(sample, part), np.float32) for sample in samples]))
        for part in ("raw", "normalized")
    )
    return Tiles(raw, normalized, beside, origin)
