"""What was learnt of a foreign model on the meta device, kept for the next time that it is built alike.

A composition is tried before it is built, by the same lines: what the trial learnt is not learnt again.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from torch import nn

T = TypeVar("T")

MOST = 256  # of the latest; more than a sweep over all options of conf/ builds

_known: OrderedDict[Hashable, object] = OrderedDict()


def remembered(key: Sequence[object], learn: Callable[[], T]) -> T:
    """Return what `learn` returned for an equal key, else what it returns now.

    key: everything that the answer depends on, and first of all what is asked, such as a function. What can't be
        compared, such as an array, is learnt each time.
    """
    try:
        place = _frozen(list(key))
        hash(place)
    except TypeError:
        return learn()
    if place not in _known:
        _known[place] = learn()
        if len(_known) > MOST:
            _known.popitem(last=False)
    _known.move_to_end(place)
    return _known[place]  # type: ignore[return-value]


def looked_at(key: Sequence[object], look: Callable[[], tuple[T, nn.Module]]) -> tuple[T, nn.Module | None]:
    """Return what `look` finds of a module in shapes alone, and that module; None where the answer was known already.

    key: see `remembered`; the module itself is not kept.
    """
    shells: list[nn.Module] = []

    def learn() -> T:
        found, module = look()
        shells.append(module)
        return found

    return remembered(key, learn), shells[0] if shells else None


def forget() -> None:
    """Let everything be learnt anew."""
    _known.clear()


def _frozen(value: object) -> Hashable:
    """Return a key in place of a value; numbers of different types are different, as `1` and `True` are."""
    if isinstance(value, Mapping):
        return "mapping", tuple((_frozen(key), _frozen(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return "list", tuple(_frozen(each) for each in value)
    return type(value), value
