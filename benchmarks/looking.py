"""Seconds that `action=status`, `list` and `diff` take for a study of many runs, beside that of one run.

    python benchmarks/looking.py [--runs 400] [--repeats 5]

Whole processes are timed, by the clock and by what the processor computed: on a machine with other work, compare the
latter. What one run takes is imports and Hydra's composing. The runs are made, not trained: their records have 32
metrics, and their configurations 150 lines, as real ones do.
"""

import argparse
import os
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


def seconds(command: list[str], folder: Path) -> tuple[float, float]:
    """Return how long a command takes, and how much of it the processor computed."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = os.times()
    computed = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, computed


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
        large_study(folder / "outputs" / "one", config, 1)
        first, second = sorted(study.iterdir())[:2]
        commands = {
            "action=status, one run": ["action=status", "study=one"],
            "action=status": ["action=status", "study=floods"],
            "action=list": ["action=list", "study=floods", "action.sort=val/mIoU"],
            "action=list with a CSV": ["action=list", "study=floods", "action.csv=runs.csv", "action.overwrite=true"],
            "action=diff": ["action=diff", f"action.runs=[{first},{second}]"],
        }
        print(f"{arguments.runs} runs, median of {arguments.repeats}: seconds, and those of the processor")
        base = 0.0
        for title, overrides in commands.items():
            timed = [seconds([*PROGRAM, *overrides], folder) for _ in range(arguments.repeats)]
            wall, computed = (statistics.median(column) for column in zip(*timed, strict=True))
            base = base or computed
            print(f"{title:<28} {wall:6.2f} {computed:6.2f}  ({computed - base:.2f} beyond one run)")


if __name__ == "__main__":
    main()
