"""What the searches of a study have found, in words and in drawings, from the files that they wrote. Free of torch."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geocompose.errors import UserError, counted
from geocompose.reports.numbers import of_score
from geocompose.runs.atomic import explained

log = logging.getLogger("geocompose")

_MOST_BYTES = 2**24
_MOST_TRIALS = 10_000  # that a drawing shows, and names of values on an axis
_MOST_VALUES = 40
_MOST = 1e15  # of any number of a foreign file: what no axis could show is none
_LONGEST = 40  # letters of a value


@dataclass(frozen=True)
class Tried:
    """A completed trial: its number, its value, and its point."""

    trial: int
    value: float
    point: Mapping[str, Any]


@dataclass(frozen=True)
class SearchTold:
    """One search.

    words: how it chose, among how many trials of which space, and what. metric: by which. higher: whether more of it is
    better. tried: completed trials in their order; empty where the file doesn't tell. logarithmic: keys that were drawn
    by their logarithm. best: the number of the chosen trial. chosen: the ids of the runs that it was computed in.
    """

    words: str
    metric: str = ""
    higher: bool = True
    tried: tuple[Tried, ...] = ()
    logarithmic: tuple[str, ...] = ()
    best: int | None = None
    chosen: frozenset[str] = frozenset()

    def values_of(self, key: str) -> list[float] | list[str]:
        """Return each trial's value of a key: numbers where all are, else texts."""
        found = [trial.point[key] for trial in self.tried]
        if all(map(_is_number, found)):
            return [float(value) for value in found]
        return [str(value)[:_LONGEST] for value in found]

    @property
    def keys(self) -> list[str]:
        """What differs between completed trials, and has few enough values for an axis."""
        names = [key for key in (self.tried[0].point if self.tried else ()) if all(key in t.point for t in self.tried)]
        different = {key: set(self.values_of(key)) for key in names}
        numbers = {key for key in names if all(isinstance(value, float) for value in different[key])}
        return [key for key in names if 1 < len(different[key]) <= (_MOST_TRIALS if key in numbers else _MOST_VALUES)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def searches(folders: Sequence[Path]) -> Iterable[SearchTold]:
    """Yield what each search has found.

    folders: of the studies. A file that isn't a search's is left out, which the log says.
    """
    for folder in folders:
        for path in sorted((folder / "search").glob("*.json")):
            try:
                yield _told(path.stem, _read(path))
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


def _told(name: str, found: dict[str, Any]) -> SearchTold:
    tried: list[Tried] = []
    for each in found.get("tried") or ():  # searches of before have none
        if each["state"] == "completed" and len(tried) < _MOST_TRIALS:
            trial, value = int(each["trial"]), float(each["value"])
            if not (0 <= trial < _MOST and abs(value) < _MOST):
                raise UserError(f"trial {trial:.0g} has the value {value:g}")
            tried.append(Tried(trial, value, dict(each["point"])))
    best = found.get("best")
    return SearchTold(
        words=_in_words(name, found),
        metric=str(found.get("metric", "")),
        higher=found.get("better") != "lower",
        tried=tuple(sorted(tried, key=lambda trial: trial.trial)),
        logarithmic=tuple(key for key, told in found["space"].items() if told.get("log")),
        best=None if best is None else int(best["trial"]),
        chosen=frozenset(map(str, found.get("chosen") or ())),
    )


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
