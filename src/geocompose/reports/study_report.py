"""A study's report: its test sets with their cells, what is missing, and all that made the numbers. Free of torch."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from yaml import YAMLError

from geocompose.arguments import as_written
from geocompose.configuration.checking import HYDRA_KEYS
from geocompose.errors import UserError, counted, first_line, shortened
from geocompose.reports.anchors import Anchored, held_against
from geocompose.reports.cells import REPEATS, Cells, lone_name, reported_cells
from geocompose.reports.comparison import Comparison, compare, is_pretrained
from geocompose.reports.searches import SearchTold, searches
from geocompose.runs.bounded_yaml import bounded_yaml
from geocompose.runs.environment import utc_now
from geocompose.studies.reading import LoneCell, Run, StudyFiles

# What of a configuration is the protocol; parts, data and method stand beside it as choices.
_PROTOCOL = ("trainer", "optimizer", "scheduler", "task", "data")
_IDLE = ("progress_bar", "accelerator", "devices", "num_nodes", "keep", "num_workers", "cache_mb", "root")
_MOST_CONFIGS = 200
_VERSIONS = ("geocompose", "python", "torch", "lightning", "timm", "segmentation-models-pytorch", "peft")


@dataclass(frozen=True)
class Failure:
    """What failed, was refused, or was left out, and why; cells with one reason are told together."""

    state: str
    reason: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class StudyReport:
    """All that a report shows.

    title: the study's name. made: when, UTC. sets: one comparison per scored split; none where no run is completed.
    states: how many cells are in which state. keys: settings that differ between cells. failures: see there. protocol:
    settings that all cells share, by dotted key. defaults: what runs decided where nothing was given. said: what runs
    left out, converted or assumed, and how many said so. versions, commits, hardware, data, weights: what made the
    numbers, in words. runs: those that were scored. anchors: published results, and what runs here
    say of them. searches: what each search has found.
    """

    title: str
    made: str
    sets: tuple[Comparison, ...]
    states: Mapping[str, int]
    keys: tuple[str, ...]
    failures: tuple[Failure, ...]
    protocol: Mapping[str, str]
    defaults: tuple[str, ...]
    said: tuple[tuple[str, int], ...]
    versions: Mapping[str, str]
    commits: tuple[str, ...]
    hardware: tuple[str, ...]
    data: tuple[str, ...]
    weights: tuple[str, ...]
    runs: tuple[Run, ...]
    anchors: tuple[Anchored, ...]
    searches: tuple[SearchTold, ...]
    level: float

    @cached_property
    def number_of_cells(self) -> int:
        """How many cells have scores."""
        return sum(len(each.rows) for each in self.sets)


def study_report(
    study: StudyFiles, volatile: Iterable[str], *, level: float = 0.95, alone: str | None = None
) -> StudyReport:
    """Return the report of what lies in a study, however much of it is computed.

    volatile: patterns of keys that change no result. level: of confidence. alone: the name of the one run that it is
    about: searches are told where they chose it.

    Raises:
        UserError: a plan is damaged.
    """
    volatile = tuple(volatile)
    cells = reported_cells(study, volatile)
    sets = tuple(
        compare(scored, members, level=level, studies=cells.studies) for scored, members in cells.by_split.values()
    )
    runs = tuple(run for each in sets for row in each.rows for run in row.cell.every_run)
    return StudyReport(
        title=", ".join(folder.name for folder in study.folders) + (f": {alone}" if alone else ""),
        made=utc_now(),
        sets=sets,
        states=dict(study.states().items()),
        keys=cells.keys,
        failures=tuple(_failures(study, cells)),
        protocol=_protocol(runs, cells.keys),
        defaults=tuple(_defaults(runs)),
        said=tuple(Counter(line for run in runs for line in dict.fromkeys(run.record.said)).most_common(20)),
        versions=_versions(runs),
        commits=tuple(_commits(runs)),
        hardware=tuple(_counted(_hardware(run) for run in runs)),
        data=tuple(_counted(_data(run) for run in runs)),
        weights=tuple(_counted(text for run in runs if (text := _weights(run)))),
        runs=runs,
        searches=tuple(
            told for told in searches(study.folders) if alone is None or told.chosen & {run.id for run in runs}
        ),
        anchors=tuple(held_against(study.runs.values(), volatile)),
        level=level,
    )


def _failures(study: StudyFiles, cells: Cells) -> Iterable[Failure]:
    found: dict[tuple[str, str], list[str]] = {}
    lacking: list[Run | LoneCell] = study.of_state("failed", "refused", "interrupted", "pruned", "running", "waiting")
    for each in lacking:
        found.setdefault((each.state, each.reason or _UNSAID[each.state]), []).append(lone_name(each))
    for name, reason in cells.left_out:
        found.setdefault(("left out", reason), []).append(name)
    for path, reason in study.damaged.items():
        found.setdefault(("unreadable", reason), []).append(path.parent.name)
    return [Failure(state, reason, tuple(names)) for (state, reason), names in found.items()]


_UNSAID = {
    "failed": "no reason is recorded",
    "refused": "its parts do not fit",
    "interrupted": "stopped from outside; the same command goes on",
    "pruned": "a search did not go on with it",
    "running": "being computed",
    "waiting": "not begun",
}


def _protocol(runs: Sequence[Run], keys: Sequence[str]) -> dict[str, str]:
    """Return the settings that the configurations of all cells share.

    Of runs with the same options one configuration stands for all: what else differs between them is among `keys`.
    """
    by_options = {tuple(sorted(run.record.choices.items(), key=str)): run for run in runs}
    shared: dict[str, str] | None = None
    for run in list(by_options.values())[:_MOST_CONFIGS]:
        try:
            config = bounded_yaml(run.folder.config)
        except (UserError, OSError, ValueError, YAMLError) as error:
            return {"configuration": f"of {run.folder.path.name} can't be read: {first_line(error)}"}
        own = dict(_settings(run, config if isinstance(config, Mapping) else {}))
        shared = own if shared is None else {key: value for key, value in shared.items() if own.get(key) == value}
    return {key: value for key, value in (shared or {}).items() if key not in (*keys, *REPEATS)}


def _settings(run: Run, config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for group in ("data", "task", "optimizer", "scheduler", "protocol"):
        if run.record.choices.get(group) is not None:
            yield group, str(run.record.choices[group])
    for group in _PROTOCOL:
        for key, value in _leaves(config.get(group), group):
            if key.rpartition(".")[2] not in (*_IDLE, *HYDRA_KEYS):
                yield key, value


def _leaves(node: Any, prefix: str) -> Iterable[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}")
    elif node is not None:
        yield prefix, as_written(node)


def _defaults(runs: Sequence[Run]) -> Iterable[str]:
    """Yield what runs decided by themselves, with how many of them did so where not all did."""
    told: Counter[str] = Counter()
    for run in runs:
        for key, decided in run.record.defaults.items():
            if isinstance(decided, Mapping) and key not in ("trainer.accelerator", "neck.necks"):
                told[f"{key} = {_short(decided.get('value'))} ({decided.get('from')})"] += 1
    for text, number in told.most_common(12):
        yield text if number == len(runs) else f"{text}, in {number} of {len(runs)} runs"


def _short(value: object) -> str:
    return shortened(value, 8) if isinstance(value, list) else str(value)


def _versions(runs: Sequence[Run]) -> dict[str, str]:
    found = {}
    for name in _VERSIONS:
        seen = dict.fromkeys(str(run.record.versions[name]) for run in runs if run.record.versions.get(name))
        if seen:
            found[name] = ", ".join(seen)
    return found


def _commits(runs: Sequence[Run]) -> Iterable[str]:
    return _counted(_commit(run) for run in runs)


def _commit(run: Run) -> str:
    if not run.record.git:
        return "no repository"
    return str(run.record.git.get("commit", ""))[:10] + (" and changes" if run.record.git.get("dirty") else "")


def _hardware(run: Run) -> str:
    known = run.record.hardware
    cores, threads = known.get("cores"), known.get("threads")
    parts = [known.get("accelerator"), known.get("cpu"), f"{cores} cores" if cores else None, known.get("system")]
    parts.append(f"{counted(threads, 'thread')} per cell" if isinstance(threads, int) else None)
    return ", ".join(str(part) for part in parts if part)


def _data(run: Run) -> str:
    data = run.record.data
    splits = data.get("splits")
    tiles = ", ".join(
        f"{name} {counted(known['tiles'], 'tile')} of {counted(known['scenes'], 'scene')}"
        for name, known in (splits.items() if isinstance(splits, Mapping) else ())
        if isinstance(known, Mapping) and all(isinstance(known.get(what), int) for what in ("tiles", "scenes"))
    )
    fingerprint = str(data.get("fingerprint") or "")[:12]
    return f"{data.get('name', 'data')}: {tiles}" + (f"; fingerprint {fingerprint}" if fingerprint else "")


def _weights(run: Run) -> str:
    weights = run.record.weights
    if not is_pretrained(run.record):
        return ""
    source, digest = weights.get("source") or weights.get("file") or weights, str(weights.get("sha256") or "")[:12]
    return f"{run.record.choices.get('backbone')}: {source}" + (f", sha256 {digest}" if digest else "")


def _counted(texts: Iterable[str]) -> Iterable[str]:
    """Yield each text once, with how often it was there, where there are several."""
    seen = Counter(texts)
    for text, number in seen.most_common():
        yield text if len(seen) == 1 else f"{text} ({counted(number, 'run')})"
