"""A report of scores that others have published: a table of one score per seed, each marked as copied. Free of torch.

Their tiles' counts are not known, so what is said holds for other seeds on the same test data: means, intervals of
Student's t, the cells tied with the best one, and whether the first two ranks differ (Welch). Per data set; no mean
over data sets, and no mean of ranks: what is best on one says little of another.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geocompose.errors import UserError, choices, counted, did_you_mean
from geocompose.reports.numbers import of_score
from geocompose.reports.spreadsheet import csv_of
from geocompose.runs.atomic import explained
from geocompose.runs.environment import utc_now
from geocompose.scores import better
from geocompose.statistics.comparing import Tied, tied_by_seeds
from geocompose.statistics.crossed import quantile

ROLES = ("score", "seed", "dataset", "metric")
_NEEDED = ("score", "seed")
ORIGIN = "copied"
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class PublishedCell:
    """A composition's scores: name, of what tells it apart; one per seed. tied: None where that can't be said."""

    name: str
    settings: Mapping[str, str]
    scores: tuple[float, ...]
    tied: bool | None
    low: float | None
    high: float | None

    @property
    def mean(self) -> float:
        """The mean over its seeds."""
        return float(np.mean(self.scores))


@dataclass(frozen=True)
class PublishedSet:
    """One data set: its cells from the best to the worst. ranks_differ: None where it can't be said."""

    dataset: str
    metric: str
    higher: bool
    cells: tuple[PublishedCell, ...]
    tied: Tied | None
    ranks_differ: bool | None

    @property
    def members(self) -> list[PublishedCell]:
        """The cells tied with the best one."""
        return [cell for cell in self.cells if cell.tied]


@dataclass(frozen=True)
class PublishedReport:
    """What a table of published scores tells. source: where its numbers are from; file: what was read."""

    file: str
    source: str
    level: float
    keys: tuple[str, ...]
    sets: tuple[PublishedSet, ...]
    left_out: int
    made: str

    @property
    def summary(self) -> str:
        """Return in a sentence on how many data sets the first two ranks differ."""
        told = [each for each in self.sets if each.ranks_differ is not None]
        differ = sum(bool(each.ranks_differ) for each in told)
        sets = counted(len(told), "data set")
        return f"Ranks 1 and 2 differ on {differ} of {sets} (Welch's t, {100 * self.level:.0f} %)."

    def as_csv(self) -> str:
        """Return a row per data set and composition, with all digits; `origin` is `copied`."""
        header = ["origin", "source", "dataset", "metric", "place", *self.keys, "score", "low", "high", "tied", "seeds"]
        rows: list[list[object]] = [[*header, "scores"]]
        for each in self.sets:
            for place, cell in enumerate(each.cells, 1):
                rows.append([
                    ORIGIN, self.source, each.dataset, each.metric, place, *(cell.settings[key] for key in self.keys),
                    cell.mean, "" if cell.low is None else cell.low, "" if cell.high is None else cell.high,
                    "" if cell.tied is None else cell.tied,
                    len(cell.scores), " ".join(map(repr, cell.scores)),
                ])  # fmt: skip
        return csv_of(rows)


def published_report(
    path: Path,
    source: str | None,
    columns: Mapping[str, str] | None,
    lower_is_better: Sequence[str] | None,
    level: float,
) -> PublishedReport:
    """Return what a CSV of published scores tells.

    path: a row per score, with columns for the score and the seed, and any for data set and metric; all others tell the
    compositions apart. source: where the numbers are from; copied numbers without one are not reported. columns: the
    table's own name of each of ROLES. lower_is_better: metrics of which less is better; None: those that are errors by
    their names here (RMSE, nRMSE, MAE, ...). level: of confidence.

    Raises:
        UserError: there is no such file or column, a score isn't a number, a seed is there twice, or no source is
            given.
    """
    if not source:
        raise UserError(
            "action.table holds numbers of others, which are marked as copied: say where they are from, such as "
            "action.source='arXiv 2511.15658, per-seed results'."
        )
    names, rows = _read(path)
    roles = _roles(names, columns or {}, path)
    named = {role: name for role, name in roles.items() if name is not None}
    beside = [named[role] for role in ("dataset", "metric") if role in named]
    keys = _varying([name for name in names if name not in named.values()], rows, beside)
    by_set: dict[tuple[str, str], dict[tuple[str, ...], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    left_out = 0
    for line, row in enumerate(rows, 2):
        score = _score(row[named["score"]], line, path)
        if score is None:
            left_out += 1
            continue
        place = tuple(row.get(named.get(role, ""), "") for role in ("dataset", "metric"))
        cell, seed = by_set[place[0], place[1]][tuple(row[key] for key in keys)], row[named["seed"]]
        if seed in cell:
            raise UserError(
                f"{path}, line {line}: seed {seed} of this composition is there twice. If a further column tells them "
                "apart it is missing; a data set's column is named by action.columns={dataset: NAME}."
            )
        cell[seed] = score
    sets = tuple(
        _published_set(dataset, metric, cells, keys, lower_is_better, level)
        for (dataset, metric), cells in by_set.items()
    )
    return PublishedReport(path.name, source, level, tuple(keys), sets, left_out, utc_now())


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    if not path.is_file():
        raise UserError(f"action.table={path} is not a file. Give a CSV with a row per score and seed.")
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"action.table={path} is larger than {_MOST_BYTES >> 20} MB, which no table of scores is.")
    try:
        with explained(path, "read"), path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", restkey="")
            rows = [{key: value for key, value in row.items() if key} for row in reader]
            names = [name for name in reader.fieldnames or [] if name]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"action.table={path} is not a CSV in UTF-8: {error}.") from error
    if not rows:
        raise UserError(f"action.table={path} has no rows.")
    return names, rows


def _roles(names: Sequence[str], columns: Mapping[str, str], path: Path) -> dict[str, str | None]:
    """Return the table's column of each role; None where it has none."""
    unknown = [role for role in columns if role not in ROLES]
    if unknown:
        raise UserError(f"action.columns knows {', '.join(ROLES)}; got {unknown[0]!r}. {choices(unknown[0], ROLES)}")
    found: dict[str, str | None] = {}
    for role in ROLES:
        given = columns.get(role)
        if given is not None and given not in names:
            guess = did_you_mean(given, {name: name for name in names})
            raise UserError(
                f"{path} has no column {given!r} (action.columns.{role}). {guess}It has {', '.join(names)}."
            )
        same = next((name for name in names if name.casefold() == role), None)
        found[role] = given if given is not None else same
        if found[role] is None and role in _NEEDED:
            raise UserError(
                f"{path} has no column {role!r}. Say which one it is: 'action.columns={{{role}: NAME}}', of "
                f"the names {', '.join(names)}."
            )
    return found


def _varying(names: Sequence[str], rows: Sequence[Mapping[str, str]], beside: Sequence[str]) -> list[str]:
    """Return the columns that tell compositions apart: those with several values, but for numbers that follow others.

    A searched learning rate differs between compositions, not within one: it follows, and is not part of a name.
    beside: the columns of data set and metric.
    """
    several = [name for name in names if len({row[name] for row in rows}) > 1]
    words = [name for name in several if not all(_is_number(row[name]) for row in rows)]
    within: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    numbers = [name for name in several if name not in words]
    for row in rows:
        within[tuple(row[name] for name in (*words, *beside))].add(tuple(row[name] for name in numbers))
    return words if words and all(len(values) == 1 for values in within.values()) else several


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True


def _score(text: str, line: int, path: Path) -> float | None:
    """Return a score; None where the cell is empty or not a finite number, as of a run that failed."""
    if text.strip().casefold() in ("", "nan", "none", "null", "-"):
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise UserError(f"{path}, line {line}: the score {text!r} is not a number.") from error
    return value if math.isfinite(value) else None


def _published_set(
    dataset: str,
    metric: str,
    cells: Mapping[tuple[str, ...], Mapping[str, float]],
    keys: Sequence[str],
    lower_is_better: Sequence[str] | None,
    level: float,
) -> PublishedSet:
    if lower_is_better is None:
        higher = better(metric) != "lower"
    else:
        higher = metric.casefold() not in {name.casefold() for name in lower_is_better}
    names, scores = list(cells), [tuple(seeds.values()) for seeds in cells.values()]
    order = sorted(range(len(names)), key=lambda place: float(np.mean(scores[place])), reverse=higher)
    scores, names = [scores[place] for place in order], [names[place] for place in order]
    several = [place for place, values in enumerate(scores) if len(values) > 1]
    compared = several if len(several) > 1 else list(range(len(scores)))
    tied = None
    if len(scores) > 1:
        tied = tied_by_seeds([scores[place] for place in compared], higher=higher, level=level)
    first_two = tied_by_seeds(scores[:2], higher=higher, level=level) if len(scores) > 1 else None
    found = []
    for place, (name, values) in enumerate(zip(names, scores, strict=True)):
        low, high = _interval(values, level)
        is_tied = None
        if tied is None:
            is_tied = True
        elif tied.pairs and place in compared:
            is_tied = compared.index(place) in tied.members
        settings = dict(zip(keys, name, strict=True))
        found.append(PublishedCell(" · ".join(filter(None, name)), settings, values, is_tied, low, high))
    differ = None if first_two is None or not first_two.pairs else first_two.pairs[0].differ
    return PublishedSet(dataset, metric, higher, tuple(found), tied, differ)


def _interval(scores: Sequence[float], level: float) -> tuple[float | None, float | None]:
    if len(scores) < 2:
        return None, None
    mean, half = float(np.mean(scores)), float(np.std(scores, ddof=1)) / math.sqrt(len(scores))
    half *= float(quantile(level, len(scores) - 1))
    return mean - half, mean + half


def in_words(cell: PublishedCell) -> str:
    """Return a cell's score with its interval."""
    if cell.low is None or cell.high is None:
        return of_score(cell.mean)
    return f"{of_score(cell.mean)} ({of_score(cell.low)} to {of_score(cell.high)})"
