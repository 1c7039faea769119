"""What a decoder needs of the features it is given; declared on its class as `needs`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from geocompose.contracts.features import Layout
from geocompose.errors import UserError, choices, counted

# What decoders of other libraries are told, and ours are not asked for.
FROM_NEIGHBOURS: Mapping[str, str] = {
    **dict.fromkeys(
        ("in_channels", "encoder_channels", "channel_list"),
        "The widths of the features follow from backbone and necks.",
    ),
    "num_classes": "The number of outputs follows from the task.",
}


@dataclass(frozen=True)
class Needs:
    """A decoder's demands.

    levels: least number of features that it reads. most: the greatest; null: any number. pyramid: their resolutions
    differ, finest first; where false, the decoder reads one map (`reads_one`) or does not care. doubling: each is
    exactly half as fine as the one before. powers_of_two: each is a power of two times as fine as any other.
    one_scale: their resolutions are equal. layers: how many layers are chosen of a backbone whose layers all have one
    scale, some twice where it has fewer; null: four for a pyramid, one for a decoder that reads one, else all there
    are.
    reads_one: it reads the last feature alone, so that the others need not be computed.
    skips: features that it passes over before those it reads, except for the first one's size (smp's habit: features of
    the input's resolution, and of half of it where there are two). third_to_last: how many times as fine as the last
    feature the first that it reads has to be, where the decoder joins these two; several numbers, best first, where any
    of them will do.
    coarser: how many times coarser than its coarsest feature a map inside it gets; images are padded to suit.
    layouts: what a feature may be.
    least_width, width_multiple, equal_widths: the widths of the features that it reads are at least so large, multiples
    of that number, or all the same.
    """

    levels: int = 1
    pyramid: bool = False
    doubling: bool = False
    reads_one: bool = False
    one_scale: bool = False
    layers: int | None = None
    skips: int = 0
    third_to_last: int | tuple[int, ...] | None = None
    coarser: int = 1
    layouts: tuple[Layout, ...] = ("NCHW",)
    most: int | None = None
    powers_of_two: bool = False
    least_width: int = 1
    width_multiple: int = 1
    equal_widths: bool = False

    @property
    def ratios(self) -> tuple[int, ...]:
        """How many times as fine as the last feature the joined one may be, best first."""
        given = self.third_to_last
        return () if given is None else (given,) if isinstance(given, int) else given


ANY_FEATURE: tuple[Layout, ...] = ("NCHW", "tokens", "vector")


def reads_feature(index: object, *, layouts: tuple[Layout, ...] = ("NCHW",)) -> Needs:
    """Return the needs of a decoder that reads the feature at `index`, the last by default, or several (a list).

    A written index counts in the backbone's own list of features, so all of them are handed on then.
    """
    return Needs(reads_one=index == -1, layouts=layouts)


def feature_at(channel_list: list[int], index: int, decoder: str, argument: str = "in_index") -> int:
    """Return the width of the feature that a decoder reads; `argument` names the index in messages.

    Raises:
        UserError: there is no such feature.
    """
    count = len(channel_list)
    if isinstance(index, bool) or not isinstance(index, int) or not -count <= index < count:
        raise UserError(
            f"{decoder}: {argument} goes from {-count} to {count - 1} for {counted(count, 'feature')}; got {index}."
        )
    return channel_list[index]


def layers_for(widths: object, least: int) -> int | None:
    """Return how many layers a decoder takes by its list of one width per layer; None where nothing follows from it."""
    return (
        len(widths) if isinstance(widths, Sequence) and not isinstance(widths, str) and len(widths) >= least else None
    )


def needs_of(target: Any, arguments: Mapping[str, Any]) -> Needs:
    """Return what a decoder class (or a finished decoder) needs when it is built with these arguments.

    A class declares `needs`; where its arguments matter, it has a function `needs_given(arguments)`, and each decoder
    has its own `needs`. One that declares nothing takes any maps.

    Raises:
        UserError: what it declares is not a `Needs`.
    """
    if isinstance(target, type) and hasattr(target, "needs_given"):
        declared = target.needs_given(arguments)
    else:
        declared = getattr(target, "needs", None)
    if declared is None:
        return Needs()
    if not isinstance(declared, Needs):
        name = target.__name__ if isinstance(target, type) else type(target).__name__
        raise UserError(
            f"The decoder {name} declares needs = {declared!r}, which is not a Needs. {_as_needs(declared)}"
        )
    return declared


def _as_needs(declared: object) -> str:
    """Return what to write instead of needs of another type."""
    known = [field.name for field in fields(Needs)]
    arguments = "levels=2, pyramid=True"
    if isinstance(declared, Mapping) and declared:
        unknown = [name for name in declared if name not in known]
        if unknown:
            return f"Needs has no {unknown[0]!r}. {choices(str(unknown[0]), known)}"
        arguments = ", ".join(f"{name}={value!r}" for name, value in declared.items())
    return f"Write needs = Needs({arguments}), from geocompose.contracts.needs."
