"""Channels by number in place of a band's name: enough for random weights, which know nothing of bands."""

from collections.abc import Iterable, Sequence
from numbers import Integral

from geocompose.errors import UserError
from geocompose.imagery.bands import band_names, refuse_modalities

WITHOUT_MEANING = (
    "A number does not say which band it is, so that no pretrained filters can be chosen for it: give the band's name "
    "instead"
)


def channel_names(argument: str, given: Iterable[object]) -> list[str]:
    """Return the names of channels, each once: names of bands as they are, numbers as digits.

    given: names, whole numbers from 0, or pairs of them, [first, last], for all numbers between, both included.

    Raises:
        UserError: an item is something else, a name is misspelt, or a channel is given twice.
    """
    refuse_modalities(argument, given)
    if isinstance(given, str):
        return band_names(argument, given)
    items: list[object] = []
    for item in given:
        items += [item] if _number(item) is None and not isinstance(item, list | tuple) else _numbers(argument, item)
    return band_names(argument, items)


def is_numbered(name: str | None) -> bool:
    """Return whether a channel's name is a number, so that nothing is known of what it shows."""
    return name is not None and name.isdecimal()


def names_alone(names: Sequence[str] | None) -> list[str] | None:
    """Return the names of bands, or None where a channel has a number for one: then nothing is known of them."""
    return None if names is None or any(map(is_numbered, names)) else list(names)


def _numbers(argument: str, item: object) -> list[object]:
    """Return the digits of a number, or of all from the first to the last of a pair."""
    ends = [_number(each) for each in item] if isinstance(item, list | tuple) else [_number(item)]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends) or len(ends) not in (1, 2) or min(known) < 0 or known[0] > known[-1]:
        raise UserError(
            f"{argument} takes names of bands, numbers of channels from 0, or pairs of numbers, first and last; got "
            f"{item!r}. Write for example [BLUE, GREEN, RED], [0, 1, RED] or [[0, 5]]."
        )
    return [str(number) for number in range(known[0], known[-1] + 1)]


def _number(item: object) -> int | None:
    return int(item) if isinstance(item, Integral) and not isinstance(item, bool) else None
