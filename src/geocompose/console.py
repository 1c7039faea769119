"""What a person sees: tables on the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from geocompose.arguments import as_written
from geocompose.errors import visible
from geocompose.scores import better

if TYPE_CHECKING:
    from geocompose.cost.summary import Summary
    from geocompose.planning import NeckConfig


# What models are chosen and compared by stands first.
_FIRST = ("mIoU", "mIoU_union", "mIoU_all", "F1_macro", "nRMSE", "RMSE", "MAE", "R2")

_OF_SCENES = "scene_"  # before the names of scores of whole scenes, which stand beside those of the tiles


class _Console(Console):
    """Shows characters that command a terminal as text: names come from files."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(visible(text), **how)


def console(width: int | None = None) -> Console:
    """Return a console that neither wraps paths nor guesses at their colours, and shows `[/b]` in a name as it is.

    width: of tables, in columns; null: the terminal's, or 80.
    """
    return _Console(soft_wrap=True, highlight=False, markup=False, width=width)


def show_summary(summary: "Summary", necks: Sequence["NeckConfig"], *, brief: bool = False) -> None:
    """Print a model's parts, what they cost, and the necks as one could write them. brief: of the whole, in a line."""
    of_necks = f"necks: neck=list 'neck.necks={as_written(necks)}'" if necks else "necks: none"
    if brief:
        console().print(
            f"model: {summary.parameters:,} parameters, {_share(summary.trainable, summary.parameters)} learn; "
            f"{summary.gflops:.2f} GFLOPs per image; {of_necks}"
        )
        return
    table = Table(title="model", title_justify="left")
    table.add_column("part", no_wrap=True, max_width=24)  # numbers must not be cut for a long name's sake
    for column in ("in", "out"):
        table.add_column(column, no_wrap=True)
    for column in ("parameters", "learn"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in summary.parts:
        # Several necks are written out below; all has to fit into 80 columns.
        name = f"{row.part}\n  {row.names[0]}" if len(row.names) == 1 else row.part
        shapes = _shapes(row.shapes_in, row.modalities), _shapes(row.shapes_out)
        table.add_row(name, *shapes, f"{row.parameters:,}", _share(row.trainable, row.parameters))
    table.add_section()
    table.add_row("model", "", "", f"{summary.parameters:,}", _share(summary.trainable, summary.parameters))
    out = console()
    out.print(table)
    out.print(f"{summary.gflops:.2f} GFLOPs per image (forward pass, 2 per multiply-add)")
    out.print(of_necks)


def show_result(
    metrics: Mapping[str, float],
    baselines: Sequence[Mapping[str, Any]],
    title: str,
    prefix: str = "test/",
    unit: str | None = None,
    *,
    brief: bool = False,
) -> None:
    """Print a run's metrics of one split, beside those of the baselines without a network.

    unit: of numbers' errors. brief: only the first metric, in a line.
    """
    named = {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}
    order = _in_order(named)
    if brief:
        beside = ", ".join(f"{one['name']} {number(one['metrics'].get(order[0]))}" for one in baselines)
        console().print(f"{title}: {order[0]} {number(named[order[0]])}{f' ({beside})' if beside else ''}")
        return
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    table.add_column("this model", justify="right")
    scenes = any(name.startswith(_OF_SCENES) for name in named)
    if scenes:
        table.add_column("whole scenes", justify="right")
    for baseline in baselines:
        table.add_column(str(baseline["name"]), justify="right")
    for name in (name for name in order if not name.startswith(_OF_SCENES)):
        values = [named[name], *([named.get(f"{_OF_SCENES}{name}")] if scenes else [])]
        values += [baseline["metrics"].get(name) for baseline in baselines]
        shown = f"{name} ({unit})" if unit is not None and name in ("RMSE", "MAE") else name
        table.add_row(shown, *(number(value, share=better(name) == "higher") for value in values))
    out = console()
    out.print(table)
    for baseline in baselines:
        out.print(f"  {baseline['name']}: {baseline['detail']!s}")


def first_metric(metrics: Mapping[str, float]) -> str | None:
    """Return the metric that models are compared by, of those of one split; None where there is none."""
    return next(iter(_in_order(metrics)), None)


def _in_order(metrics: Mapping[str, float]) -> list[str]:
    first = ("loss", "loss_of_mean", *_FIRST) if "loss_of_mean" in metrics else _FIRST  # what reconstructions go by
    return sorted(metrics, key=lambda name: (first.index(name) if name in first else len(first), name == "loss"))


def _share(some: int, all_of_them: int) -> str:
    return f"{some / all_of_them:.0%}" if all_of_them else "-"


def number(value: float | None, *, share: bool = False) -> str:
    """Return a metric as tables show it: `0.8123`, `1234`, `0.005678`, `-` where it is not defined.

    share: it is a score of at most 1, so that four decimals say all: `0.0057`.
    """
    if value is None or math.isnan(value):
        return "-"
    if float(value).is_integer() and value > 1:
        return f"{value:.0f}"
    # Errors have a unit, and may be large or small.
    least = 0.0 if share else 0.01
    return f"{value:.4f}" if value == 0 or least <= abs(value) < 1000 else f"{value:.4g}"


def _shapes(shapes: Sequence[tuple[int, ...]], names: Sequence[str] = ()) -> str:
    """Return shapes, one per line, with the names of the images that they are of where a part takes several."""
    lines = ["x".join(map(str, shape)) for shape in shapes]
    if names:
        return "\n".join(f"{name[:8]} {line}" for name, line in zip(names, lines, strict=True))
    if len(set(lines)) == 1 and len(lines) > 1:
        return f"{len(lines)} of {lines[0]}"
    return "\n".join(lines)
