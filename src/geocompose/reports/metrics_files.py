"""What runs have measured in each epoch, from their metrics.csv. Free of torch."""

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path


def series(files: Sequence[Path], metric: str) -> Mapping[int, list[float]]:
    """Return the values of a metric by epoch, of those epochs that all runs have measured.

    A file that is missing or cut short measured what it has: a curve is a picture, and the table has the numbers.
    """
    found: dict[int, list[float]] = defaultdict(list)
    for path in files:
        for epoch, value in _measured(path, metric).items():
            found[epoch].append(value)
    return {epoch: values for epoch, values in found.items() if len(values) == len(files)}


def _measured(path: Path, metric: str) -> dict[int, float]:
    found: dict[int, float] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epoch, value = row.get("epoch"), row.get(metric)
                if epoch and value and math.isfinite(float(value)):
                    found[int(epoch)] = float(value)
    except (OSError, ValueError, csv.Error):
        return found
    return found
