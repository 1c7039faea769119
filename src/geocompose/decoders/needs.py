"""What a decoder needs of the features it is given; declared on its class as `needs`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geocompose.features import Layout


@dataclass(frozen=True)
class Needs:
    """A decoder's demands.

    levels: least number of features that it reads. pyramid: their resolutions differ, finest first; where false, the
    decoder reads one map (`reads_one`) or does not care. doubling: each is exactly half as fine as the one before.
    one_scale: their resolutions are equal. layers: how many layers are chosen for a decoder that needs no pyramid, of a
    backbone whose layers all have one scale; null: one for a decoder that reads one, else all.
    skips: features that it passes over before those it reads, except for the first one's size (smp's habit: features of the
    input's resolution, and of half of it where there are two). third_to_last: how many times as fine as the last feature the
    third has to be, where the decoder joins these two.
    coarser: how many times coarser than its coarsest feature a map inside it gets; images are padded to suit.
    layouts: what a feature may be.
    """

    levels: int = 1
    pyramid: bool = False
    doubling: bool = False
    reads_one: bool = False
    one_scale: bool = False
    layers: int | None = None
    skips: int = 0
    third_to_last: int | None = None
    coarser: int = 1
    layouts: tuple[Layout, ...] = ("NCHW",)


ANY_FEATURE: tuple[Layout, ...] = ("NCHW", "tokens", "vector")


def needs_of(target: Any, arguments: Mapping[str, Any]) -> Needs:
    """Return what a decoder class (or a finished decoder) needs when it is built with these arguments.

    A class declares `needs`; where its arguments matter, it has a function `needs_given(arguments)`, and each decoder has
    its own `needs`. One that declares nothing takes any maps.
    """
    if isinstance(target, type) and hasattr(target, "needs_given"):
        return target.needs_given(arguments)
    declared = getattr(target, "needs", None)
    return declared if isinstance(declared, Needs) else Needs()
