"""What pretrained weights have seen, as a backbone declares it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from geocompose.bands import canonical
from geocompose.units import UNITS

Level = Literal["TOA", "BOA"]


@dataclass(frozen=True)
class Pretraining:
    """The images that weights were trained on.

    bands: names of the weights' bands (`geocompose.bands`), in the weights' order; None for a channel without a name.
        They are matched with the model's by name, so that it may have fewer, or in another order.
    unit: what the pixels were before normalisation, a key of `geocompose.units.UNITS`; None where unknown.
    level: top of atmosphere (TOA) or surface (BOA); None where unknown or meaningless.
    mean, std: what was subtracted from each band and what it was divided by, in `unit`; None where unpublished.
    """

    bands: tuple[str | None, ...]
    unit: str | None = None
    level: Level | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        assert self.unit is None or self.unit in UNITS, self.unit
        for numbers in (self.mean, self.std):
            assert numbers is None or len(numbers) == len(self.bands), self

    @property
    def names(self) -> list[str]:
        """The bands that have a name."""
        return [name for name in self.bands if name is not None]

    def lacking(self, bands: Sequence[str]) -> list[str]:
        """Return which of `bands` the weights never saw."""
        there = {canonical(name) for name in self.names}
        return [name for name in bands if canonical(name) not in there]

    def statistics(self, bands: Sequence[str]) -> tuple[list[float], list[float]] | None:
        """Return mean and standard deviation of `bands`, or None where one of them is unpublished or wasn't there."""
        if self.mean is None or self.std is None or self.lacking(bands):
            return None
        place = {canonical(name): index for index, name in enumerate(self.bands) if name is not None}
        places = [place[canonical(name)] for name in bands]
        return [self.mean[at] for at in places], [self.std[at] for at in places]
