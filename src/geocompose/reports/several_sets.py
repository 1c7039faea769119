"""The same compositions on several test sets: where each stands, and which are tied with the best on all. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from geocompose.reports.cells import name_of
from geocompose.reports.comparison import Comparison, Row
from geocompose.reports.equal_compositions import STUDY, differing_throughout, without


@dataclass(frozen=True)
class SeveralSets:
    """Compositions that all test sets have.

    sets: their names. rows: of each composition, its name and its row in each set; as the first set orders them. A
    mean over sets is not offered: it would weigh data that have nothing in common.
    """

    sets: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Row, ...]], ...]

    @property
    def always_tied(self) -> list[str]:
        """The compositions that are tied with the best one on every set."""
        return [name for name, rows in self.rows if all(row.tied for row in rows)]

    @property
    def known(self) -> bool:
        """Whether every set can tell which of its compositions are tied."""
        return all(row.tied is not None for _, rows in self.rows for row in rows)


def several_sets(parts: Sequence[Comparison]) -> SeveralSets | None:
    """Return what test sets have in common; None of one set, or without two compositions that all have."""
    if len(parts) < 2:
        return None
    throughout = set(differing_throughout([[row.cell.settings for row in part.rows] for part in parts]))
    # A study's name makes no other composition, unless nothing else tells two of them apart.
    for left_out in (throughout | {STUDY}, throughout):
        by_composition = [{without(row.cell.settings, left_out): row for row in part.rows} for part in parts]
        if all(len(found) == len(part.rows) for found, part in zip(by_composition, parts, strict=True)):
            break
    shared = [same for same in by_composition[0] if all(same in others for others in by_composition[1:])]
    if len(shared) < 2:
        return None
    rows = []
    for same in shared:
        cell = by_composition[0][same].cell
        keys = [key for key in cell.settings if key not in left_out]
        rows.append((name_of(cell.settings, cell.choices, keys), tuple(found[same] for found in by_composition)))
    return SeveralSets(tuple(f"{part.scored.name} ({part.metric})" for part in parts), tuple(rows))
