"""What a user is told: one message that says what it got, what is allowed and what to do next."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user wrote or gave can't be used; its text is shown as it is, without a traceback."""


def nearest(name: str, allowed: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of `allowed` that `name` was most likely meant to be, or None where nothing is close."""
    by_folded = {option.casefold(): option for option in allowed}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def at_least(name: str, value: float, least: float) -> None:
    """Refuse a number below what makes sense.

    Raises:
        UserError: names the argument, what it got and the least.
    """
    if not value >= least:
        raise UserError(f"{name} is {least} or more; got {value}.")


def choices(name: object, allowed: Iterable[str], *, most: int = 24) -> str:
    """Return the tail of an error about a wrong name: the nearest right one first, then what is allowed."""
    allowed = list(allowed)
    guess = nearest(str(name), allowed)
    start = f"Did you mean {guess!r}? " if guess else ""
    shown = ", ".join(map(str, allowed[:most]))
    rest = f", ... ({len(allowed)} in all)" if len(allowed) > most else ""
    return f"{start}Allowed: {shown}{rest}."
