"""What a user is told: one message that says what it got, what is allowed and what to do next."""

import difflib
import logging
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath

# What other people's constructors and forwards raise where an argument or a size doesn't suit them.
FOREIGN_ERRORS = (TypeError, ValueError, RuntimeError, AssertionError, LookupError, AttributeError)


class UserError(ValueError):
    """Something the user wrote or gave can't be used; its text is shown as it is, without a traceback.

    part: the part of a composition that it is about, named as its config group is (`backbone`, `neck`, ...), where
        known.
    """

    part: str | None = None


# How alike two names are, from 0 to 1: from `SLIP` upwards, one is the other with a slip of the pen. Of several that
# may be meant, those within `AS_NEAR` of the best are offered.
SLIP, AS_NEAR = 0.85, 0.05
SAME_LENGTH = 0.02  # a sign for another one is the likelier slip, where numbers tell names apart


def likely(name: str, spellings: Mapping[str, str], *, cutoff: float = 0.6, most: int = 3) -> list[str]:
    """Return what `name` was most likely meant to be, the likeliest first; nothing where nothing is close.

    spellings: every way to write a name -> the way in which it is offered; of equal ones the first counts.
    cutoff: from 0 to 1, how alike two names have to be.
    """
    meant = name.casefold()
    offered = {each.casefold(): full for each, full in reversed(list(spellings.items()))}
    alike = {
        each: difflib.SequenceMatcher(a=each, b=meant).ratio() + SAME_LENGTH * (len(each) == len(meant))
        for each in difflib.get_close_matches(meant, offered, n=8, cutoff=cutoff)
    }
    slips = [each for each in alike if alike[each] >= SLIP]
    # A name with more to it, such as a class's (UNetDecoder of unet), is more than one that merely looks alike.
    begun = sorted((each for each in offered if len(each) > 2 and meant.startswith(each)), key=len)[-1:]
    if begun and not slips:
        return [offered[begun[0]]]
    near = sorted(
        (each for each in alike if alike[each] > max(alike.values()) - AS_NEAR), key=lambda each: -alike[each]
    )
    return list(dict.fromkeys(offered[each] for each in near))[:most]


def nearest(name: str, allowed: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of `allowed` that `name` was most likely meant to be, or None where nothing is close."""
    return next(iter(likely(name, {each: each for each in allowed}, cutoff=cutoff)), None)


def did_you_mean(name: str, spellings: Mapping[str, str], *, cutoff: float = 0.6) -> str:
    """Return a question after what was meant, with a space behind it, or "" where nothing is close; see `likely`."""
    found = likely(name, spellings, cutoff=cutoff)
    return f"Did you mean {' or '.join(map(repr, found))}? " if found else ""


# Unicode's classes of characters that turn the order of those that follow.
_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def visible(text: str) -> str:
    """Return a text for a terminal or a log: what would command a terminal is written as it is in Python, `\\x1b`.

    Names out of files may hold such characters: they clear the screen, set its title or turn the order of letters.
    """
    if text.isprintable():
        return text
    hidden = {
        each
        for each in text
        if (unicodedata.category(each) == "Cc" and each not in "\n\t") or unicodedata.bidirectional(each) in _TURNS
    }
    return text.translate({ord(each): each.encode("unicode_escape").decode() for each in hidden})


def first_line(error: BaseException) -> str:
    """Return what an error says, its first line without the full stop; the name of its type where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__).rstrip(". ")


def in_one_line(error: BaseException) -> str:
    """Return the first line of an error, after its type's name unless it was written for a reader (ValueError)."""
    said = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, ValueError) and said:
        return said
    return f"{type(error).__name__}: {said or raised_in(error)}".rstrip(": ")


def raised_in(error: BaseException) -> str:
    """Return where an error without words was raised, such as `raised in forward (own.py, line 7)`; "" if unknown."""
    place = error.__traceback__
    if place is None:
        return ""
    while place.tb_next is not None:
        place = place.tb_next
    code = place.tb_frame.f_code
    return f"raised in {code.co_name} ({PurePath(code.co_filename).name}, line {place.tb_lineno})"


TRACEBACK = "the traceback is in"  # begins a note on an error that a run's log tells in full


def unwrapped(text: object) -> str:
    """Return all that a text or an error says, its lines and spaces run together."""
    return " ".join(str(text).split())


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return how many there are of what: `1 image`, `2,000 images`. many: its plural, with an s where null."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size_in_words(number: float) -> str:
    """Return a number of bytes in words, such as `1.2 GB`, of 1,000,000,000 bytes."""
    for unit, step in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= step:
            return f"{number / step:.1f} {unit}"
    return counted(round(number), "byte")


def shortened(names: Iterable[object], most: int, *, between: str = ", ") -> str:
    """Return names, and, where there are more than `most`, how many there are in all.

    between: what separates them; a semicolon where a name has a comma.
    """
    names = list(names)
    return between.join([*map(str, names[:most]), *([f"... ({len(names)} in all)"] if len(names) > most else [])])


def at_least(name: str, value: float, least: float) -> None:
    """Refuse a number below what makes sense.

    Raises:
        UserError: names the argument, what it got and the least.
    """
    if not value >= least:
        raise UserError(f"{name} must be {least} or more; got {value}.")


def choices(name: object, allowed: Iterable[str], *, most: int = 24, cutoff: float = 0.6) -> str:
    """Return the tail of an error about a wrong name: the nearest right one first, then what is allowed.

    cutoff: how alike the nearest has to be, as in `likely`; more where all names share a word.
    """
    allowed = list(allowed)
    guess = nearest(str(name), allowed, cutoff=cutoff)
    start = f"Did you mean {guess!r}? " if guess else ""
    return f"{start}Allowed: {shortened(allowed, most)}."


@contextmanager
def quiet(level: int = logging.ERROR, logger: str = "geocompose") -> Iterator[None]:
    """Log nothing below `level` in the block, which only tries something or builds it again."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def building(kind: str, name: str) -> Iterator[None]:
    """Add to any error of the block which part was being built; `kind` is the part's config group."""
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError):
            error.part = error.part or kind
        error.add_note(f"while building {kind} {name}")
        raise
