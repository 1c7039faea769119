"""The same composition in several studies: what was set otherwise there, and what that made of it. No torch."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from geocompose.reports.cells import ReportedCell, name_of
from geocompose.statistics.intervals import Estimate, difference_of
from geocompose.statistics.prepared import Prepared
from geocompose.studies.settings import Settings, same_value

STUDY = "study"
Verdict = Literal["better", "worse", "not told apart"]


@dataclass(frozen=True)
class Change:
    """One composition in both studies. scores: there and here. difference: the second less the first."""

    name: str
    scores: tuple[float, float]
    difference: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class StudyPair:
    """A study against the first one, on the same test tiles.

    names: of both. what: settings that one study has throughout and the other has otherwise: `optimizer.lr: 0.001,
    then 0.0001`. changes: of each composition that both have, the largest gain first; level: of all their intervals
    together. alone: how many compositions only the one has, and only the other.
    """

    names: tuple[str, str]
    what: tuple[str, ...]
    changes: tuple[Change, ...]
    alone: tuple[int, int]
    level: float

    def of_verdict(self, verdict: Verdict) -> list[Change]:
        """Return the changes of one kind."""
        return [change for change in self.changes if change.verdict == verdict]


def study_pairs(
    cells: Sequence[ReportedCell], ready: Sequence[Prepared], studies: Sequence[str], *, higher: bool, level: float
) -> Iterable[StudyPair]:
    """Yield each further study against the first one, of cells that were scored on the same tiles.

    studies: their names, in the order in which they were given. ready: the cells' counts, prepared together. level: of
    all intervals of a pair of studies together (Bonferroni).
    """
    places = {name: [at for at, cell in enumerate(cells) if cell.settings.get(STUDY) == name] for name in studies}
    present = [name for name in studies if places[name]]
    for name in present[1:]:
        of_two = [[cells[at].settings for at in places[each]] for each in (present[0], name)]
        throughout = differing_throughout(of_two)
        members = [{without(cells[at].settings, throughout): at for at in places[each]} for each in (present[0], name)]
        both = [(at, members[1][same]) for same, at in members[0].items() if same in members[1]]
        each_level = 1 - (1 - level) / max(1, len(both))
        changes = [
            _change(cells[first], ready[first], ready[second], throughout, higher=higher, level=each_level)
            for first, second in both
        ]
        sign = 1 if higher else -1
        yield StudyPair(
            names=(present[0], name),
            what=tuple(f"{key}: {' then '.join(values)}" for key, values in throughout.items() if key != STUDY),
            changes=tuple(sorted(changes, key=lambda change: -sign * change.difference.mean)),
            alone=(len(members[0]) - len(both), len(members[1]) - len(both)),
            level=level,
        )


def differing_throughout(groups: Sequence[Sequence[Settings]]) -> dict[str, tuple[str, ...]]:
    """Return what tells groups of cells apart: keys with one value in all cells of a group, and another in others.

    groups: the settings of each one's cells. The values are those of the groups, in their order.
    """
    found = {}
    for key in dict.fromkeys(key for group in groups for settings in group for key in settings):
        values = [{same_value(settings.get(key, "not set")) for settings in group} for group in groups]
        if all(len(seen) == 1 for seen in values) and any(seen != values[0] for seen in values):
            found[key] = tuple(group[0].get(key, "not set") for group in groups)
    return found


def without(settings: Settings, keys: Container[str]) -> tuple[tuple[str, str], ...]:
    """Return what is left of a cell's settings, alike where equal values are written in several ways."""
    return tuple(sorted((key, same_value(value)) for key, value in settings.items() if key not in keys))


def _change(
    cell: ReportedCell,
    first: Prepared,
    second: Prepared,
    throughout: Container[str],
    *,
    higher: bool,
    level: float,
) -> Change:
    keys = [key for key in cell.settings if key not in throughout]
    difference = difference_of(second, first, level=level)
    low, high = difference.widest_known.low, difference.widest_known.high
    verdict: Verdict = "not told apart"
    if low is not None and high is not None and (low > 0 or high < 0):
        verdict = "better" if (low > 0) == higher else "worse"
    scores = float(first.crossed.mean), float(second.crossed.mean)
    return Change(name_of(cell.settings, cell.choices, keys), scores, difference, verdict)
