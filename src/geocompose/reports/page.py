"""A study's report as one HTML page that needs nothing beside itself. Free of torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geocompose.errors import counted, shortened
from geocompose.reports.anchors import Anchored
from geocompose.reports.cell_table import cell_table
from geocompose.reports.charts import MOST_LINES, Curve, Dot, bars, curves, dots, front
from geocompose.reports.comparison import COSTS, Comparison
from geocompose.reports.decisions import decisions
from geocompose.reports.findings import findings
from geocompose.reports.heat_map import heat_maps
from geocompose.reports.label_efficiency import label_efficiency
from geocompose.reports.metrics_files import series
from geocompose.reports.numbers import COST_NAMES, of_score
from geocompose.reports.rendering import render
from geocompose.reports.study_report import StudyReport
from geocompose.reports.tile_pictures import Pictures
from geocompose.statistics.intervals import Estimate, Interval

_MOST_DOTS, _MOST_PLACES, _MOST_IN_PLACES, _MOST_CLASSES = 40, 60, 6, 40


def page(report: StudyReport, shown: Sequence[Pictures | None], command: str) -> str:
    """Return the page.

    shown: of each test set, its pictures; None where there are none. command: what made the page.
    """
    splits = {part.scored.split for part in report.sets}
    return render(
        "study.html.j2",
        report=report,
        parts=[_part(report, part, pictured) for part, pictured in zip(report.sets, shown, strict=True)],
        subtitle=subtitle(report),
        command=command,
        anchors=[_anchor(one) for one in report.anchors],
        held=[one.name for one in report.anchors if one.verdict != "not run"],
        score=of_score,
        shortened=shortened,
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
    word = "class" if part.scored.score.of_classes else "variable"
    place_word = part.clusters.what.removesuffix("s")
    shown = part.rows[:_MOST_IN_PLACES]
    return {
        "title": f"{part.scored.name}: {split} {metric}",
        "split": split,
        "metric": metric,
        "level": round(100 * part.level),
        "findings": findings(report, part),
        "dots": _dots(part),
        "dots_caption": _dots_caption(part),
        "table": cell_table(part),
        "heat_maps": heat_maps(part),
        "fronts": _fronts(part),
        "curves": _curves(part),
        "curves_caption": (
            f"val {metric} of the {min(MOST_LINES, len(part.rows))} best compositions: the mean over seeds, and a band "
            "from the least to the most."
        ),
        "label_efficiency": label_efficiency(part),
        "factors": _factors(part),
        "no_factors": part.no_factors if len(part.rows) > 2 else "",
        "classes": part.per_class,
        "class_word": word,
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
        "place_word": place_word,
        "place_columns": [f"#{row.place} {row.cell.name}" for row in shown],
        "pictures": pictured,
        "pictures_note": _pictures_note(part, pictured),
    }


def _limits(one: Estimate) -> Interval:
    return one.interval if one.interval.known else one.on_these_tiles


def _dots(part: Comparison) -> str:
    points = [
        Dot(
            f"{row.place}  {row.cell.name}",
            row.estimate.mean,
            _limits(row.estimate).low,
            _limits(row.estimate).high,
            bool(row.tied),
        )
        for row in part.rows[:_MOST_DOTS]
    ]
    best = part.baselines[0] if part.baselines else None
    return dots(
        points,
        f"{part.scored.split} {part.metric}",
        line=None if best is None else best.estimate.mean,
        line_label="" if best is None else best.name,
    )


def _dots_caption(part: Comparison) -> str:
    of_all = f"The best {_MOST_DOTS} of {len(part.rows)}. " if len(part.rows) > _MOST_DOTS else ""
    return f"{of_all}Mean over seeds and {round(100 * part.level)} % interval; blue: not told apart from the best one."


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


def _fronts(part: Comparison) -> list[str]:
    found = []
    for cost in COSTS:
        ahead = {row.place for row in part.front(cost)}
        points = [
            (str(row.place), spent, row.estimate.mean, row.place in ahead)
            for row in part.rows
            if (spent := row.costs[cost]) is not None
        ]
        if len({spent for _, spent, _, _ in points}) > 1:
            unit = {"seconds": "seconds of a run", "memory_mb": "memory, MiB"}.get(cost, COST_NAMES[cost])
            found.append(front(points, unit, part.metric, higher=part.higher))
    return found


def _curves(part: Comparison) -> str:
    lines = []
    metric = f"val/{part.metric}"
    for row in part.rows[:MOST_LINES]:
        found: Mapping[int, list[float]] = series([run.folder.metrics for run in row.cell.every_run], metric)
        if len(found) < 2:
            continue
        epochs = np.array(sorted(found))
        values = [np.array(found[epoch]) for epoch in sorted(found)]
        lines.append(
            Curve(
                f"{row.place}  {row.cell.name}",
                epochs + 1,
                np.array([one.mean() for one in values]),
                np.array([one.min() for one in values]),
                np.array([one.max() for one in values]),
            )
        )
    return curves(lines, f"val {part.metric}") if lines else ""


def _factors(part: Comparison) -> str:
    shares = {
        name: (share.share, share.interval.low, share.interval.high)
        for name, share in part.factors.items()
        if np.isfinite(share.share)
    }
    return bars(shares) if shares else ""


def _pictures_note(part: Comparison, pictured: Pictures | None) -> str:
    if pictured is None:
        return ""
    best = part.rows[0].cell
    seed = f"its first seed's, {best.runs[0][0].folder.path.name}"
    said = f"{best.name}: pictures are {seed}; tiles are ranked by the mean over its seeds."
    return f"{said} {pictured.missing[:1].upper()}{pictured.missing[1:]}." if pictured.missing else said
