"""Seconds that `action=status`, `list` and `diff` take for a study of many runs, whole processes, and what Hydra takes.

    python benchmarks/looking.py [--runs 400] [--repeats 5]

The runs are made, not trained: their records have 32 metrics, and their configurations 150 lines, as real ones do.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.kit.made_studies import large_study  # noqa: E402 - found by the lines above

PROGRAM = [sys.executable, str(ROOT / "run.py")]


def seconds(command: list[str], folder: Path) -> float:
    """Return how long a command takes."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Print a line per command: the median of its seconds, and of those beyond composing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = subprocess.run([*PROGRAM, "--cfg", "job"], check=True, capture_output=True, text=True).stdout
        study = folder / "outputs" / "floods"
        large_study(study, config, arguments.runs)
        first, second = sorted(study.iterdir())[:2]
        commands = {
            "composing alone (--cfg job)": ["--cfg", "job"],
            "action=status": ["action=status", "study=floods"],
            "action=list": ["action=list", "study=floods", "action.sort=val/mIoU"],
            "action=list with a CSV": ["action=list", "study=floods", "action.csv=runs.csv", "action.overwrite=true"],
            "action=diff": ["action=diff", f"action.runs=[{first},{second}]"],
        }
        print(f"{arguments.runs} runs, median of {arguments.repeats}, seconds")
        base = 0.0
        for title, overrides in commands.items():
            taken = statistics.median(seconds([*PROGRAM, *overrides], folder) for _ in range(arguments.repeats))
            base = base or taken
            print(f"{title:<28} {taken:.2f}  ({taken - base:.2f} beyond composing)")


if __name__ == "__main__":
    main()
