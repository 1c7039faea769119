"""What pretrained weights have seen, as a backbone declares it."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

from geocompose.errors import UserError, choices
from geocompose.imagery.bands import canonical
from geocompose.imagery.units import LEVELS, UNITS

Level = Literal["TOA", "BOA"]


@dataclass(frozen=True)
class Pretraining:
    """The images that weights were trained on.

    bands: names of the weights' bands (`geocompose.imagery.bands`), in the weights' order; None for a channel without a
        name. They are matched with the model's by name, so that it may have fewer, or in another order.
    unit: what the pixels were before normalisation, a key of `geocompose.imagery.units.UNITS`; None where unknown.
    level: top of atmosphere (TOA) or surface (BOA); None where unknown or meaningless.
    mean, std: what was subtracted from each band and what it was divided by, in `unit`; None where unpublished.
    taken_for: what a file of your own is taken for where it isn't stated what it has seen; None for weights that are
        known.
    """

    bands: tuple[str | None, ...]
    unit: str | None = None
    level: Level | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    _: KW_ONLY
    taken_for: str | None = None

    def __post_init__(self) -> None:
        assert self.unit is None or self.unit in UNITS, self.unit
        for numbers in (self.mean, self.std):
            assert numbers is None or len(numbers) == len(self.bands), self

    @property
    def names(self) -> list[str]:
        """The bands that have a name."""
        return [name for name in self.bands if name is not None]

    def in_words(self) -> str:
        """Return in a line what is known: bands, unit and level."""
        named = ", ".join(name or "a band without a name" for name in self.bands)
        return f"{named}; unit {self.unit or 'not known'}, level {self.level or 'not known'}"

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


def of_own_file(stated: Mapping[str, object] | None, unstated: Pretraining, of: str) -> Pretraining:
    """Return what the weights in a file of your own have seen.

    stated: `backbone.pretrained_on`: unit and level, null where unknown. unstated: what holds where it doesn't say.
    of: whose weights `unstated` is about, for messages.

    Raises:
        UserError: another key, or a unit or level that there isn't.
    """
    if stated is None:
        return replace(unstated, taken_for=of)
    known: Mapping[str, Mapping[str, str]] = {"unit": UNITS, "level": LEVELS}
    for key, value in stated.items():
        if key not in known:
            raise UserError(f"backbone.pretrained_on has no key {key!r}. {choices(key, known)}")
        if value is not None and value not in known[key]:
            raise UserError(f"backbone.pretrained_on.{key} has no {value!r}. {choices(value, known[key])}")
    own = replace(unstated, **stated)  # type: ignore[arg-type]
    # Published numbers are in the published unit.
    return own if own.unit == unstated.unit else replace(own, mean=None, std=None)


def check_has_file(stated: Mapping[str, object] | None, ckpt_path: str | None) -> None:
    """Refuse `backbone.pretrained_on` beside weights that say themselves what they have seen, or beside none.

    Raises:
        UserError: there is no `backbone.ckpt_path`.
    """
    if stated is not None and ckpt_path is None:
        raise UserError(
            "backbone.pretrained_on says what weights of backbone.ckpt_path have seen, which is null: leave it out."
        )
