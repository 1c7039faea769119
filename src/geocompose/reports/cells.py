"""The cells of a study: compositions with the runs of their seeds and folds, and what these have counted. No torch."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from geocompose.errors import UserError, counted, shortened
from geocompose.imagery.samples import OF_CLASSES, Kind
from geocompose.reports.scored_tiles import Tile, read_tiles
from geocompose.runs.arrays import read_arrays
from geocompose.scores import SCORES
from geocompose.statistics.pooled import Score, checked_counts
from geocompose.studies.progress import selected
from geocompose.studies.reading import LoneCell, Run, StudyFiles
from geocompose.studies.settings import NAMED, Settings, choices_of, distinguishing, same_value

# What repeats a cell, rather than making another one.
REPEATS = ("seed", "data.fold")
# What reading a foreign run's files can raise beside an error in words.
_ODD = (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError)
_MOST_NAMES = 4096


@dataclass(frozen=True)
class ScoredSplit:
    """What cells were scored on: those of one test set can be compared.

    name: of the data. score: by which runs were selected. tiles: in the order of the counts.
    """

    name: str
    score: Score
    split: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class ReportedCell:
    """One composition on one test set.

    settings: what tells it from the study's other cells. runs: completed ones, a tuple of folds per seed. counts:
    (seeds, tiles, ...), of the folds together. folds: which ones; empty without any.
    """

    name: str
    settings: Settings
    choices: Settings
    runs: tuple[tuple[Run, ...], ...]
    counts: np.ndarray
    folds: tuple[str, ...] = ()

    @property
    def every_run(self) -> list[Run]:
        """Its runs, of all seeds and folds."""
        return [run for folds in self.runs for run in folds]

    def metric(self, name: str) -> float:
        """Return the mean of a recorded metric over its runs; NaN where one lacks it."""
        return float(np.mean([run.record.metrics.get(name, np.nan) for run in self.every_run]))


@dataclass
class Cells:
    """All cells of a study that can be reported, by test set; and those left out, with the reason.

    studies: the names of several, in the order in which they were given; empty of one.
    """

    by_split: dict[int, tuple[ScoredSplit, list[ReportedCell]]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    keys: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Counted:
    run: Run
    counts: np.ndarray
    tiles: tuple[Tile, ...]
    score: Score
    split: str


def reported_cells(study: StudyFiles, volatile: Iterable[str]) -> Cells:
    """Return the cells of a study's completed runs. volatile: patterns of keys that change no result.

    Raises:
        UserError: a plan is damaged.
    """
    runs = [run for run in study.runs.values() if run.state == "done"]
    keys, settings = distinguishing(runs, volatile)
    studies = _study_names(study)
    several = tuple(studies.values()) if len(studies) > 1 else ()
    found = Cells(keys=(*(["study"] if several else []), *(key for key in keys if key not in REPEATS)), studies=several)
    grouped: dict[object, list[tuple[_Counted, Settings]]] = defaultdict(list)
    for run, told in zip(runs, settings, strict=True):
        try:
            counted_run = _counts_of(run)
        except (UserError, *_ODD) as error:
            found.left_out.append((run.folder.path.name, str(error) or type(error).__name__))
            continue
        own = {key: told[key] for key in found.keys if key in told}
        if len(studies) > 1:
            own["study"] = studies[run.folder.path.parent]
        # Equal values may be written in several ways, such as 1e-3 and 0.001.
        same = tuple(sorted((key, same_value(value)) for key, value in own.items()))
        kind = counted_run.score, counted_run.split, _fold(told) is not None
        grouped[same, kind].append((counted_run, told | own))
    truths: list[np.ndarray] = []
    sets: dict[object, int] = {}
    for members in grouped.values():
        own_settings = {key: members[0][1][key] for key in found.keys if key in members[0][1]}
        for cell, scored, truth in _of_composition(own_settings, members, found):
            number = sets.setdefault((scored.score, scored.split, _number(truth, truths)), len(sets))
            found.by_split.setdefault(number, (scored, []))[1].append(cell)
    _tell_apart(found)
    return found


def _study_names(study: StudyFiles) -> dict[Path, str]:
    """Return what to call each folder of a study: its name, or its whole path where two have the same name."""
    names = [folder.name for folder in study.folders]
    return {folder: str(folder) if names.count(folder.name) > 1 else folder.name for folder in study.folders}


def _tell_apart(found: Cells) -> None:
    """Put into names of equal splits what all cells of one share and others don't have; within it, cells lose that."""
    every = [cell for _, cells in found.by_split.values() for cell in cells]
    names = [scored.name for scored, _ in found.by_split.values()]
    for number, (scored, cells) in found.by_split.items():
        varying = [key for key in found.keys if len({cell.settings.get(key) for cell in cells}) > 1]
        cells[:] = [replace(cell, name=name_of(cell.settings, cell.choices, varying)) for cell in cells]
        own = []
        for key in found.keys:
            mine = {cell.settings.get(key) for cell in cells}
            if len(mine) == 1 and mine != {cell.settings.get(key) for cell in every} and mine != {None}:
                own.append(f"{key}={next(iter(mine))}")
        told = [*(own if names.count(scored.name) > 1 else []), *_folds_in_words(cells[0])]
        if told:
            found.by_split[number] = replace(scored, name=f"{scored.name} ({'; '.join(told)})"), cells


def _folds_in_words(cell: ReportedCell) -> list[str]:
    """Return which folds a cell has, and of how many; nothing where it has none."""
    if not cell.folds:
        return []
    total = cell.every_run[0].record.data.get("folds")
    some = isinstance(total, int) and total > len(cell.folds)
    return [f"folds {', '.join(cell.folds)}{f' of {total} alone' if some else ''}"]


def name_of(settings: Mapping[str, str], choices: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return what to call a cell: the values that tell it apart, parts first and bare; the parts where nothing does."""
    if not keys:
        return " · ".join(choices[group] for group in NAMED if group in choices)
    short = [key.rpartition(".")[2] for key in keys]
    told = []
    for key, last in zip(keys, short, strict=True):
        if key in settings:
            name = key if short.count(last) > 1 or last in REPEATS else last
            told.append(settings[key] if key in NAMED else f"{name}={settings[key]}")
    return " · ".join(told)


def _counts_of(run: Run) -> _Counted:
    target = run.record.data.get("target") or {}
    names = target.get("names")
    kind: Kind | None = target.get("kind")
    metric = selected(run)
    if kind is None or kind not in SCORES or not names or metric is None or len(names) > _MOST_NAMES:
        raise UserError("its record does not say what it was scored by")
    score = _score(metric.removeprefix("val/"), tuple(map(str, names)), kind)
    arrays = read_arrays(run.folder.confusion if kind in OF_CLASSES else run.folder.tile_sums)
    split = "test" if "test" in arrays else "val"
    if split not in arrays:
        raise UserError("its counts have neither a test nor a validation split")
    tiles = tuple(read_tiles(run.folder.splits, split))
    counts = arrays[split]
    if counts.shape != (len(tiles), *score.shape):
        raise UserError(f"its counts are {counts.shape}, and its table of tiles has {counted(len(tiles), 'row')}")
    checked_counts(counts, score)
    return _Counted(run, counts, tiles, score, split)


def _score(metric: str, names: tuple[str, ...], kind: Kind) -> Score:
    """Return the score of a run that was selected by a metric: that one, or its task's where counts don't tell it.

    A loss has no counts, and a mean over variables in units of their deviations needs these: of several variables the
    share of the variance stands for it.
    """
    of_numbers = "RMSE" if len(names) == 1 or kind == "reconstruction" else "R2"
    usual = {"segmentation": "mIoU", "classification": "F1_macro", "multilabel": "F1_macro"}.get(kind, of_numbers)
    return Score(usual if metric in ("loss", "nRMSE") else metric, names, kind)


def _fold(told: Mapping[str, str]) -> str | None:
    """Return the fold of a run; None where its data has none."""
    fold = told.get("data.fold", "null")
    return None if fold.strip().casefold() in ("null", "none", "") else fold


def _of_composition(
    settings: Settings, members: Sequence[tuple[_Counted, Settings]], found: Cells
) -> Iterable[tuple[ReportedCell, ScoredSplit, np.ndarray]]:
    """Yield the cells of one composition: one per test set that its runs were scored on."""
    folds: dict[str, dict[str, _Counted]] = defaultdict(dict)  # by seed, then fold
    for counted_run, told in members:
        seed, fold = told.get("seed", ""), _fold(told) or ""
        if fold in folds[seed]:
            found.left_out.append((counted_run.run.folder.path.name, "another run has the same settings"))
            continue
        folds[seed][fold] = counted_run
    wanted = sorted({fold for of_seed in folds.values() for fold in of_seed}, key=_as_number)
    truths: list[np.ndarray] = []
    by_truth: dict[int, list[list[_Counted]]] = defaultdict(list)
    for seed, of_seed in sorted(folds.items(), key=lambda item: _as_number(item[0])):
        parts = [of_seed[fold] for fold in wanted if fold in of_seed]
        if len(parts) < len(wanted):
            missing = shortened([fold for fold in wanted if fold not in of_seed], 3)
            found.left_out += [(one.run.folder.path.name, f"its seed {seed} lacks fold {missing}") for one in parts]
            continue
        by_truth[_number(np.concatenate([_truth(part) for part in parts]), truths)].append(parts)
    for number, seeds in by_truth.items():
        first = seeds[0]
        choices = choices_of(first[0].run)
        name = name_of(settings, choices, found.keys)
        counts = np.stack([np.concatenate([part.counts for part in parts]) for parts in seeds])
        tiles = tuple(tile for part in first for tile in part.tiles)
        runs = tuple(tuple(part.run for part in parts) for parts in seeds)
        data = first[0].run.record.data
        title = str(choices.get("data") or data.get("name") or "data")
        scored = ScoredSplit(title, first[0].score, first[0].split, tiles)
        cell = ReportedCell(name, settings, choices, runs, counts, tuple(filter(None, wanted)))
        yield cell, scored, truths[number]


def _truth(part: _Counted) -> np.ndarray:
    """Return what the labels of the tiles are, (tiles, numbers): alike where runs can be compared."""
    truth = part.counts.sum(axis=-1) if part.score.of_classes else part.counts[..., :3]
    return truth.reshape(len(truth), -1).astype(np.float64)


def _number(truth: np.ndarray, known: list[np.ndarray]) -> int:
    """Return the place of a truth among those that are known, and add it where it is new.

    Counts are equal or they are not; sums over numbers differ in their last digits with the order of adding.
    """
    whole = bool((truth == truth.round()).all())
    for number, other in enumerate(known):
        if other.shape == truth.shape and (
            np.array_equal(other, truth) or (not whole and np.allclose(other, truth, rtol=1e-6))
        ):
            return number
    known.append(truth)
    return len(known) - 1


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text


def lone_name(cell: Run | LoneCell) -> str:
    """Return what to call a cell or run that has no result: what was typed for it, else its parts."""
    if isinstance(cell, Run):
        return cell.folder.path.name
    typed = [text for text in cell.cell.overrides if not text.startswith("study=")]
    return " ".join(typed) or " · ".join(str(value) for value in cell.cell.choices.values())
