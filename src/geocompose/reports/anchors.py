"""Recorded runs held against published results: reproduced, not reproduced or not run, and why. Free of torch."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Literal

import numpy as np

from geocompose.catalog.anchors import ANCHORS, Anchor
from geocompose.errors import UserError, counted, shortened
from geocompose.reports.scored_tiles import clusters_of, read_tiles
from geocompose.runs.arrays import read_arrays
from geocompose.runs.keys import is_any
from geocompose.scores import better
from geocompose.statistics.intervals import Interval, estimate
from geocompose.statistics.pooled import Score
from geocompose.studies.progress import selected
from geocompose.studies.reading import Run
from geocompose.studies.settings import choices_of, typed_overrides

Verdict = Literal["reproduced", "not reproduced", "not run"]
# What may be typed beside an experiment and leaves it the same one.
_FREE = ("experiment", "seed", "data.root", "backbone.ckpt_path")


@dataclass(frozen=True)
class Anchored:
    """A published result, and what runs here say of it.

    ours: the mean of the runs' values; None where there is none. interval: for a new seed on other scenes of the same
    kind, where it can be told. seeds: of the runs that count. why: the verdict's reason, in sentences.
    """

    anchor: Anchor
    verdict: Verdict
    why: str
    ours: float | None = None
    interval: Interval | None = None
    seeds: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What the anchor is called."""
        return self.anchor.name

    @property
    def published(self) -> float:
        """The published value, from 0 to 1."""
        return self.anchor.value

    @property
    def source(self) -> str:
        """Where it stands, and whether we have it from there."""
        return f"{self.anchor.source}{' (second-hand)' if self.anchor.second_hand else ''}"


def held_against(runs: Iterable[Run], volatile: Iterable[str]) -> list[Anchored]:
    """Return every known anchor with what `runs` say of it, in the order of the table.

    A result is reproduced where the mean over the runs lies within the anchor's tolerance of the published value,
    whatever the interval: a wide one would agree with anything. Runs in which a key was changed that the anchor pins
    don't count, and runs of different weights are no result together. Where rates were searched, those of the best mean
    on validation count.

    volatile: patterns of keys that change no result (conf/identity.yaml).
    """
    every, patterns = list(runs), tuple(volatile)
    return [_held(anchor, [run for run in every if _is_of(run, anchor)], patterns) for anchor in ANCHORS]


def _is_of(run: Run, anchor: Anchor) -> bool:
    chosen = choices_of(run)
    return chosen.get("experiment") == anchor.experiment and anchor.choices.items() <= chosen.items()


def _held(anchor: Anchor, runs: Sequence[Run], volatile: tuple[str, ...]) -> Anchored:
    if not runs:
        return Anchored(anchor, "not run", f"no data here: no run has experiment={anchor.experiment}")
    done = [run for run in runs if run.state == "done" and not isnan(run.record.metrics.get(anchor.metric, nan))]
    if not done:
        return Anchored(anchor, "not run", f"{counted(len(runs), 'run')} here, none finished with a {anchor.metric}")
    changed = {run.id: _changed(run, anchor, volatile) for run in done}
    counting = [run for run in done if not changed[run.id]]
    if not counting:
        keys = shortened(sorted({key for found in changed.values() for key in found}), 4)
        return Anchored(anchor, "not run", f"{counted(len(done), 'run')} here, changed in what it pins: {keys}")
    weights = sorted({str(run.record.weights.get("sha256") or "unknown")[:12] for run in counting})
    if len(weights) > 1:  # which of them the published result had, nobody here knows
        told = shortened(weights, 4)
        return Anchored(anchor, "not run", f"{counted(len(counting), 'run')} here, of different weights: sha256 {told}")
    return _compared(anchor, _best_searched(anchor, counting))


def _compared(anchor: Anchor, runs: Sequence[Run]) -> Anchored:
    values = [run.record.metrics[anchor.metric] for run in runs]
    mean = statistics.fmean(values)
    off = mean - anchor.value
    seeds = tuple(sorted(int(run.record.seeds.get("seed", 0)) for run in runs))
    says = (
        f"{anchor.metric} of {counted(len(runs), 'run')} is {abs(off):.4f} {'above' if off > 0 else 'below'} the "
        f"published {anchor.value:.4f}"
    )
    reached = abs(off) <= anchor.tolerance
    why = f"{says}; {'no more than' if reached else 'more than'} {anchor.tolerance:g}"
    if not reached:
        why += f". It may be because {'; '.join(anchor.reasons)}"
    if len(runs) == 1:
        why += ". One seed tells little: 3 or more do"
    return Anchored(anchor, "reproduced" if reached else "not reproduced", why, mean, _interval(anchor, runs), seeds)


def _changed(run: Run, anchor: Anchor, volatile: tuple[str, ...]) -> list[str]:
    """Return the keys that were typed and that the anchor pins. Of overrides that can't be read, say that."""
    unread: list[str] = []
    found = []
    for text in typed_overrides(run.folder, unread):
        key = text.lstrip("+~").partition("=")[0]
        steps = tuple(key.split("."))
        free = key in (*_FREE, *anchor.choices, *anchor.searched)
        if not free and not any(is_any(volatile, steps[:length]) for length in range(1, len(steps) + 1)):
            found.append(key)
    return found or (["overrides.yaml (can't be read)"] if unread else [])


def _best_searched(anchor: Anchor, runs: Sequence[Run]) -> Sequence[Run]:
    """Return the runs with one set of searched values: those with the best mean on validation."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        typed = dict(text.partition("=")[::2] for text in typed_overrides(run.folder, []))
        groups.setdefault(tuple(typed.get(key, "") for key in anchor.searched), []).append(run)

    def goodness(group: Sequence[Run]) -> float:
        metric = selected(group[0]) or ""
        mean = statistics.fmean(run.record.metrics.get(metric, nan) for run in group)
        if isnan(mean):  # a rate of which validation says nothing can't be chosen
            return -inf
        return -mean if better(metric) == "lower" else mean

    return max(groups.values(), key=goodness) if len(groups) > 1 else runs


def _interval(anchor: Anchor, runs: Sequence[Run]) -> Interval | None:
    """Return the interval of the mean; None where no counts of tiles tell it, as of whole scenes."""
    metric = anchor.metric.removeprefix("test/")
    names = (runs[0].record.data.get("target") or {}).get("names")
    if metric.startswith("scene_") or not names or not all(_has_counts(run) for run in runs):
        return None
    try:
        counts = [one for run in runs for one in read_arrays(run.folder.confusion, ["test"]).values()]
        if len(counts) < len(runs):
            return None
        if len({one.shape for one in counts}) > 1:
            return Interval(None, None, "the runs were tested on different tiles")
        clusters = clusters_of(read_tiles(runs[0].folder.splits, "test"))
        return estimate(np.stack(counts), clusters.labels, Score(metric, tuple(names))).interval
    except UserError as error:  # the mean stands without it
        return Interval(None, None, str(error))


def _has_counts(run: Run) -> bool:
    return run.folder.confusion.is_file() and run.folder.splits.is_file()
