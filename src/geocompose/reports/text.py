"""A study's report as Markdown, and its tables as LaTeX. Free of torch."""

import re
from collections.abc import Sequence

from geocompose.errors import shortened
from geocompose.reports.cell_table import CellTable, cell_table
from geocompose.reports.comparison import Comparison
from geocompose.reports.findings import findings
from geocompose.reports.numbers import UNKNOWN, of_score
from geocompose.reports.page import subtitle
from geocompose.reports.several_sets import several_sets
from geocompose.reports.side_by_side import pair_in_words, pair_table, sets_in_words, sets_table
from geocompose.reports.study_report import StudyReport

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$])")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    UNKNOWN: "--", "·": r"$\cdot$",
}  # fmt: skip
# What a paper's table has no room for.
_NOT_IN_LATEX = ("#", "remarks", "val", "memory")


def markdown(report: StudyReport, command: str) -> str:
    """Return the report's sentences and tables as Markdown. command: what made it."""
    lines = [f"# {plain(report.title)}", "", subtitle(report), ""]
    for part in report.sets:
        lines += [f"## {plain(part.scored.name)}: {part.scored.split} {plain(part.metric)}", ""]
        found = findings(report, part)
        for title, sentences in (
            ("Which to take", found.take),
            ("What it costs", found.costs),
            ("What is not known", found.unknown),
        ):
            if sentences:
                lines += [f"### {title}", "", *(f"- {plain(text)}" for text in sentences), ""]
        lines += ["### Scores", "", *_table(cell_table(part)), ""]
        lines += _pairs(part)
        lines += _per_class(part)
    several = several_sets(report.sets)
    if several:
        lines += ["## The same compositions on each test set", "", plain(sets_in_words(several)), ""]
        lines += [*_table(sets_table(several)), ""]
    if not report.sets:
        lines += ["No run of this study is completed.", ""]
    if report.failures:
        lines += ["## What is missing, and why", "", "| state | cells | reason | which |", "|---|---|---|---|"]
        for failure in report.failures:
            row = (failure.state, str(len(failure.cells)), failure.reason, shortened(failure.cells, 6))
            lines.append(markdown_line(row))
        lines.append("")
    if report.searches:
        lines += ["## Searches", "", *(f"- {plain(search.words)}" for search in report.searches), ""]
    held = [one for one in report.anchors if one.verdict != "not run"]
    if held:
        lines += ["## Published results", ""]
        lines += [markdown_line(["result", "published (copied)", "here (rerun)", "verdict", "source", "why"])]
        lines += ["|---|---:|---:|---|---|---|"]
        for one in held:
            ours = "" if one.ours is None else of_score(one.ours)
            lines.append(markdown_line([one.name, of_score(one.published), ours, one.verdict, one.source, one.why]))
        lines.append("")
    lines += ["## What made these numbers", "", f"- this page: `{command}`"]
    lines += [f"- data: {plain(text)}" for text in report.data]
    lines += [f"- weights: {plain(text)}" for text in report.weights]
    lines += [f"- commit: {plain(text)}" for text in report.commits]
    lines += [f"- machine: {plain(text)}" for text in report.hardware]
    lines.append("- versions: " + plain(", ".join(f"{name} {version}" for name, version in report.versions.items())))
    lines += [f"- {plain(key)}: {plain(value)}" for key, value in report.protocol.items()]
    return "\n".join(lines) + "\n"


def _table(table: CellTable) -> list[str]:
    rule = "|" + "|".join("---" if column.text else "---:" for column in table.columns) + "|"
    rows = []
    for row in table.rows:
        values = [plain(value) for value in row.values]
        if row.kind == "tied":
            values[table.score] = f"**{values[table.score]}**"
        rows.append("| " + " | ".join(values) + " |")
    return [markdown_line([column.name for column in table.columns]), rule, *rows, "", plain(table.note)]


def _pairs(part: Comparison) -> list[str]:
    lines = []
    for pair in part.pairs:
        title = f"### {plain(' and '.join(pair.names))}: the same compositions"
        lines += [title, "", *(f"- {plain(text)}" for text in pair_in_words(pair)), ""]
        lines += [*_table(pair_table(pair)), ""] if pair.changes else []
    return lines


def _per_class(part: Comparison) -> list[str]:
    if not part.per_class:
        return []
    names = [name for name, _ in part.per_class]
    lines = [
        f"### Per {part.class_word}",
        "",
        markdown_line(["#", "composition", *names]),
        "|---:|---|" + "---:|" * len(names),
    ]
    for place, row in enumerate(part.rows):
        scores = [of_score(values[place]) for _, values in part.per_class]
        lines.append(markdown_line([str(row.place), row.cell.name, *scores]))
    return [*lines, ""]


def markdown_line(values: Sequence[str]) -> str:
    """Return a row of a table, whose values are texts that Markdown shows as they are."""
    return "| " + " | ".join(plain(value) for value in values) + " |"


def plain(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def latex(report: StudyReport) -> str:
    """Return a table per test set for LaTeX with booktabs: bold is what can't be told apart from the best."""
    parts = [_latex_table(part) for part in report.sets]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(parts)


def _latex_table(part: Comparison) -> str:
    table = cell_table(part)
    kept = [place for place, column in enumerate(table.columns) if column.name not in _NOT_IN_LATEX]
    columns = "".join("l" if table.columns[place].text else "r" for place in kept)
    lines = [
        "\\begin{table}",
        f"\\caption{{{tex(part.scored.name)}: {tex(part.scored.split)} {tex(part.metric)}. {tex(table.note)}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        " & ".join(tex(table.columns[place].name) for place in kept) + r" \\",
        "\\midrule",
    ]
    began = False
    for row in table.rows:
        if row.kind == "baseline" and not began:
            lines.append("\\midrule")
            began = True
        values = [tex(row.values[place]) for place in kept]
        score = kept.index(table.score)
        if row.kind == "tied":
            values[score] = f"\\textbf{{{values[score]}}}"
        lines.append(" & ".join(values) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def tex(text: str) -> str:
    """Return a text that LaTeX shows as it is, on one line."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
