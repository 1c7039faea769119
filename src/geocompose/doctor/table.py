"""The doctor's table as a file: a row is in it as soon as it is known."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from geocompose.doctor.row import COLUMNS, Row


@contextmanager
def row_writer(path: Path) -> Iterator[Callable[[Row], None]]:
    """Yield what adds a row to a new CSV at `path`, so that it can be read at once."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        file.flush()

        def add(row: Row) -> None:
            writer.writerow(row.as_csv())
            file.flush()

        yield add


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Row.from_csv(line) for line in csv.DictReader(file)]
