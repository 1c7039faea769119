"""Write cells.csv from the records of the study, computed once with one worker and once with two.

python experiments/fifty_four_cells/table.py FOLDER_OF_ONE FOLDER_OF_TWO      # each holds outputs/fifty_four_cells
"""

import csv
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
AXES = ("backbone", "decoder", "peft")


def records(folder: str) -> dict[str, tuple[Path, dict]]:
    """Return the runs of the study below a folder, by identity: where each lies, and its record."""
    there = sorted(Path(folder, "outputs", "fifty_four_cells").glob("*/record.json"))
    found = [(path.parent, json.loads(path.read_text())) for path in there]
    return {record["run_id"]: (path, record) for path, record in found}


def main(one: str, two: str) -> None:
    """Write the table, and print how far the two studies' scores lie apart."""
    first, second = records(one), records(two)
    assert first.keys() == second.keys()
    rows = []
    for identity, (path, record) in first.items():
        other = second[identity][1]
        rows.append(
            {
                "id": identity,
                **{axis: record["choices"][axis] for axis in AXES},
                "seed": record["seeds"]["seed"],
                "val/mIoU": round(record["metrics"]["val/mIoU"], 4),
                "test/mIoU": round(record["metrics"]["test/mIoU"], 4),
                "test/mIoU of two workers": round(other["metrics"]["test/mIoU"], 4),
                "trainable": record["model"]["trainable"],
                "seconds": round(record["seconds"], 1),
                "seconds of two workers": round(other["seconds"], 1),
                "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
            }
        )
    rows.sort(key=lambda row: tuple(str(row[key]) for key in (*AXES, "seed")))
    with open(HERE / "cells.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    apart = [abs(row["test/mIoU"] - row["test/mIoU of two workers"]) for row in rows]
    print(f"{len(rows)} cells; test/mIoU equal in {apart.count(0.0)}, at most {max(apart):.4f} apart")
    for method in sorted({row["peft"] for row in rows}):
        some = [row for row in rows if row["peft"] == method]
        size = sum(row["bytes"] for row in some) / 2**20
        print(f"{method}: {size:.0f} MiB, {sum(row['seconds'] for row in some) / len(some):.1f} s per cell")


if __name__ == "__main__":
    main(*sys.argv[1:])
