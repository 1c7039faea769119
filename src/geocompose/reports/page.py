"""A study's report as one HTML page that needs nothing beside itself. Free of torch."""

import shlex
from collections.abc import Sequence
from typing import Any

from geocompose.errors import counted, shortened
from geocompose.program import words
from geocompose.reports.anchors import Anchored
from geocompose.reports.cell_table import cell_table
from geocompose.reports.charts import MOST_LINES
from geocompose.reports.comparison import Comparison
from geocompose.reports.decisions import decisions
from geocompose.reports.drawings import (
    cost_fronts,
    dots_caption,
    factor_bars,
    learning_curves,
    score_dots,
    search_drawings,
)
from geocompose.reports.findings import findings
from geocompose.reports.heat_map import heat_maps
from geocompose.reports.label_efficiency import label_efficiency
from geocompose.reports.numbers import of_score
from geocompose.reports.rendering import render
from geocompose.reports.several_sets import several_sets
from geocompose.reports.side_by_side import pair_in_words, pair_table, sets_in_words, sets_table
from geocompose.reports.study_report import StudyReport
from geocompose.reports.tile_pictures import Pictures

_MOST_PLACES, _MOST_IN_PLACES, _MOST_CLASSES = 60, 6, 40


def page(report: StudyReport, shown: Sequence[Pictures | None], command: str) -> str:
    """Return the page.

    shown: of each test set, its pictures; None where there are none. command: what made the page.
    """
    splits = {part.scored.split for part in report.sets}
    several = several_sets(report.sets)
    return render(
        "study.html.j2",
        report=report,
        parts=[_part(report, part, pictured) for part, pictured in zip(report.sets, shown, strict=True)],
        several=several and {"words": sets_in_words(several), "table": sets_table(several)},
        searches=[{"words": search.words, "drawings": search_drawings(search)} for search in report.searches],
        subtitle=subtitle(report),
        command=command,
        anchors=[_anchor(one) for one in report.anchors],
        held=[one.name for one in report.anchors if one.verdict != "not run"],
        score=of_score,
        shortened=shortened,
        reproduce=shlex.join([*words(), "action=reproduce", f"action.run={report.runs[0].folder.path}"])
        if report.runs
        else "",
        split_word="test" if splits <= {"test"} else " or ".join(sorted(splits)),
    )


def subtitle(report: StudyReport) -> str:
    """Return in a line how much there is."""
    of_states = ", ".join(f"{number} {state}" for state, number in report.states.items())
    made = f"{report.made[:10]} {report.made[11:16]} UTC"
    cells, runs = counted(report.number_of_cells, "composition"), counted(len(report.runs), "scored run")
    return f"{cells}, {runs} ({of_states or 'no cells'}). {made}."


def _part(report: StudyReport, part: Comparison, pictured: Pictures | None) -> dict[str, Any]:
    split, metric = part.scored.split, part.metric
    place_word = part.clusters.what.removesuffix("s")
    shown = part.rows[:_MOST_IN_PLACES]
    return {
        "title": f"{part.scored.name}: {split} {metric}",
        "split": split,
        "metric": metric,
        "level": round(100 * part.level),
        "findings": findings(report, part),
        "dots": score_dots(part),
        "dots_caption": dots_caption(part),
        "table": cell_table(part),
        "pairs": [
            {
                "title": " and ".join(pair.names),
                "words": list(pair_in_words(pair)),
                "table": pair_table(pair) if pair.changes else None,
            }
            for pair in part.pairs
        ],
        "heat_maps": heat_maps(part),
        "fronts": cost_fronts(part),
        "curves": learning_curves(part),
        "curves_caption": (
            f"val {metric} of the {counted(min(MOST_LINES, len(part.rows)), 'best composition')}: the mean over seeds, "
            "and a band from the least to the most."
        ),
        "label_efficiency": label_efficiency(part),
        "factors": factor_bars(part),
        "no_factors": part.no_factors if len(part.rows) > 2 else "",
        "classes": part.per_class,
        "class_word": part.class_word,
        "class_rows": [
            (row.place, row.cell.name, [of_score(values[place]) for _, values in part.per_class])
            for place, row in enumerate(part.rows[:_MOST_CLASSES])
        ],
        "decisions": decisions(part),
        "places": [
            (name, tiles, [of_score(value) for value in values[: len(shown)]])
            for name, tiles, values in part.per_cluster[:_MOST_PLACES]
        ]
        if part.clusters.number > 1
        else [],
        "number_of_places": part.clusters.number,
        "number_of_cells": len(part.rows),
        "place_word": place_word,
        "place_columns": [f"#{row.place} {row.cell.name}" for row in shown],
        "pictures": pictured,
        "pictures_note": _pictures_note(part, pictured),
    }


def _anchor(one: Anchored) -> dict[str, str]:
    ours = "" if one.ours is None else of_score(one.ours)
    if one.interval is not None and one.interval.known:
        ours += f" ({one.interval})"
    return {
        "name": one.name,
        "metric": one.anchor.metric,
        "published": of_score(one.published),
        "ours": ours,
        "verdict": one.verdict,
        "source": one.source,
        "why": one.why,
    }


def _pictures_note(part: Comparison, pictured: Pictures | None) -> str:
    if pictured is None:
        return ""
    best = part.rows[0].cell
    seed = f"its first seed's, {best.runs[0][0].folder.path.name}"
    said = f"{best.name}: pictures are {seed}; tiles are ranked by the mean over its seeds."
    return f"{said} {pictured.missing[:1].upper()}{pictured.missing[1:]}." if pictured.missing else said
