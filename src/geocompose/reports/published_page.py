"""Published scores as a page, as Markdown and as a table for LaTeX; every number is marked as copied. Free of torch."""

from geocompose.errors import counted
from geocompose.reports.charts import Dot, dots
from geocompose.reports.numbers import of_score
from geocompose.reports.published import ORIGIN, PublishedReport, PublishedSet, in_words
from geocompose.reports.rendering import render
from geocompose.reports.text import markdown_line, plain, tex

_MOST_DOTS = 40


def published_page(report: PublishedReport, command: str) -> str:
    """Return the report as an HTML page. command: what made it."""
    parts = [
        {
            "title": f"{each.dataset or report.file}: {each.metric or 'score'}",
            "sentences": sentences(each),
            "dots": _dots(each),
            "rows": [
                (
                    str(place),
                    cell.name,
                    of_score(cell.mean),
                    _limits(cell.low, cell.high),
                    str(len(cell.scores)),
                    cell.tied,
                )
                for place, cell in enumerate(each.cells, 1)
            ],
        }
        for each in report.sets
    ]
    return render("published.html.j2", report=report, parts=parts, command=command, origin=ORIGIN)


def _limits(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{of_score(low)} to {of_score(high)}"


def _dots(each: PublishedSet) -> str:
    shown = each.cells[:_MOST_DOTS]
    points = [
        Dot(f"{place}  {cell.name}", cell.mean, cell.low, cell.high, bool(cell.tied))
        for place, cell in enumerate(shown, 1)
    ]
    return dots(points, each.metric or "score")


def sentences(each: PublishedSet) -> list[str]:
    """Return what one data set's scores tell."""
    best = each.cells[0]
    way = "" if each.higher else " Less is better."
    said = [f"The best of {counted(len(each.cells), 'composition')} is {best.name}, {in_words(best)}.{way}"]
    if each.tied is not None and each.tied.pairs:
        members = len(each.members)
        said.append(
            "No other one is as good, beyond chance among seeds."
            if members == 1
            else f"{members} can't be told apart by their seeds, the best one included."
        )
        said.append(f"Differences below about {of_score(each.tied.smallest_seen)} mostly stay hidden.")
    elif each.tied is not None:
        said.append(f"Which are as good can't be said: {each.tied.reason}.")
    if each.ranks_differ is not None:
        said.append(f"Ranks 1 and 2 {'differ' if each.ranks_differ else 'do not differ'} (Welch).")
    return said


def published_markdown(report: PublishedReport, command: str) -> str:
    """Return the report as Markdown. command: what made it."""
    lines = [f"# {plain(report.file)} ({ORIGIN})", "", f"All numbers are {ORIGIN}: {plain(report.source)}.", ""]
    lines += [report.summary, "", *_overview(report), ""]
    for each in report.sets:
        lines += [f"## {plain(each.dataset or report.file)}: {plain(each.metric or 'score')}", ""]
        lines += [*(plain(text) for text in sentences(each)), ""]
        lines += [
            markdown_line(["#", "composition", "score", "interval", "seeds", "origin"]),
            "|---:|---|---:|---|---:|---|",
        ]
        for place, cell in enumerate(each.cells, 1):
            score = f"**{of_score(cell.mean)}**" if cell.tied else of_score(cell.mean)
            values = [plain(cell.name), score, _limits(cell.low, cell.high), str(len(cell.scores)), ORIGIN]
            lines.append(f"| {place} | {' | '.join(values)} |")
        lines.append("")
    return "\n".join([*lines, f"This page: `{command}`", ""])


def _overview(report: PublishedReport) -> list[str]:
    lines = [
        "| data set | metric | best | its score | tied with it | ranks 1 and 2 | smallest difference seen | origin |",
        "|---|---|---|---:|---:|---|---:|---|",
    ]
    for each in report.sets:
        differ = {True: "differ", False: "do not differ", None: "not known"}[each.ranks_differ]
        seen = "" if each.tied is None else of_score(each.tied.smallest_seen)
        best, members = each.cells[0], f"{len(each.members)} of {len(each.cells)}"
        values = [each.dataset, each.metric, best.name, of_score(best.mean), members, differ, seen, ORIGIN]
        lines.append(markdown_line(values))
    return lines


def published_latex(report: PublishedReport) -> str:
    """Return the overview for LaTeX with booktabs."""
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        f"\\caption{{Copied: {tex(report.source)}. {tex(report.summary)}}}",
        "\\begin{tabular}{lllrl}",
        "\\toprule",
        "data set & metric & best & score & tied \\\\",
        "\\midrule",
    ]
    for each in report.sets:
        best = each.cells[0]
        values = [
            each.dataset,
            each.metric,
            best.name,
            of_score(best.mean),
            f"{len(each.members)} of {len(each.cells)}",
        ]
        lines.append(" & ".join(tex(value) for value in values) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])
