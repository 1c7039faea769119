"""What can be said of the cells that were scored on one test set: scores, ties, what explains them. Free of torch."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from geocompose.errors import UserError, counted
from geocompose.reports.cells import ReportedCell, ScoredSplit
from geocompose.reports.equal_compositions import StudyPair, study_pairs
from geocompose.reports.scored_tiles import Clusters, clusters_of
from geocompose.runs import Record
from geocompose.runs.arrays import read_arrays
from geocompose.statistics.comparing import Tied, tied_of
from geocompose.statistics.factors import Scores, Share, explained
from geocompose.statistics.intervals import Estimate, difference_of, estimate_of
from geocompose.statistics.pooled import by_cluster, check_one_truth, checked_counts, truth_of
from geocompose.statistics.prepared import Prepared, prepared
from geocompose.studies.costs import costs_of
from geocompose.studies.progress import selected
from geocompose.studies.reading import Run
from geocompose.studies.settings import NAMED

log = logging.getLogger("geocompose")

# Costs in the order in which they are told: the name of each, and whether less is better.
COSTS = ("trainable", "gflops", "seconds", "memory_mb")
_MOST = 1e15  # of any cost: a foreign record's number, which no axis could show


@dataclass(frozen=True)
class Row:
    """A cell in its place.

    place: from 1, by the score. cell: with its seeds and folds. val: what it was selected by, on validation. tied: with
    the best one; None where that can't be said, as of a single seed. over_baseline: its score less that of the best
    baseline. costs: means over runs, by the names of COSTS; None where no record says. remarks: what a reader has to
    know of it.
    """

    place: int
    cell: ReportedCell
    estimate: Estimate
    val: float
    tied: bool | None
    over_baseline: Estimate | None
    costs: Mapping[str, float | None]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Baseline:
    """What needs no network, scored on the same tiles."""

    name: str
    detail: str
    estimate: Estimate


@dataclass(frozen=True)
class Comparison:
    """Cells on one test set.

    rows: from the best to the worst cell. tied: of those with several seeds, in the order of the rows; None where there
    is a single cell. factors: how much of the variance each explains; empty where that can't be told, as of one seed
    each; `no_factors` says why. pairs: each further study against the first one.
    """

    scored: ScoredSplit
    clusters: Clusters
    rows: tuple[Row, ...]
    baselines: tuple[Baseline, ...]
    tied: Tied | None
    factors: Mapping[str, Share]
    no_factors: str
    level: float
    pairs: tuple[StudyPair, ...] = ()

    @property
    def metric(self) -> str:
        """The score's name, such as mIoU."""
        return self.scored.score.metric

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return self.scored.score.higher

    @property
    def class_word(self) -> str:
        """What one of the score's names is: a class, a variable, or a band."""
        if self.scored.score.of_classes:
            return "class"
        return "band" if self.scored.score.kind == "reconstruction" else "variable"

    @cached_property
    def per_class(self) -> list[tuple[str, list[float]]]:
        """Each class's or variable's score: its name, and the mean over seeds of each row."""
        score = self.scored.score
        stem = {"mIoU": "IoU", "mIoU_union": "IoU", "mIoU_all": "IoU", "F1_macro": "F1", "F1_micro": "F1"}.get(
            score.metric, score.metric
        )
        values = [score.every(row.cell.counts.sum(axis=1).reshape(len(row.cell.counts), -1)) for row in self.rows]
        keys = {name: f"{stem}_{name}" for name in score.names}
        return [
            (name, [float(seeds[key].mean()) for seeds in values])
            for name, key in keys.items()
            if all(key in seeds for seeds in values)
        ]

    @cached_property
    def seed_deviations(self) -> list[float]:
        """The standard deviation of each row's score between its seeds; NaN of a single seed."""
        score = self.scored.score
        found = []
        for row in self.rows:
            counts = row.cell.counts
            seeds = score.every(counts.sum(axis=1).reshape(len(counts), -1))[score.metric]
            found.append(float(np.std(seeds, ddof=1)) if len(seeds) > 1 else float("nan"))
        return found

    @cached_property
    def per_cluster(self) -> list[tuple[str, int, list[float]]]:
        """Each cluster's own score: its label, its number of tiles, and the mean over seeds of each row.

        A class that a cluster lacks doesn't count there, so these don't average to the score of all.
        """
        score, tiles = self.scored.score, Counter(self.clusters.labels)
        pooled = (by_cluster(row.cell.counts, self.clusters.labels)[0] for row in self.rows)
        values = np.stack([score.every(one)[score.metric].mean(axis=0) for one in pooled], axis=-1)
        return [(label, tiles[label], own.tolist()) for label, own in zip(tiles, values, strict=True)]

    def front(self, cost: str) -> list[Row]:
        """Return the rows that no other row beats in both the score and a cost, the cheapest first."""
        known = [row for row in self.rows if row.costs[cost] is not None]
        front: list[Row] = []
        for row in sorted(known, key=lambda row: (row.costs[cost] or 0.0, row.place)):
            if not front or row.place < front[-1].place:
                front.append(row)
        return front


def compare(
    scored: ScoredSplit, cells: Sequence[ReportedCell], *, level: float = 0.95, studies: Sequence[str] = ()
) -> Comparison:
    """Return what can be said of cells that were scored on the same test set. studies: they are of, if several."""
    score, clusters = scored.score, clusters_of(scored.tiles)
    guesses = _guesses(scored, cells)
    ready = prepared([*(cell.counts for cell in cells), *(guess.counts for guess in guesses)], clusters.labels, score)
    ready, ready_guesses = ready[: len(cells)], ready[len(cells) :]
    told = [
        (Baseline(guess.name, guess.detail, estimate_of(one, level=level)), one)
        for guess, one in zip(guesses, ready_guesses, strict=True)
    ]
    told.sort(key=lambda each: each[0].estimate.mean, reverse=score.higher)
    best_guess = told[0][1] if told else None
    estimates = [estimate_of(one, level=level) for one in ready]
    signed = np.array([one.mean for one in estimates]) * (1 if score.higher else -1)
    order = np.argsort(-signed, kind="stable").tolist()
    ordered, ready = [cells[place] for place in order], [ready[place] for place in order]
    # A cell with a single seed can't be compared, and doesn't keep the others from it.
    several = [place for place, cell in enumerate(ordered) if len(cell.runs) > 1]
    compared = several if len(several) > 1 else list(range(len(ordered)))
    tied = None
    if len(cells) > 1:
        tied = tied_of([ready[place] for place in compared], level=level)
    rows = tuple(
        Row(
            place=place + 1,
            cell=cell,
            estimate=estimates[order[place]],
            val=_validation(cell, score.metric),
            tied=_is_tied(place, compared, tied),
            over_baseline=None if best_guess is None else difference_of(ready[place], best_guess, level=level),
            costs=_costs(cell),
            remarks=tuple(_remarks(cell)),
        )
        for place, cell in enumerate(ordered)
    )
    factors, no_factors = _factors(ordered, ready, level)
    pairs = tuple(study_pairs(ordered, ready, studies, higher=score.higher, level=level))
    return Comparison(scored, clusters, rows, tuple(one for one, _ in told), tied, factors, no_factors, level, pairs)


def _validation(cell: ReportedCell, metric: str) -> float:
    """Return the mean validation score of a cell's runs; NaN where they were selected by another metric."""
    same = all(selected(run) == f"val/{metric}" for run in cell.every_run)
    return cell.metric(f"val/{metric}") if same else float("nan")


def _is_tied(place: int, compared: Sequence[int], tied: Tied | None) -> bool | None:
    """Return whether a row can't be told apart from the best one of those compared; None where that isn't known."""
    if tied is None:
        return True
    if not tied.pairs or place not in compared:
        return None
    return compared.index(place) in tied.members


class _Guess(NamedTuple):
    """What a baseline has counted: (tiles, ...)."""

    name: str
    detail: str
    counts: np.ndarray


def _guesses(scored: ScoredSplit, cells: Sequence[ReportedCell]) -> list[_Guess]:
    """Return the baselines of the first seed that has any; all runs of a test set have the same ones.

    What can't be read, or was scored on other tiles, is left out, which the log says: the runs' own scores stand.
    """
    if scored.split != "test" or scored.score.kind == "reconstruction":  # whose baselines see all pixels, hidden or not
        return []
    for cell in cells:
        for folds in cell.runs:
            if not all(run.folder.baselines.is_file() for run in folds):
                continue
            try:
                return _guesses_of(folds, cell, scored)
            except (UserError, TypeError, ValueError) as error:
                log.warning("Baselines of %s are left out: %s", folds[0].folder.path, error)
    return []


def _guesses_of(folds: Sequence[Run], cell: ReportedCell, scored: ScoredSplit) -> list[_Guess]:
    arrays = [read_arrays(run.folder.baselines) for run in folds]
    details = {str(each.get("name")): str(each.get("detail", "")) for each in folds[0].record.baselines}
    truth = truth_of(checked_counts(cell.counts, scored.score)[0], scored.score)
    found = []
    for name in arrays[0]:
        counts = np.concatenate([each[name] for each in arrays if name in each])
        if counts.shape == cell.counts.shape[1:]:
            check_one_truth(truth, truth_of(checked_counts(counts, scored.score)[0], scored.score))
            found.append(_Guess(name, details.get(name, ""), counts))
    return found


def _costs(cell: ReportedCell) -> dict[str, float | None]:
    records = [run.record for run in cell.every_run]
    values: dict[str, list[object]] = {
        "trainable": [record.model.get("trainable") for record in records],
        "gflops": [record.model.get("gflops") for record in records],
        "seconds": [record.seconds for record in records],
        "memory_mb": [costs_of(record).memory_mb for record in records],
    }
    return {name: _mean(found) for name, found in values.items()}


def _mean(values: Sequence[object]) -> float | None:
    known = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    known = [value for value in known if 0 <= value < _MOST]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _remarks(cell: ReportedCell) -> list[str]:
    """Return what a reader has to know of a cell: where its weights are from, and what was not tuned or finished."""
    records = [run.record for run in cell.every_run]
    found = []
    # A backbone without weights of its own has learned from this data alone, or, frozen, from none.
    if not any(is_pretrained(record) for record in records):
        trained = cell.choices.get("peft")
        found.append("random encoder" if trained == "frozen" else "from random weights")
    rates = [record.training.get("lr") or {} for record in records]
    if any(isinstance(rate, Mapping) and str(rate.get("source", "")).startswith("untuned") for rate in rates):
        found.append("untuned rate")
    unfinished = sum(record.training.get("converged") is False for record in records)
    if unfinished:
        found.append(f"best in the last epoch: {unfinished} of {len(records)}")
    return found


def is_pretrained(record: Record) -> bool:
    """Return whether a run's backbone started from weights; `base` are those that it froze, wherever they are from."""
    return bool(set(record.weights) - {"base"})


def _factors(cells: Sequence[ReportedCell], ready: Sequence[Prepared], level: float) -> tuple[Mapping[str, Share], str]:
    names = {name for cell in cells for name in cell.settings}
    complete = [name for name in sorted(names) if all(name in cell.settings for cell in cells)]
    order: list[str] = [name for name in NAMED if name in complete]
    order += [name for name in complete if name not in order]
    settings = [{name: _typed(cell.settings[name]) for name in order} for cell in cells]
    try:
        return explained(settings, [_scores(one) for one in ready], level=level), ""
    except UserError as error:
        return {}, str(error)


def _scores(ready: Prepared) -> Scores:
    left_out = ready.crossed.left_out.mean(axis=-1)
    known = len(ready.labels) > 1 and np.isfinite(left_out).all()
    return Scores(ready.crossed.of_seeds, left_out if known else None)


def _typed(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def seeds_in_words(rows: Sequence[Row]) -> str:
    """Return how many seeds cells have, such as `3 seeds` or `1 to 3 seeds`."""
    numbers = {len(row.cell.runs) for row in rows}
    if len(numbers) == 1:
        return counted(numbers.pop(), "seed")
    return f"{min(numbers)} to {max(numbers)} seeds"
