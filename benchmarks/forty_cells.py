"""Train compositions drawn from the doctor's table: does the loss fall, and was the memory estimate right?

    python run.py action=doctor
    python benchmarks/forty_cells.py outputs/doctor.csv [--count 40] [OVERRIDE ...]

Forty compositions are drawn with seed 20250 from the rows with status ok and at most 40 M parameters. Each trains on
the CPU in its own process: two steps on the data's batches, then twenty more on the first batch, with the task's own
training step and optimizer. Measured memory is the peak resident size during the first two steps, minus the resident
size after the imports, in MB of 2**20 bytes. Overrides, such as `data.tile_px=64 data.batch_size=4`, apply to both the
estimate and the training.
"""

import argparse
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SEED, COUNT, MOST_PARAMETERS = 20250, 40, 40_000_000
STEPS = 20


def drawn(table: Path, count: int = COUNT) -> list[tuple[str, str, str]]:
    """Return the compositions drawn from a table: backbone, decoder, task."""
    from geocompose.doctor.table import read_rows

    able = sorted(
        (row.backbone, row.decoder, row.task)
        for row in read_rows(table)
        if row.status == "ok" and row.parameters is not None and row.parameters <= MOST_PARAMETERS
    )
    return random.Random(SEED).sample(able, min(count, len(able)))


def configured(backbone: str, decoder: str, task: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of one composition."""
    from hydra import compose, initialize_config_dir

    from geocompose.configuration.checking import check
    from geocompose.configuration.diagnosis import groups

    conf = ROOT / "conf"
    chosen = [f"backbone={backbone}", f"decoder={decoder}", f"task={task}", *overrides]
    with initialize_config_dir(str(conf), version_base="1.3"):
        return check(compose("config", overrides=chosen), groups(conf))


def resident_mb(field: str) -> float:
    """Return VmRSS (current) or VmHWM (peak so far) of this process."""
    line = next(text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def available_mb() -> float:
    """Return the memory that the machine has available."""
    line = next(text for text in Path("/proc/meminfo").read_text().splitlines() if text.startswith("MemAvailable:"))
    return int(line.split()[1]) / 1024


def train(config: dict[str, Any], steps: int = STEPS) -> dict[str, Any]:
    """Train one configuration in this process; return the losses on one batch and the memory of the first two steps."""
    import torch

    from geocompose.configuration.instantiation import instantiate
    from geocompose.from_config import build_data, build_model, seed_weights

    before = resident_mb("VmRSS")
    seed_weights(config["seed"])
    data = build_data(config)
    data.setup()
    model = build_model(config, inputs=data.inputs, target=data.target).model
    num_tiles = {split: data.num_tiles(split) for split in ("val", "test")}
    task = instantiate(config["task"])(
        model=model,
        optimizer=instantiate(config["optimizer"]),
        scheduler=instantiate(config["scheduler"]),
        target=data.target,
        num_tiles=num_tiles,
    )
    task.log = lambda *_, **__: None  # no trainer to log to
    task.train()
    optimizer = task.optimization(steps + 2, 1)["optimizer"]
    clip = config["trainer"]["gradient_clip_val"]
    batches = list(itertools.islice(data.train_dataloader(), 2))

    def step(batch: dict[str, Any]) -> float:
        loss = task.training_step(batch, 0)
        optimizer.zero_grad()  # after the forward pass, as Lightning does
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return float(loss)

    for batch in batches:
        step(batch)
    peak = resident_mb("VmHWM") - before
    torch.manual_seed(0)
    losses = [step(batches[0]) for _ in range(steps)]
    return {"measured_mb": peak, "losses": losses, "parameters": sum(p.numel() for p in model.parameters())}


def estimate(config: dict[str, Any]) -> Any:
    """Return the doctor's memory estimate, part by part."""
    from geocompose.cost.examination import examine
    from geocompose.data.preflight import data_source, preflight

    source = data_source(config["data"])
    assert source is not None, config["data"]
    return examine(config, preflight(source, list)).memory


def cell(arguments: argparse.Namespace) -> None:
    """Train one composition and print the result as JSON."""
    import logging

    import segmentation_models_pytorch  # noqa: F401 - the models' libraries count as imports
    import timm  # noqa: F401

    import geocompose.data.module
    import geocompose.factory
    import geocompose.tasks.base  # noqa: F401

    logging.getLogger("geocompose").setLevel(logging.ERROR)
    config = configured(*arguments.cell.split(":"), arguments.overrides)
    estimate(config)  # imports all that the parts import when built, without allocating a model
    print(json.dumps(train(config)))


def main() -> None:
    """Print one line per composition, then a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="the doctor's CSV")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--cell", help=argparse.SUPPRESS)  # BACKBONE:DECODER:TASK, for a subprocess
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    if arguments.cell:
        cell(arguments)
        return
    import torch

    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {' '.join(arguments.overrides) or 'defaults'}"
    )
    print(
        "| backbone | decoder | task | M parameters | estimated MB | measured MB | ratio | loss, 20 steps | seconds |"
    )
    print("|---|---|---|---:|---:|---:|---:|---|---:|")
    ratios, fell = [], 0
    for backbone, decoder, task in drawn(arguments.table, arguments.count):
        start = time.perf_counter()
        foretold = estimate(configured(backbone, decoder, task, arguments.overrides)).total_mb
        if foretold > 0.6 * available_mb():
            print(f"| {backbone} | {decoder} | {task} | | {foretold} | more than there is: not run |", flush=True)
            continue
        command = [sys.executable, __file__, "--cell", f"{backbone}:{decoder}:{task}", str(arguments.table)]
        done = subprocess.run([*command, *arguments.overrides], capture_output=True, text=True, check=False)
        if done.returncode:
            why = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            print(f"| {backbone} | {decoder} | {task} | failed: {why} |", flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        first, last = found["losses"][0], found["losses"][-1]
        ratios.append(foretold / found["measured_mb"])
        fell += last < first
        print(
            f"| {backbone} | {decoder} | {task} | {found['parameters'] / 1e6:.1f} | {foretold} | "
            f"{found['measured_mb']:.0f} | {ratios[-1]:.2f} | {first:.3f} to "
            f"{last:.3f}{'' if last < first else ' (rose)'} | {time.perf_counter() - start:.0f} |",
            flush=True,
        )
    if ratios:
        within = sum(0.5 <= ratio <= 2 for ratio in ratios)
        print(
            f"\nthe loss fell in {fell} of {arguments.count}; estimated by measured: {min(ratios):.2f} to "
            f"{max(ratios):.2f}, "
        )
        print(f"within a factor of two in {within} of {arguments.count}")


if __name__ == "__main__":
    main()
