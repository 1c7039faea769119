"""The differences of two runs, as tables for a person."""

import math
from collections.abc import Sequence

from geocompose.console import console, number
from geocompose.studies.differences import ConfigDifferences, Difference, MetricDifference
from geocompose.studies.wide_table import Column, print_table


def show_config(found: ConfigDifferences) -> None:
    """Print how two configurations differ."""
    out = console()
    if found.counted:
        _print("configuration", found.counted)
    for line in found.following:
        out.print(line)
    if not found.counted and not found.following:
        out.print("configuration: the same")
    if found.volatile:
        changed = ", ".join(f"{each.field} ({each.first} | {each.second})" for each in found.volatile)
        out.print(f"changes no result by itself: {changed}")


def show_environment(found: Sequence[Difference], title: str = "environment") -> None:
    """Print how what two runs were computed with differs."""
    if found:
        _print(title, found)
    else:
        console().print(f"{title}: the same")


def show_metrics(found: Sequence[MetricDifference], names: tuple[str, str] = ("first", "second")) -> None:
    """Print metrics side by side. names: of the two runs."""
    if not found:
        console().print("metrics: none are recorded")
        return
    ahead = {"first": names[0], "second": names[1], None: ""}
    rows = [
        [each.name, number(each.first), number(each.second), change_in_words(each.change), ahead[each.ahead]]
        for each in found
    ]
    columns = [Column("metric", folds=True), Column(names[0]), Column(names[1]), Column("change"), Column("better")]
    print_table("metrics", columns, rows)


def change_in_words(change: float) -> str:
    """Return a difference with its sign, `+0.0123`; `0` of equal numbers, `-` where there is none."""
    if math.isnan(change):
        return "-"
    return f"{change:+.4f}" if abs(change) >= 0.001 else f"{change:+.2g}" if change else "0"


def _print(title: str, found: Sequence[Difference]) -> None:
    columns = [Column("key", folds=True), Column("first", folds=True), Column("second", folds=True)]
    print_table(title, columns, [[each.field, each.first, each.second] for each in found])


def show_reproduced(found: Sequence[MetricDifference], tolerance: float) -> None:
    """Print the metrics of a run beside those of its reproduction, and which of them are within a tolerance."""
    rows = [
        [
            each.name,
            number(each.first),
            number(each.second),
            change_in_words(each.change),
            "yes" if each.within(tolerance) else "NO",
        ]
        for each in found
    ]
    columns = [
        Column("metric", folds=True),
        *map(Column, ("recorded", "reproduced", "change", f"within {tolerance:g}")),
    ]
    print_table("metrics", columns, rows)
