"""How a sweep ends on the terminal: its table, causes with their cells and logs, how many are in which state."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.table import Table

from geocompose.configuration.overrides import key_and_value
from geocompose.console import console
from geocompose.studies.cells import Cell, CellStatus
from geocompose.studies.closing_table import closing_table, counts, mixed_rates, other_code, ranked, untuned_rates

_LEAST = 6  # columns that a text may be folded to

Varied = Callable[[Sequence[str]], str]


def show_closing(
    cells: Sequence[Cell],
    keys: Sequence[str],
    total: int,
    varied: Varied,
    *,
    rank: bool,
    advice: str | None = None,
    base: Mapping[str, str] | None = None,
    numbers: Sequence[int] | None = None,
) -> None:
    """Print how a sweep ended.

    keys: those whose values differ between cells. total: how many cells were planned. varied: returns what tells a cell
    from the others, of its overrides. rank: the best cells first, else in their order. advice: how to compute what is
    missing, where the same command does not. numbers: the cells' own; None counts them from 1. base: see `base_cells`.
    """
    out = console()
    out.print()
    numbered = list(zip(numbers or range(1, len(cells) + 1), cells, strict=True))
    if cells:
        rows = ranked(numbered) if rank else numbered
        show_whole(closing_table([cell for _, cell in rows], keys, [number for number, _ in rows]))
        line = other_code(cells)
        if line:
            out.print(line)
        if base:
            out.print(base_cells(numbered, base))
    for status in ("refused", "failed", "unreadable", "interrupted"):
        for line in causes(numbered, status, varied):
            out.print(line)
    out.print(counts(cells, total))
    for line in _advice(cells, advice or "Run the same command again to compute what is missing."):
        out.print(line)


def base_cells(numbered: Sequence[tuple[int, Cell]], base: Mapping[str, str]) -> str:
    """Return a line on which cells are the base of an ablation. base: the first value of each key that is varied."""
    found = [number for number, cell in numbered if base.items() <= dict(map(key_and_value, cell.overrides)).items()]
    settings = " ".join(f"{key}={value}" for key, value in base.items())
    return (
        f"The base is {settings} (number{'s' * (len(found) != 1)} {', '.join(map(str, found))}); each other cell "
        "changes one of these."
    )


def show_whole(table: Table) -> None:
    """Print a table so that nothing in it is cut: where the terminal is too narrow for it, its lines are longer."""
    least = 1
    for column in table.columns:
        widest = max(cell_len(line) for cell in (column.header, *column.cells) for line in str(cell).split("\n"))
        least += 3 + (widest if column.no_wrap else min(widest, _LEAST))
    out = console()
    (out if out.width >= least else console(least)).print(table)


def causes(numbered: Sequence[tuple[int, Cell]], status: CellStatus, varied: Varied) -> Iterator[str]:
    """Yield lines: each reason for which cells are in a state, with the cells and the logs of their processes."""
    found = [(number, cell) for number, cell in numbered if cell.status == status and cell.reason]
    for cause in dict.fromkeys(_cause(cell.reason) for _, cell in found):
        yield f"{status}: {cause}"
        for number, cell in found:
            if _cause(cell.reason) == cause:
                log = f" (log: {cell.log})" if cell.log is not None and str(cell.log) not in cause else ""
                yield f"  {number}: {varied(cell.overrides) or ' '.join(cell.overrides)}{log}"


def _cause(reason: str) -> str:
    """Return a reason without the log that it names, which is another one for each cell."""
    return reason.partition(" (log: ")[0]


def _advice(cells: Sequence[Cell], missing: str) -> Iterator[str]:
    states = {cell.status for cell in cells}
    if "computed elsewhere" in states and any(
        cell.outcome is None for cell in cells if cell.status == "computed elsewhere"
    ):
        yield "Other processes compute the rest. Run the same command again when they have finished."
    for told in (mixed_rates(cells), untuned_rates(cells)):
        if told:
            yield told
    ended = [cell for cell in cells if cell.status in ("done", "finished already")]
    # Other actions than runs begin anew.
    if states & {"interrupted", "waiting"} and all(cell.outcome for cell in ended):
        yield missing


def is_failed(cells: Sequence[Cell], *, strict: bool) -> bool:
    """Return whether a sweep has failed: a cell did, was killed or can't be read, or none of them could be computed.

    strict: a refused cell fails it too.
    """
    states = {cell.status for cell in cells}
    if states & {"failed", "unreadable", "interrupted"}:
        return True
    return "refused" in states and (strict or states == {"refused"})
