"""What pretrained weights have seen, as a backbone declares it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["TOA", "BOA"]


@dataclass(frozen=True)
class Pretraining:
    """The images that weights were trained on, channel by channel of the model that loaded them.

    bands: names of the channels (`geocompose.bands`); None for a channel that the weights don't have.
    unit: what the pixels were before normalisation, such as `reflectance_1e4`; None where unknown or of no physical unit.
    level: top of atmosphere (TOA) or surface (BOA); None where unknown or meaningless.
    mean, std: what was subtracted from each channel and what it was divided by, in `unit`; None where unpublished.
    """

    bands: tuple[str | None, ...]
    unit: str | None = None
    level: Level | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
