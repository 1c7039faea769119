"""Put the table of coverage.csv into docs/comparing.md.

python experiments/tied/table.py
"""

import csv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "comparing.md"
WAYS = ("chosen", "each pair's own variance", "two by two")
BEGIN, END = "<!-- table put_out -->\n", "<!-- end -->\n"


def read() -> list[dict[str, str]]:
    with (HERE / "coverage.csv").open() as file:
        return list(csv.DictReader(file))


def table(rows: list[dict[str, str]]) -> str:
    """Return the share of studies that put out an equal cell, the least to the most over clusters, tiles and scores."""
    lines = [
        "| compositions, of which equal | seeds | chosen | each pair's own variance | two by two |",
        "|---|---|---|---|---|",
    ]
    for cells, equal in (("4", "4"), ("12", "12"), ("12", "6")):
        for seeds in ("2", "3", "5", "10"):
            mine = [row for row in rows if (row["cells"], row["equal"], row["seeds"]) == (cells, equal, seeds)]
            shares = [[100 * float(row["put_out"]) for row in mine if row["way"] == way] for way in WAYS]
            told = " | ".join(f"{min(share):.1f} to {max(share):.1f}" for share in shares)
            lines.append(f"| {cells}, {equal} | {seeds} | {told} |")
    return "\n".join(lines) + "\n"


def filled(page: str, rows: list[dict[str, str]]) -> str:
    """Return the page with the table in its place."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table(rows) + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), read()))
