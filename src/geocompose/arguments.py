"""What the arguments of parts have in common: whole numbers, lists of them (plain or from a configuration) and dropout."""

from collections.abc import Sequence
from numbers import Integral

from geocompose.errors import UserError


def whole_number(name: str, value: object, least: int | None = None) -> int:
    """Return `value` as an int.

    Raises:
        UserError: it is no whole number, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or (least is not None and value < least):
        bound = f" from {least} on" if least is not None else ""
        raise UserError(f"{name} is a whole number{bound}; got {value!r}.")
    return int(value)


def whole_numbers(name: str, values: object, least: int | None = None, *, example: str = "[32, 16]") -> list[int]:
    """Return a copy of a list (a tuple, a configuration's list) as a list of ints.

    Raises:
        UserError: it is no list, or holds something else than whole numbers from `least` on.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise UserError(f"{name} is a list, such as {example}; got {values!r}.")
    return [whole_number(f"Each of {name}", value, least) for value in values]


def dropout_rate(name: str, value: object) -> float:
    """Return `value` as a float.

    Raises:
        UserError: it is no number from 0 to below 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UserError(f"{name} is from 0 to below 1; got {value!r}.")
    return float(value)
