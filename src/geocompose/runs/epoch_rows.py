"""The rows of a run's metrics.csv, as they are read back. Free of torch."""

import csv
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.errors import counted

log = logging.getLogger("geocompose")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Return the rows of a metrics.csv, NaN where an epoch has no such metric; [] where there is no file."""
    return [{name: float(value) if value else math.nan for name, value in row.items()} for row in written_rows(path)]


def written_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics.csv as texts; those that are damaged are said and left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    whole = [row for row in rows if _is_whole(row)]
    if len(whole) < len(rows):
        log.warning("%s is damaged: %s left out.", path, counted(len(rows) - len(whole), "row"))
    return whole


def _is_whole(row: Mapping[Any, Any]) -> bool:
    """Return whether a row has an epoch, and a number or nothing in each column."""
    try:
        numbers = [float(value) for value in row.values() if value != ""]  # None, in a row cut short, is refused
    except (TypeError, ValueError):
        return False
    return bool(numbers) and bool(row.get("epoch"))
