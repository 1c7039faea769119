"""The doctor's table for people: Markdown with every pair, and the map of all of them."""

import shlex
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from geocompose.doctor.cells import Cells, LeftOut
from geocompose.doctor.row import Row
from geocompose.errors import counted
from geocompose.program import words
from geocompose.runs.atomic import write_text

_SHOWN = 6  # pairs that a reason names


def write_report(output: Path, rows: Sequence[Row], cells: Cells, settings: Sequence[str]) -> None:
    """Write OUTPUT.md and OUTPUT.png.

    settings: the overrides under which the cells were tried.
    """
    from geocompose.figures.compatibility import compatibility

    picture = output.with_name(f"{output.name}.png")
    ok, tried = _counts(rows, cells)
    tasks = f"{len(cells.bases)} tasks" if len(cells.bases) > 1 else next(iter(cells.bases))
    size = f"{len(cells.backbones)} backbones, {len(cells.decoders)} decoders, {tasks}"
    title = f"{int(ok.sum()):,} of {int(tried.sum()):,} cells fit together\n{size}"
    compatibility(ok, tried, list(cells.backbones), list(cells.decoders), picture, title)
    write_text(output.with_name(f"{output.name}.md"), "\n".join(_lines(output.name, rows, cells, settings)) + "\n")


def _counts(rows: Sequence[Row], cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Return for how many tasks each pair is ok, and of how many: (backbones, decoders)."""
    places = [{name: place for place, name in enumerate(names)} for names in (cells.backbones, cells.decoders)]
    ok, tried = (np.zeros((len(cells.backbones), len(cells.decoders)), dtype=int) for _ in range(2))
    for row in rows:
        place = places[0][row.backbone], places[1][row.decoder]
        tried[place] += 1
        ok[place] += row.status == "ok"
    return ok, tried


def _lines(name: str, rows: Sequence[Row], cells: Cells, settings: Sequence[str]) -> Iterator[str]:
    ok = [row for row in rows if row.status == "ok"]
    yield "# Which backbone goes with which decoder"
    yield ""
    table = f"[{name}.csv]({name}.csv)"
    yield f"Made by `{shlex.join([*words(), *settings])}`; all cells, with their reasons, are in {table}."
    yield ""
    yield (
        f"{counted(len(cells.backbones), 'backbone')} x {counted(len(cells.decoders), 'decoder')} x "
        f"{counted(len(cells.bases), 'task')}: {len(ok):,} of {counted(len(rows), 'cell')} are ok "
        f"({len(ok) / len(rows):.1%}). A cell took {statistics.median(row.seconds for row in rows):.2f} s (median)."
    )
    yield ""
    yield f"![map of all pairs]({name}.png)"
    yield ""
    yield from _tasks(rows, cells)
    yield from _left_out(cells.left_out)
    yield from _refusals([row for row in rows if row.status == "refused"], len(cells.bases))
    yield from _plans_and_pairs(ok, cells)


def _tasks(rows: Sequence[Row], cells: Cells) -> Iterator[str]:
    yield "| task | data | tile | batch | cells | ok |"
    yield "|---|---|---:|---:|---:|---:|"
    for task, basis in cells.bases.items():
        own = [row for row in rows if row.task == task]
        data = str(basis.config["data"]["_target_"]).rpartition(".")[2]
        size = f"{basis.preview.inputs.tile_px} px"
        good = sum(row.status == "ok" for row in own)
        yield f"| {task} | {data} | {size} | {basis.config['data']['batch_size']} | {len(own):,} | {good:,} |"
    yield ""


def _left_out(left_out: Sequence[LeftOut]) -> Iterator[str]:
    if left_out:
        yield "Left out:"
        yield ""
        yield from (f"- `{option.group}={option.name}`: {option.reason}" for option in left_out)
        yield ""


def _refusals(refused: Sequence[Row], num_tasks: int) -> Iterator[str]:
    """Yield each reason with the cells that it refuses."""
    yield "## Refused"
    yield ""
    if not refused:
        yield "None."
        yield ""
        return
    by_reason: dict[str, list[Row]] = defaultdict(list)
    for row in refused:
        by_reason[row.reason].append(row)
    yield "| cells | which | reason |"
    yield "|---:|---|---|"
    for reason, own in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        yield f"| {len(own)} | {_which(own, num_tasks)} | {reason.replace('|', chr(92) + '|')} |"
    yield ""


def _which(rows: Sequence[Row], num_tasks: int) -> str:
    tasks: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        tasks[row.backbone, row.decoder].append(row.task)
    named = []
    for (backbone, decoder), own in tasks.items():
        only = "" if len(own) == num_tasks else f" ({', '.join(own)})"
        named.append(f"{backbone} + {decoder}{only}")
    more = f", and {len(named) - _SHOWN} more pairs" if len(named) > _SHOWN else ""
    return "; ".join(named[:_SHOWN]) + more


def _plans_and_pairs(ok: Sequence[Row], cells: Cells) -> Iterator[str]:
    """Yield the plans by number, and a row per pair: what it costs for the first task that it is ok for."""
    common = [necks for necks, _ in Counter(row.necks for row in ok).most_common()]
    numbers = {necks: f"N{place}" for place, necks in enumerate(common, start=1)}
    yield "## Planned necks"
    yield ""
    yield "| plan | `neck=list neck.necks=` |"
    yield "|---|---|"
    yield from (f"| {number} | `{necks}` |" for necks, number in numbers.items())
    yield ""
    yield "## Pairs"
    yield ""
    yield (
        "Costs are those of the first task that a pair is ok for. Parameters are all and those that learn; GFLOPs are "
        "per image (forward pass, 2 per multiply-add); memory is what training takes at the batch above, estimated for "
        "a processor: weights, gradients, the optimizer's state, what the forward keeps, and what the libraries bring "
        "along. It leaves out what the data keeps in memory, losses that keep more than cross entropy does, and an "
        "accelerator's context."
    )
    yield ""
    first: dict[tuple[str, str], Row] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for row in ok:
        first.setdefault((row.backbone, row.decoder), row)
        counts[row.backbone, row.decoder] += 1
    for backbone in cells.backbones:
        yield from _of_backbone(backbone, first, counts, numbers, len(cells.bases))


def _of_backbone(
    backbone: str,
    first: Mapping[tuple[str, str], Row],
    counts: Mapping[tuple[str, str], int],
    numbers: Mapping[str, str],
    num_tasks: int,
) -> Iterator[str]:
    own = {decoder: row for (name, decoder), row in first.items() if name == backbone}
    if not own:
        return
    yield f"### {backbone}"
    yield ""
    yield "| decoder | tasks | necks | M parameters | M learn | GFLOPs | training MB |"
    yield "|---|---:|---|---:|---:|---:|---:|"
    for decoder, row in own.items():
        assert row.parameters is not None
        assert row.trainable is not None
        assert row.gflops is not None
        yield (
            f"| {decoder} | {counts[backbone, decoder]} of {num_tasks} | {numbers[row.necks]} | "
            f"{row.parameters / 1e6:.1f} | {row.trainable / 1e6:.1f} | {row.gflops:.2f} | {row.training_memory_mb:,} |"
        )
    yield ""
