"""What to write instead of a part's name that no source has."""

from collections.abc import Collection, Mapping
from itertools import islice

from geocompose.catalog.optional import PACKAGES, not_installed
from geocompose.catalog.prefixes import OWN, OWN_PREFIXES, prefixes_of, without
from geocompose.errors import did_you_mean

NEAR = 0.75  # how alike two names are that may be meant for each other, from 0 to 1: stricter among thousands of names

Sources = Mapping[str, Collection[str]]


def instead(name: str, kind: str, sources: Sources) -> str:
    """Return the end of a message about a name that is not there: what was meant, and what there is.

    kind: of part, such as `backbone`. sources: the names of each source by its prefix, ours among them.
    """
    first = name.partition("_")[0]
    meant = next(iter(prefixes_of(name, sources)), first if first in PACKAGES else None)
    if meant is None:
        return f"{guess(name, _spellings(sources))}{_overview(sources)}"
    # Where the prefix says whose part it is, only theirs are offered.
    ours = sources[OWN] if meant in OWN_PREFIXES else ()
    theirs = sources.get(meant)
    if theirs is None and not ours:
        return f"{meant} is not a source of {kind}s here. {_overview(sources)}"
    likely = guess(without(meant, name), {each: f"{meant}_{each}" for each in [*ours, *(theirs or ())]})
    if theirs is None:
        return f"{likely}{_overview(sources)}"
    missing = not_installed(meant) if meant in PACKAGES else None
    if missing is not None:
        return f"{likely}{missing}"
    some = [f"{meant}_{each}" for each in islice(theirs, 6)] + ["..."] * (len(theirs) > 6)
    return f"{likely}{meant} has {len(theirs)}: {', '.join(some)}."


def guess(name: str, spellings: Mapping[str, str]) -> str:
    """Return a question after the part that was meant, or "" where none is near enough to be likely.

    spellings: every way to write a part's name -> the way in which it is offered.
    """
    return did_you_mean(name, spellings, cutoff=NEAR)


def _spellings(sources: Sources) -> dict[str, str]:
    """Return every way to write a part's name -> how it is offered: ours bare, others with their prefix."""
    ours = {each: each for each in sources.get(OWN, ())}
    others = [(prefix, each) for prefix, source in sources.items() if prefix != OWN for each in source]
    return (
        ours
        | {f"{prefix}_{each}": f"{prefix}_{each}" for prefix, each in others}
        | {each: f"{prefix}_{each}" for prefix, each in reversed(others) if each not in ours}
    )


def _overview(sources: Sources) -> str:
    """Return what there is: our names, and how many of which source."""
    others = ", ".join(f"{len(source)} as {prefix}_NAME" for prefix, source in sources.items() if prefix != OWN)
    return f"Allowed: {', '.join(sources[OWN])}{'; ' if others else ''}{others}."
