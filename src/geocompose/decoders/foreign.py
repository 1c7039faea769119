"""What the adapters of other libraries' decoders share: checks of arguments, which the libraries make late or never."""

from collections.abc import Callable, Container, Mapping, Sequence
from fractions import Fraction
from typing import Any

from geocompose.arguments import dropout_rate, plain, whole_number, whole_numbers
from geocompose.errors import UserError, choices

Strides = Sequence[int | Fraction] | None
Check = Callable[[str, Any], None]


def at_least(least: int) -> Check:
    """Return the check of a whole number, `least` or more."""

    def check(name: str, value: Any) -> None:
        whole_number(name, value, least)

    return check


def widths(name: str, value: Any) -> None:
    """Refuse what is not a list of one or more whole numbers above 0."""
    if not whole_numbers(name, value, 1):
        raise UserError(f"{name} must be a list of one or more, such as [1, 2]; got [].")


def count_of(count: int) -> Check:
    """Return the check of a list of so many whole numbers above 0."""

    def check(name: str, value: Any) -> None:
        if len(whole_numbers(name, value, 1)) != count:
            raise UserError(f"{name} must be a list of {count} whole numbers; got {value!r}.")

    return check


def share(name: str, value: Any) -> None:
    """Refuse what is not a number from 0 to below 1."""
    dropout_rate(name, value)


def switch(name: str, value: Any) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise UserError(f"{name} must be true or false; got {value!r}.")


def one_of(*allowed: Any) -> Check:
    """Return the check of a value that is one of `allowed`."""

    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise UserError(f"{name} has no value {value!r}. {choices(value, map(str, allowed))}")

    return check


def checked(
    part: str,
    place: str,
    given: Mapping[str, Any],
    allowed: Sequence[str],
    checks: Mapping[str, Check],
    *,
    follows: Mapping[str, str],
    null_is_a_value: Container[str] = (),
) -> dict[str, Any]:
    """Return the arguments given for a decoder as plain values, without those that are null and filled in.

    part, place: how messages name the decoder, and what stands before an argument's value there. allowed: the names
    that it takes. checks: by name. follows: what a user can't give, each with the reason. null_is_a_value: names of
    which a null is handed on.

    Raises:
        UserError: the decoder has no such argument, or can't take its value.
    """
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name not in allowed:
            if name in follows:
                raise UserError(f"{part} takes no decoder.kwargs.{name}: it {follows[name]}. Leave it out.")
            raise UserError(
                f"{part} takes no argument {name!r}. {choices(name, allowed)} Give it as decoder.kwargs.NAME, or as "
                "decoder_NAME to build_model."
            )
        if value is not None:
            kept[name] = plain(value)
            if name in checks:
                checks[name](f"{place}: {name}", kept[name])
        elif name in null_is_a_value:
            kept[name] = None
    return kept


def shown(strides: Sequence[int | Fraction]) -> list[float]:
    """Return strides as a message shows them: whole numbers where they are."""
    return [float(stride) if stride % 1 else int(stride) for stride in strides]
