"""Put the tables of coverage.csv, and the figure, into docs/intervals.md.

python experiments/intervals/table.py
"""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
PAGE = DOCS / "intervals.md"
Row = dict[str, str]
COMPARED = (
    "seeds only",
    "bootstrap of tiles and seeds",
    "bootstrap of clusters",
    "pigeonhole bootstrap",
    "two-way t, G - 1",
    "jackknife CR2, A + B",
    "jackknife, Banerjee",
    "chosen, but symmetric",
    "chosen",
)


def read() -> list[Row]:
    with (HERE / "coverage.csv").open() as file:
        return list(csv.DictReader(file))


def spread(rows: Iterable[Row], column: str, form: Callable[[float], str]) -> str:
    """Return the least and the largest value of the rows that have one."""
    values = [float(row[column]) for row in rows if row[column] != "nan"]
    if not values:
        return "too few"
    low, high = form(min(values)), form(max(values))
    return low if low == high else f"{low} to {high}"


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def times(value: float) -> str:
    return f"{value:.2f}"


def by_seeds_and_clusters(rows: list[Row], column: str, form: Callable[[float], str]) -> str:
    """Return a table of the chosen way in the main designs: clusters down, seeds across."""
    main = [row for row in rows if row["family"] == "main" and row["way"] == "chosen"]
    seeds = sorted({int(row["seeds"]) for row in main})
    lines = [
        "| clusters | " + " | ".join(f"{number} seeds" for number in seeds) + " |",
        "|---" * (len(seeds) + 1) + "|",
    ]
    for clusters in sorted({int(row["clusters"]) for row in main}):
        cells = [
            spread((r for r in main if int(r["seeds"]) == s and int(r["clusters"]) == clusters), column, form)
            for s in seeds
        ]
        lines.append(f"| {clusters} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def families(rows: list[Row]) -> str:
    """Return a table of the chosen way in each family of designs, and in those with many seeds and clusters."""
    lines = [
        "| designs | rows | answered, least (%) | coverage (%) | from 5 seeds, 20 clusters (%) | width there |",
        "|---|---|---|---|---|---|",
    ]
    for family in dict.fromkeys(row["family"] for row in rows):
        chosen = [
            row for row in rows if row["family"] == family and row["way"] == "chosen" and row["coverage"] != "nan"
        ]
        many = [row for row in chosen if int(row["seeds"]) >= 5 and int(row["clusters"]) >= 20]
        least = min(float(row["answered"]) for row in chosen)
        average = sum(float(row["width"]) for row in many) / len(many)
        lines.append(
            f"| {family} | {len(chosen)} | {100 * least:.0f} | {spread(chosen, 'coverage', percent)} "
            f"| {spread(many, 'coverage', percent)} | {average:.2f} ({spread(many, 'width', times)}) |"
        )
    return "\n".join(lines)


def comparison(rows: list[Row]) -> str:
    """Return a table of all ways, in the main designs in which bootstraps were tried."""
    places = [(seeds, clusters) for clusters in ("5", "20") for seeds in ("3", "5")]
    head = " | ".join(f"{s} seeds, {c} clusters" for s, c in places)
    lines = [f"| way | {head} |", "|---" * (len(places) + 1) + "|"]
    for way in COMPARED:
        cells = []
        for seeds, clusters in places:
            found = [
                row
                for row in rows
                if (row["family"], row["way"], row["seeds"], row["clusters"]) == ("main", way, seeds, clusters)
                and row["rho"] != "0.35"
                and row["seed_sd"] == "0.05"
            ]
            cells.append(f"{spread(found, 'coverage', percent)} ({spread(found, 'width', times)})")
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tables(rows: list[Row]) -> dict[str, str]:
    return {
        "coverage": by_seeds_and_clusters(rows, "coverage", percent),
        "width": by_seeds_and_clusters(rows, "width", times),
        "families": families(rows),
        "comparison": comparison(rows),
    }


def filled(page: str, rows: list[Row]) -> str:
    """Return the page with its tables between `<!-- table NAME -->` and `<!-- end -->` made anew."""
    for name, table in tables(rows).items():
        head, begin, rest = page.partition(f"<!-- table {name} -->\n")
        assert begin, name
        page = head + begin + table + "\n" + rest[rest.index("<!-- end -->") :]
    return page


def draw(rows: list[Row], path: Path) -> None:
    """Draw the least coverage of each way in the main designs with 5 seeds, by the number of clusters."""
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    axes.axhspan(93, 97, color="0.9")
    for way in COMPARED:
        found: dict[int, float] = {}
        for row in rows:
            clusters = int(row["clusters"])
            if (
                (row["family"], row["way"], row["seeds"]) == ("main", way, "5")
                and row["coverage"] != "nan"
                and clusters > 1
            ):
                found[clusters] = min(found.get(clusters, 100.0), 100 * float(row["coverage"]))
        chosen, resampled = way == "chosen", "bootstrap" in way
        axes.plot(
            list(found), list(found.values()), marker="o", label=way, zorder=3 if chosen else 2,
            linewidth=3 if chosen else 1.2, linestyle="none" if resampled else "-", color="black" if chosen else None,
        )  # fmt: skip
    axes.set(xscale="log", xlabel="clusters", ylabel="least coverage (%)", ylim=(20, 101))
    ticks = sorted({int(row["clusters"]) for row in rows if row["family"] == "main"} - {1})
    axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    axes.minorticks_off()
    figure.legend(loc="outside right center", fontsize="small", frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    rows = read()
    PAGE.write_text(filled(PAGE.read_text(), rows))
    draw(rows, PAGE.with_suffix(".png"))


if __name__ == "__main__":
    main()
