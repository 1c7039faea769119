"""Studies and test sets side by side, in sentences and tables for the page and Markdown. Free of torch."""

from collections.abc import Iterable

from geocompose.errors import counted, shortened
from geocompose.reports.cell_table import CellTable, Column, TableRow
from geocompose.reports.equal_compositions import Change, StudyPair
from geocompose.reports.findings import reported_interval
from geocompose.reports.numbers import UNKNOWN, of_difference, of_score
from geocompose.reports.several_sets import SeveralSets

_ON_THESE_TILES = "* of other seeds on these very tiles; nothing is said of other places."


def pair_in_words(pair: StudyPair) -> Iterable[str]:
    """Yield what a study is against the first one: what was set otherwise, and of how many compositions it shows."""
    if pair.what:
        yield f"What is set otherwise throughout: {shortened(pair.what, 8, between='; ')}."
    else:
        yield "No setting differs throughout: what does is the code, the machine, or the runs' chance."
    if not pair.changes:
        yield "The two have no composition in common."
        return
    told = [f"{len(pair.of_verdict(verdict))} {verdict}" for verdict in ("better", "worse", "not told apart")]
    yield f"Of the {counted(len(pair.changes), 'composition')} that both have, in {pair.names[1]}: {', '.join(told)}."
    counts = zip(pair.alone, pair.names, strict=True)
    only = [f"{counted(number, 'composition')} only in {name}" for number, name in counts if number]
    if only:
        yield f"{', '.join(only)}: not compared here."


def pair_table(pair: StudyPair) -> CellTable:
    """Return the table of a pair of studies: each composition that both have, the largest gain first."""
    first, second = pair.names
    columns = (
        Column("composition", text=True), Column(first), Column(second), Column("difference"),
        Column("interval", text=True), Column("verdict", text=True),
    )  # fmt: skip
    starred = any(_starred(change) for change in pair.changes)
    note = f"All intervals together hold with {100 * pair.level:.0f} % (Bonferroni); tiles are paired, seeds are not."
    rows = tuple(TableRow("other", _of_change(change)) for change in pair.changes)
    return CellTable(columns, rows, 3, f"{note} {_ON_THESE_TILES}" if starred else note)


def _of_change(change: Change) -> tuple[str, ...]:
    interval, _ = reported_interval(change.difference)
    said = f"{interval}{' *' if _starred(change) else ''}" if interval else UNKNOWN
    scores = [of_score(score) for score in change.scores]
    return change.name, *scores, of_difference(change.difference.mean), said, change.verdict


def _starred(change: Change) -> bool:
    return not change.difference.interval.known and change.difference.on_these_tiles.known


def sets_in_words(several: SeveralSets) -> str:
    """Return which compositions are among the best everywhere."""
    if not several.known:
        return "Which compositions are tied with the best one can't be told on every set."
    tied, number = several.always_tied, len(several.rows)
    if not tied:
        return f"None of the {number} compositions that all sets have is tied with the best one on each of them."
    return f"Tied with the best one on every set are {len(tied)} of {number} compositions: {shortened(tied, 12)}."


def sets_table(several: SeveralSets) -> CellTable:
    """Return each composition's place and score on each set; bold where it is tied with the best one there."""
    rows = tuple(
        TableRow(
            "tied" if all(row.tied for row in own) else "other",
            (name, *(f"{of_score(row.estimate.mean)} (#{row.place}{', tied' if row.tied else ''})" for row in own)),
        )
        for name, own in several.rows
    )
    columns = (Column("composition", text=True), *(Column(name, text=True) for name in several.sets))
    note = (
        "In brackets the place among all compositions of that set; tied: not told apart from its best one. Scores of "
        "different data are not averaged."
    )
    return CellTable(columns, rows, 0, note)
