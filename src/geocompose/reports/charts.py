"""The drawings of a report, as SVG that takes the page's colours, light or dark. Free of torch."""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

# Drawn in colours that nothing else has, each of which then becomes a variable of the page's style.
_INK, _SOFT, _LINE, _MARK, _OTHER = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {_INK: "--ink", _SOFT: "--soft", _LINE: "--line", _MARK: "--mark", _OTHER: "--other"}
# Of several lines in one drawing: Okabe and Ito's, which are told apart with every kind of colour blindness, on light
# and on dark ground.
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MOST_LINES = len(_LINES)


@dataclass(frozen=True)
class Dot:
    """A point with its interval on one axis. low, high: None where they aren't known."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    marked: bool = False


@dataclass(frozen=True)
class Curve:
    """A line. at: epochs, or parts of the data. low, high: its band, as long as values; NaN where it isn't known."""

    label: str
    at: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


def dots(points: Sequence[Dot], title: str, *, line: float | None = None, line_label: str = "") -> str:
    """Return points with intervals, a row each. line: a value that is marked by a vertical line."""
    with _svg(6.4, 0.55 + 0.24 * len(points)) as (figure, written):
        axes = figure.subplots()
        rows = np.arange(len(points))[::-1]
        for row, point in zip(rows, points, strict=True):
            colour = _MARK if point.marked else _OTHER
            if point.low is not None and point.high is not None:
                axes.plot([point.low, point.high], [row, row], color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot([point.value], [row], "o", color=colour, markersize=4.5)
        axes.set_yticks(rows, [point.label for point in points])
        axes.set_ylim(-0.6, len(points) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(title)
        if line is not None:
            axes.axvline(line, color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                line_label, (line, 1), xycoords=("data", "axes fraction"), xytext=(3, 2), textcoords="offset points",
                fontsize=8, color=_SOFT,
            )  # fmt: skip
    return written[0]


def front(points: Sequence[tuple[str, float, float, bool]], cost: str, score: str, *, higher: bool) -> str:
    """Return scores against a cost on a logarithmic scale: (label, cost, score, whether it is on the front) each."""
    with _svg(3.3, 2.6) as (figure, written):
        axes = figure.subplots()
        for label, spent, value, best in points:
            axes.plot([spent], [value], "o", color=_MARK if best else _OTHER, markersize=5 if best else 3.5)
            if best:
                axes.annotate(label, (spent, value), xytext=(4, 4), textcoords="offset points", fontsize=8, color=_INK)
        ahead = sorted((spent, value) for _, spent, value, best in points if best)
        if ahead:
            axes.step(*zip(*ahead, strict=True), where="post", color=_MARK, linewidth=1)
        spends = [spent for _, spent, _, _ in points]
        if min(spends) > 0:
            axes.set_xscale("log")
            # Few and short: each decade; 1, 2 and 5 of it where all points lie within two; even steps within one.
            spread = max(spends) / min(spends)
            within = (1.0,) if spread > 100 else (1.0, 2.0, 5.0)
            few = MaxNLocator(3, min_n_ticks=2) if spread < 10 else LogLocator(subs=within, numticks=6)
            axes.xaxis.set_major_locator(few)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
            room = max(1.15, spread**0.08)
            axes.set_xlim(min(spends) / room, max(spends) * room)
        if not higher:
            axes.invert_yaxis()
        axes.set_xlabel(cost)
        axes.set_ylabel(score)
    return written[0]


def curves(lines: Sequence[Curve], score: str) -> str:
    """Return lines over epochs, each with the band from the least to the most of its seeds."""
    with _svg(6.4, 3.0) as (figure, written):
        axes = figure.subplots()
        _draw_lines(axes, lines, score, marker="")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch")
    return written[0]


def over_fractions(lines: Sequence[Curve], score: str) -> str:
    """Return scores over the part of the training data, on a logarithmic scale, with their intervals as bands."""
    with _svg(6.4, 3.0) as (figure, written):
        axes = figure.subplots()
        _draw_lines(axes, lines, score, marker="o")
        shown = sorted({float(fraction) for line in lines for fraction in line.at})
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(shown, [f"{100 * fraction:g} %" for fraction in shown])
        axes.set_xlabel("part of the training tiles (data.fraction)")
    return written[0]


def over_trials(numbers: Sequence[int], values: Sequence[float], best_so_far: Sequence[float], score: str) -> str:
    """Return the value of each trial of a search in their order, and the best one so far as a line."""
    with _svg(3.3, 2.6) as (figure, written):
        axes = figure.subplots()
        axes.plot(numbers, values, "o", color=_OTHER, markersize=3.5)
        axes.step(numbers, best_so_far, where="post", color=_MARK, linewidth=1.2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("trial; the line is the best so far")
        axes.set_ylabel(score)
    return written[0]


def over_values(
    at: Sequence[float] | Sequence[str], values: Sequence[float], best: int | None, key: str, score: str, *, log: bool
) -> str:
    """Return the value of each trial over what was set: numbers on an axis, by their logarithm or not, names by rows.

    best: the place of the trial that was chosen, which is marked.
    """
    with _svg(3.3, 2.6) as (figure, written):
        axes = figure.subplots()
        names = sorted({each for each in at if isinstance(each, str)})
        places = [names.index(each) if isinstance(each, str) else each for each in at]
        axes.plot(places, values, "o", color=_OTHER, markersize=3.5)
        if best is not None:
            axes.plot([places[best]], [values[best]], "o", color=_MARK, markersize=6)
        if names:
            turned = max(map(len, names)) * len(names) > 30
            axes.set_xticks(range(len(names)), names, rotation=45 if turned else 0, ha="right" if turned else "center")
            axes.set_xlim(-0.5, len(names) - 0.5)
        elif log and min(places) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0,), numticks=6))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(key)
        axes.set_ylabel(score)
    return written[0]


def _draw_lines(axes: Axes, lines: Sequence[Curve], score: str, *, marker: str) -> None:
    for line, colour in zip(lines, _LINES, strict=False):
        axes.fill_between(line.at, line.low, line.high, color=colour, alpha=0.17, linewidth=0)
        axes.plot(line.at, line.values, color=colour, linewidth=1.6, marker=marker, markersize=4, label=line.label)
    axes.set_ylabel(score)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handlelength=1.4, columnspacing=1.2)


def bars(shares: Mapping[str, tuple[float, float | None, float | None]]) -> str:
    """Return shares of 1 as bars with their intervals: the value, and its limits where they are known."""
    with _svg(6.4, 0.55 + 0.27 * len(shares)) as (figure, written):
        axes = figure.subplots()
        rows = np.arange(len(shares))[::-1]
        axes.barh(rows, [100 * value for value, _, _ in shares.values()], height=0.55, color=_MARK, alpha=0.55)
        for row, (_, low, high) in zip(rows, shares.values(), strict=True):
            if low is not None and high is not None:
                axes.plot([100 * low, 100 * high], [row, row], color=_INK, linewidth=1.3)
        axes.set_yticks(rows, list(shares))
        axes.set_xlim(0, 100)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share of the variance of a run's score, %")
    return written[0]


def precision_recall_chart(
    recall: np.ndarray, precision: np.ndarray, chosen: tuple[float, float], at_half: tuple[float, float]
) -> str:
    """Return precision over recall, with the chosen threshold and that of 0.5 as (recall, precision)."""
    with _svg(3.6, 3.0) as (figure, written):
        axes = figure.subplots()
        axes.plot(recall, precision, color=_MARK)
        if max(abs(one - other) for one, other in zip(chosen, at_half, strict=True)) < 0.02:
            _named_dot(axes, chosen, "0.5 and chosen", _MARK)  # two names would lie on each other
        else:
            _named_dot(axes, at_half, "0.5", _OTHER)
            _named_dot(axes, chosen, "chosen", _MARK)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    return written[0]


def _short(value: float) -> str:
    """Return a number in few letters: `5M`, `200k`, `0.5`."""
    for unit, step in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= step:
            return f"{value / step:g}{unit}"
    return f"{value:g}"


def _named_dot(axes: Axes, at: tuple[float, float], name: str, colour: str) -> None:
    axes.plot([at[0]], [at[1]], "o", color=colour, markersize=5)
    axes.annotate(name, at, xytext=(-4, -11), textcoords="offset points", fontsize=8, color=_INK, ha="right")


@contextmanager
def _svg(width_in: float, height_in: float) -> Iterator[tuple[Figure, list[str]]]:
    """Yield an empty figure, and a list that holds its SVG when the block has ended."""
    look = {
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.edgecolor": _LINE,
        "axes.labelcolor": _SOFT,
        "axes.labelsize": 8.5,
        "text.color": _INK,
        "xtick.color": _LINE,
        "ytick.color": _LINE,
        "xtick.labelcolor": _SOFT,
        "ytick.labelcolor": _INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": _LINE,
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "svg.fonttype": "none",  # text of the page, in its font
        "svg.hashsalt": "geocompose",  # the same drawing has the same text
        "text.usetex": False,
        "text.parse_math": False,  # names may hold dollars
    }
    written: list[str] = []
    with matplotlib.rc_context(look):  # type: ignore[arg-type]
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        yield figure, written
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    written.append(_embedded(text.getvalue()))


def _embedded(svg: str) -> str:
    """Return an SVG as a part of an HTML page: its own element alone, in the page's colours and font."""
    svg = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    # Several drawings share a page, and names within it must not meet.
    own = hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r"(\bid=\"|url\(#|href=\"#)", rf"\g<1>{own}-", svg)
    svg = re.sub(r"(<svg[^>]*?) height=\"[^\"]*\"", r"\1", svg, count=1)
    return re.sub(r"(<svg[^>]*?) width=\"([\d.]+)pt\"", r'\1 style="max-width: \2pt" role="img"', svg, count=1)
