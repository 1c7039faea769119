"""predictions.npz: what the model says of each test tile, and the labels, small enough to stay with every run."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from geocompose.errors import counted
from geocompose.imagery.samples import Target
from geocompose.runs.arrays import write_arrays
from geocompose.tasks.counting import is_labelled, labels, predicted

log = logging.getLogger("geocompose")

# float16 is enough where rounding changes no value by more than this share of the labels' standard deviation.
_SMALL_CHANGE = 0.01


class Predictions(Callback):
    """Keeps what is predicted while the test split is scored, and writes it.

    num_tiles: tiles of the split. limit_mb: larger arrays (in MB, before they are compressed) are not kept; 0 keeps
    none, None has no limit.
    """

    def __init__(self, target: Target, num_tiles: int, limit_mb: int | None) -> None:
        self._target, self._num_tiles, self._limit_mb = target, num_tiles, limit_mb
        self._arrays: dict[str, np.ndarray] = {}
        self._seen = np.zeros(num_tiles, dtype=bool)
        self._too_large_mb: float | None = None

    def on_test_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Mapping[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take a batch's output, labels and tiles as `test_step` returns them: those of all processes."""
        if self._limit_mb == 0 or self._too_large_mb is not None:
            return
        assert isinstance(outputs, Mapping), "test_step returns the batch's output, labels and tiles"
        found = {name: part.cpu().numpy() for name, part in _parts(outputs, self._target).items()}
        if not self._arrays and not self._make_room(found):
            return
        tiles = outputs["tile"].cpu().numpy()
        for name, values in found.items():
            self._arrays[name][tiles] = values
        self._seen[tiles] = True

    def write(self, path: Path) -> None:
        """Write the arrays (see docs/records.md), or say why there are none; an earlier file does not stay.

        Raises:
            UserError: see `geocompose.runs.atomic.explained`.
        """
        if not self._arrays:
            path.unlink(missing_ok=True)
            if self._too_large_mb is not None:
                log.info(
                    "%s is left out: %s take %.0f MB, and action.predictions_mb is %d.",
                    path.name, counted(self._num_tiles, "test tile"), self._too_large_mb, self._limit_mb,
                )  # fmt: skip
            return
        assert self._seen.all(), f"{np.count_nonzero(~self._seen)} of {self._num_tiles} test tiles were not scored here"
        arrays = self._arrays if self._target.of_classes else self._narrowed(path.name)
        write_arrays(path, arrays)

    def _make_room(self, found: Mapping[str, np.ndarray]) -> bool:
        """Allocate arrays for the whole split, where they are not too large."""
        size_mb = sum(part[:1].nbytes for part in found.values()) * self._num_tiles / 1e6
        if self._limit_mb is not None and size_mb > self._limit_mb:
            self._too_large_mb = size_mb
            return False
        self._arrays = {name: np.empty((self._num_tiles, *part.shape[1:]), part.dtype) for name, part in found.items()}
        return True

    def _narrowed(self, name: str) -> dict[str, np.ndarray]:
        """Return numbers as float16, or as they are (float32) where that would change one noticeably."""
        assert self._target.std is not None, "known after the data's setup"
        for place, (variable, std) in enumerate(zip(self._target.names, self._target.std, strict=True)):
            change = max(_change(values[:, place]) for values in self._arrays.values())
            if change > _SMALL_CHANGE * std:
                log.info("%s holds float32: float16 would change a value of %s by up to %.3g.", name, variable, change)
                return self._arrays
        return {name: values.astype(np.float16) for name, values in self._arrays.items()}


def _parts(batch: Mapping[str, Tensor], target: Target) -> dict[str, Tensor]:
    """Return a batch's predictions and labels, and of whole images' classes how likely each is, in their final types.

    Numbers are still float32.
    """
    output = batch["output"]
    said, truth = predicted(output, target), labels(batch, target)
    if not target.of_classes:
        return {"prediction": said.float(), "label": truth.float()}
    dtype = torch.uint8 if len(target.names) <= 255 else torch.uint16
    known = is_labelled(truth, target)
    # Classes are numbered from 0; the largest number of the type stands for no label.
    truth = torch.where(known, truth.long(), torch.iinfo(dtype).max)
    parts = {"prediction": said.to(dtype), "label": truth.to(dtype)}
    if not target.pixel_wise:
        scores = output.float().sigmoid() if target.kind == "multilabel" else output.float().softmax(dim=1)
        parts["score"] = scores.half()
    return parts


def _change(values: np.ndarray) -> float:
    """Return the most by which float16 would change a value: infinity where one is beyond it."""
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        return float(np.abs(finite.astype(np.float16).astype(np.float32) - finite).max(initial=0.0))
