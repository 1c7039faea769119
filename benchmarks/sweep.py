"""Time what a sweep costs beside its cells' own computing.

    python benchmarks/sweep.py [--cells 10] [--finished 100] [--planned 1000]     # 0 leaves one out

Each line is a command of its own, in a new folder, on a network and data that take a second or two per run:

- a cell beyond its own computing: launcher=local against the same cells one after the other in a process that has all
  loaded (launcher=in_process), with one worker and with two; the first two cells, which pay for imports, are left out
- a sweep of finished cells answered again, beyond what Hydra takes to compose the cells and Python to load the program
- a sweep planned: identities, plan and one trial for each distinct composition, beyond composing them

Seconds are those of the clock, and in brackets of the processor: on a busy machine the clock also counts others' work.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    "backbone=timm",
    "backbone.name=test_resnet",
    "data.num_scenes=4",
    "data.scene_px=64",
    "data.tile_px=32",
    "data.batch_size=4",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.progress_bar=false",
)
_TIMES = "times.json"


def timed(arguments: Sequence[str]) -> None:
    """Run the program, and write into times.json how long composing took, and loading the program."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    from geocompose.cli import main
    from geocompose.configuration.composer import Composer

    loaded_s = time.perf_counter() - began_s
    loaded_cpu_s = time.process_time() - began_cpu_s
    spent, within = [0.0, 0.0], [0]

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def compose(*arguments: object, **named: object) -> object:
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            within[0] += 1
            try:
                return original(*arguments, **named)
            finally:
                within[0] -= 1
                if not within[0]:
                    spent[0] += time.perf_counter() - start_s
                    spent[1] += time.process_time() - start_cpu_s

        return compose

    # Each cell's composing, and that of the sweep's own configuration, which Hydra does before any.
    Composer.compose = counted(Composer.compose)  # type: ignore[method-assign, assignment]
    ConfigLoaderImpl.load_configuration = counted(ConfigLoaderImpl.load_configuration)  # type: ignore[method-assign]
    sys.argv = [str(ROOT / "run.py"), *arguments]
    try:
        main(ROOT / "conf")
    finally:
        whole = [time.perf_counter() - began_s, time.process_time() - began_cpu_s]
        Path(_TIMES).write_text(json.dumps({"whole": whole, "loaded": [loaded_s, loaded_cpu_s], "composing": spent}))


def sweep(folder: Path, *overrides: str) -> dict[str, list[float]]:
    """Run a sweep in `folder`, and return its times: clock and processor each."""
    command = [sys.executable, __file__, "--timed", "-m", *SMALL, *overrides]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with open(folder / "output.txt", "ab") as output:
        subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    times: dict[str, list[float]] = json.loads((folder / _TIMES).read_text())
    return times


def beyond(times: dict[str, list[float]]) -> str:
    """Return the seconds of a sweep beyond loading and composing."""
    clock, cpu = (whole - loaded - composing for whole, loaded, composing in zip(*times.values(), strict=True))
    return f"{clock:.2f} s ({cpu:.2f} s)"


def in_words(seconds: Sequence[float]) -> str:
    """Return seconds of the clock and of the processor."""
    return f"{seconds[0]:.2f} s ({seconds[1]:.2f} s)"


def per_cell(folder: Path, cells: int, *launcher: str) -> float:
    """Return the seconds per cell after the first two, from the times at which their records were finished."""
    sweep(folder, f"seed=range(0,{cells})", "decoder=fcn", f"study={'-'.join(launcher).replace('=', '_')}", *launcher)
    records = list((folder / "outputs" / "-".join(launcher).replace("=", "_")).glob("*/record.json"))
    ends = sorted(path.stat().st_mtime for path in records)
    assert len(ends) == cells, (folder / "output.txt").read_text()[-2000:]
    return (ends[-1] - ends[1]) / (cells - 2)


def finish(folder: Path, cells: int, study: str) -> None:
    """Have a study of finished cells: one is computed, and stands for the others under their identities."""
    settings = ("decoder=fcn", f"study={study}")
    sweep(folder, *settings, "seed=0", "launcher=in_process")
    sweep(folder, *settings, f"seed=range(0,{cells})", "launcher=plan_only")
    place = folder / "outputs" / study
    (first,) = place.glob("timm-*")
    for line in (place / "cells.jsonl").read_text().splitlines():
        identity = json.loads(line).get("id")
        copy = place / f"{first.name.rpartition('-')[0]}-{identity}"
        if not copy.exists():
            shutil.copytree(first, copy)
            record = json.loads((copy / "record.json").read_text())
            (copy / "record.json").write_text(json.dumps({**record, "run_id": identity}))


def main() -> None:
    """Print a line per measurement."""
    if "--timed" in sys.argv:
        timed(sys.argv[sys.argv.index("--timed") + 1 :])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("cells", 10), ("finished", 100), ("planned", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if chosen.planned:
            measure_plan(folder, chosen.planned)
        if chosen.finished:
            measure_finished(folder, chosen.finished)
        if chosen.cells:
            measure_cells(folder, chosen.cells)


def measure_plan(folder: Path, cells: int) -> None:
    """Print how long a plan takes."""
    times = sweep(folder, f"seed=range(0,{cells // 2})", "decoder=fcn,unet", "launcher=plan_only")
    show(f"{cells} cells planned, 2 compositions tried (their libraries included)", times)


def measure_finished(folder: Path, cells: int) -> None:
    """Print how long a sweep of finished cells takes."""
    finish(folder, cells, "finished")
    show(f"{cells} finished cells answered", sweep(folder, f"seed=range(0,{cells})", "decoder=fcn", "study=finished"))


def measure_cells(folder: Path, cells: int) -> None:
    """Print what a cell takes beyond its own computing."""
    own = per_cell(folder, cells, "launcher=in_process")
    print(f"a cell's own computing, everything loaded: {own:.2f} s", flush=True)
    for workers in (1, 2):
        took = per_cell(folder, cells, "launcher=local", f"launcher.workers={workers}")
        print(f"{workers} at a time: {took:.2f} s per cell, {took * workers - own:+.2f} s beyond", flush=True)


def show(what: str, times: dict[str, list[float]]) -> None:
    """Print the times of a sweep."""
    print(
        f"{what}: {beyond(times)} beyond composing ({in_words(times['composing'])}) and loading the program "
        f"({in_words(times['loaded'])})",
        flush=True,
    )


if __name__ == "__main__":
    main()
