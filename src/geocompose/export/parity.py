"""Whether what was exported says the same as the run's own model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geocompose.errors import UserError
from geocompose.export.tiles import Tiles
from geocompose.imagery.samples import Target
from geocompose.tasks.counting import per_variable

MERGED, PROGRAM = 1e-5, 1e-4  # what differs by more is another model


@dataclass(frozen=True)
class Parity:
    """How far two models are apart.

    difference: the largest over all outputs and batches, as a share of the outputs' size (see `compared`).
    """

    difference: float
    tolerance: float
    origin: str
    batches: tuple[int, ...]

    def as_record(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return {
            "largest_difference": self.difference,
            "tolerance": self.tolerance,
            "tiles": self.origin,
            "batch_sizes": list(self.batches),
        }

    def in_words(self) -> str:
        """Return a line for the terminal."""
        return (
            f"outputs compared on {self.origin}: they differ by {self.difference:.1e} at most (allowed: "
            f"{self.tolerance:.0e})"
        )


def compared(
    what: str,
    reference: Callable[[Tiles], Tensor],
    exported: Callable[[Tiles], Tensor],
    tiles: Tiles,
    target: Target,
    tolerance: float,
) -> Parity:
    """Return how far an exported model is from the run's own, on one tile and on all of them.

    what: what was exported, for messages. A difference of logits counts as a share of the largest logit where that is
    above 1; a difference of numbers in their labels' deviations, likewise.

    Raises:
        UserError: the outputs have other shapes, are not finite, or differ by more than the tolerance.
    """
    batches = tuple(sorted({1, len(tiles.raw)}))
    largest = 0.0
    for size in batches:
        some = tiles.first(size)
        own, given = _own_unit(reference(some), target), exported(some)
        if given.shape != own.shape:
            raise UserError(
                f"The {what} returns {tuple(given.shape)} for a batch of {size}, and the run's model "
                f"{tuple(own.shape)}. Nothing was written."
            )
        given = _own_unit(given, target)
        if not bool(given.isfinite().all()) or not bool(own.isfinite().all()):
            raise UserError(f"The {what} returns NaN or infinity on {tiles.origin}. Nothing was written.")
        scale = max(1.0, float(own.abs().max()))
        largest = max(largest, float((own - given).abs().max()) / scale)
    if largest > tolerance:
        raise UserError(
            f"The {what} does not say what the run's model says: on {tiles.origin} their outputs differ by "
            f"{largest:.2g}, and {tolerance:.0e} is allowed. Nothing was written. Use action.format=bundle, which is "
            "the run's model itself."
        )
    return Parity(largest, tolerance, tiles.origin, batches)


def _own_unit(output: Tensor, target: Target) -> Tensor:
    """Return outputs in double precision: logits, or numbers in deviations of the training's labels."""
    numbers = output.detach().to("cpu", torch.float64)
    if target.of_classes:
        return numbers
    assert target.mean is not None
    assert target.std is not None
    mean, std = (per_variable(values, numbers) for values in (target.mean, target.std))
    return (numbers - mean) / std
