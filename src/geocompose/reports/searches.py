"""What the searches of a study have found, from the files that they wrote. Free of torch."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from geocompose.errors import UserError, counted
from geocompose.reports.numbers import of_score
from geocompose.runs.atomic import explained

log = logging.getLogger("geocompose")

_MOST_BYTES = 2**20


def searches(folders: Sequence[Path]) -> Iterable[str]:
    """Yield a sentence or two per search: how it chose, among how many trials of which space, and what.

    folders: of the studies. A file that isn't a search's is left out, which the log says.
    """
    for folder in folders:
        for path in sorted((folder / "search").glob("*.json")):
            try:
                yield _in_words(path.stem, _read(path))
            except (UserError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
                log.warning("%s is not a search's file and left out: %s", path, error or type(error).__name__)


def _read(path: Path) -> dict[str, Any]:
    with explained(path, "read"):
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise UserError("it is not a file, or too large")
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise UserError("it holds no mapping")
    return found


def _in_words(name: str, found: dict[str, Any]) -> str:
    trials = {state: int(number) for state, number in found["trials"].items()}
    counts = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in trials.items() if number)
    space = "; ".join(f"{key}: {told}" for key, told in _space(found["space"]))
    ended = "" if found.get("finished") else " It has not come to its end."
    best = found.get("best")
    chosen = " Nothing was chosen."
    if best is not None:
        overrides = " ".join(map(str, best["overrides"]))
        runs = len(found.get("chosen") or [])
        tested = f"computed and tested in {counted(runs, 'run')}" if runs else "not tested"
        chosen = (
            f" Chosen by {found['metric']} {of_score(float(best['value']))}, the best of these trials: {overrides} "
            f"({tested})."
        )
    return f"Search {name} ({found['sampler']}): {counts}. Space: {space}.{chosen}{ended}"


def _space(space: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield each key with what of it is searched, in words."""
    for key, told in space.items():
        if "choice" in told:
            yield key, ", ".join(map(str, told["choice"]))
        else:
            scale = " (by its logarithm)" if told["log"] else ""
            yield key, f"{told['from']:g} to {told['to']:g}{scale}"
