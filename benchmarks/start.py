"""Seconds from the command to the first training step, ours against TerraTorch's, in turn.

    python benchmarks/start.py [--rounds 5]

Whole processes are timed, by the clock and by what the processor computed, until the first batch reaches the model in
training mode; then they are ended. Ours: `run.py backbone=prithvi decoder=upernet` as README has it - composing,
checks, data and its statistics, model, record. TerraTorch, where it is installed: a script with the same model, tiles
that need no reading, and Lightning's trainer, which is less than its own command does.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Both sides run under this: the process ends as soon as a model is called in training mode by Lightning's loop.
ENDS_AT_FIRST_STEP = """
import os
from lightning.pytorch.strategies import Strategy

def first_step(self, *args, **kwargs):
    os._exit(0)

Strategy.training_step = first_step
"""
OURS = """
import sys
sys.argv = ["run.py", "backbone=prithvi", "decoder=upernet", "logger=csv"]
import runpy
from geocompose.lean_torchmetrics import import_core_first
import_core_first()  # as the program begins; what follows loads Lightning
{ends}
runpy.run_path({run!r}, run_name="__main__")
"""
TERRATORCH = """
{ends}
import lightning, torch
from terratorch.tasks import SemanticSegmentationTask

task = SemanticSegmentationTask(
    model_factory="EncoderDecoderFactory", loss="ce", lr=1e-4, ignore_index=-1, optimizer="AdamW",
    model_args=dict(
        backbone="prithvi_eo_v2_tiny_tl", backbone_pretrained=False,
        backbone_bands=["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"],
        decoder="UperNetDecoder", decoder_channels=256, num_classes=6,
        necks=[dict(name="SelectIndices", indices=[2, 5, 8, 11]), dict(name="ReshapeTokensToImage"),
               dict(name="LearnedInterpolateToPyramidal")],
    ),
)
tiles = [dict(image=torch.randn(6, 64, 64), mask=torch.zeros(64, 64, dtype=torch.long)) for _ in range(8)]
trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                            enable_progress_bar=False, num_sanity_val_steps=0)
trainer.fit(task, torch.utils.data.DataLoader(tiles, batch_size=8))
"""


def seconds(script: str) -> tuple[float, float]:
    """Return how long a process takes to its first step, and how much of it the processor computed."""
    with tempfile.TemporaryDirectory() as folder:
        began, before = time.perf_counter(), os.times()
        done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)
        after, taken = os.times(), time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    computed = after.children_user + after.children_system - before.children_user - before.children_system
    return taken, computed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    ours = OURS.format(ends=ENDS_AT_FIRST_STEP, run=str(ROOT / "run.py"))
    sides = {"geocompose": ours}
    if importlib.util.find_spec("terratorch") is not None:
        sides["TerraTorch"] = TERRATORCH.format(ends=ENDS_AT_FIRST_STEP)
    for script in sides.values():
        seconds(script)  # the first reads the libraries from the disk
    timed: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for round_ in range(arguments.rounds):
        for name in list(sides)[:: -1 if round_ % 2 else 1]:
            timed[name].append(seconds(sides[name]))
    if "TerraTorch" in sides:
        for place, what in enumerate(("clock", "processor")):
            ratios = sorted(a[place] / b[place] for a, b in zip(timed["geocompose"], timed["TerraTorch"], strict=True))
            print(f"{statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}] of TerraTorch's, by the {what}")
    for name, pairs in timed.items():
        clock, processor = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"  {name}: {clock:.1f} s by the clock, {processor:.1f} s of the processor")


if __name__ == "__main__":
    main()
