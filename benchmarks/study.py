"""Time the epochs of a frozen study with kept features against the same cells without.

    python benchmarks/study.py [--backbone prithvi_eo_v1_100] [--scenes 50] [--epochs 3] [--decoders linear mlp fcn ...]

Scenes of 448 px hold four tiles of 224 px each; 50 of them are 200 tiles. Each decoder is trained with features that
another cell has left (warm) and without, one after the other; compared are the medians of their epochs, validation
included. Beside it stands what is possible: encoder and decoder together against the decoder alone, whose features lie
in memory as tensors, timed in the same process by the same loop.

Printed first is the ratio; then its share of what is possible, the largest difference of the metrics, and the share of
test pixels that are counted alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
DECODERS = {
    "linear": ("decoder=linear",),
    "mlp": ("decoder=mlp",),
    "fcn": ("decoder=fcn", "decoder.channels=64"),
    "upernet": ("decoder=upernet",),
}


def cell(decoder: str, given: argparse.Namespace) -> list[str]:
    """Return the command line of a decoder's cell."""
    return [
        f"backbone={given.backbone}", *DECODERS[decoder], "peft=frozen", "data.scene_px=448", "data.tile_px=224",
        f"data.num_scenes={given.scenes}", "data.split=[0.6,0.2,0.2]", f"trainer.max_epochs={given.epochs}",
        "trainer.progress_bar=false", "action.scene_scores=false", "data.baselines=[]", "logger=csv",
    ]  # fmt: skip


def fitted(overrides: Sequence[str], place: Path, cache: str, number: int) -> tuple[dict[str, Any], Path]:
    """Train a cell in a process of its own; return its record and its folder."""
    study = f"{cache}-{number}"
    command = [sys.executable, str(ROOT / "run.py"), *overrides, f"cache={cache}", f"study={study}"]
    said = subprocess.run(
        command, cwd=place, env=os.environ | {"GEOCOMPOSE_CACHE": str(place / "kept")}, capture_output=True, text=True
    )
    if said.returncode:
        sys.exit(said.stderr[-3000:])
    (folder,) = sorted((place / "outputs" / study).iterdir(), key=lambda each: each.stat().st_mtime)[-1:]
    return json.loads((folder / "record.json").read_text()), folder


def epoch_s(record: dict[str, Any]) -> float:
    """Return the median seconds of an epoch after the first, which warms up; of the first where it is alone."""
    seconds = record["epochs"]["seconds"]
    return statistics.median(seconds[1:] or seconds)


def possible(decoder: str, given: argparse.Namespace) -> tuple[float, float]:
    """Return the seconds of a training step of encoder and decoder, and of the decoder alone, in turn."""
    import torch
    from hydra import compose, initialize_config_dir

    from geocompose.configuration.checking import check
    from geocompose.configuration.diagnosis import groups
    from geocompose.runs import RunFolder
    from geocompose.training.session import prepare

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        lines = [*cell(decoder, given), "data.num_scenes=5", "cache=none"]
        config = check(compose("config", overrides=lines), groups(ROOT / "conf"))
    with tempfile.TemporaryDirectory() as folder:
        session = prepare(config, None, None, RunFolder(Path(folder)))
        task, data = session.task, session.data
        batch = next(iter(data.train_dataloader()))
        task.model.train()
        optimizer = torch.optim.AdamW([each for each in task.parameters() if each.requires_grad])
        size = (data.tile_px, data.tile_px)
        with torch.no_grad():
            features = task.model.encoded(batch["image"])

    def step(*, encode: bool) -> float:
        began = time.perf_counter()
        output = task.model(batch["image"]) if encode else task.model.from_features(features, size)
        optimizer.zero_grad()
        task.criterion(output.output, batch["mask"]).backward()
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
        optimizer.step()
        return time.perf_counter() - began

    step(encode=True), step(encode=False)
    pairs = [(step(encode=True), step(encode=False)) for _ in range(given.rounds)]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def differences(one: tuple[dict[str, Any], Path], other: tuple[dict[str, Any], Path]) -> tuple[float, float]:
    """Return the largest difference of two runs' metrics, and the share of test pixels that are counted alike."""
    metrics, others = one[0]["metrics"], other[0]["metrics"]
    most = max(abs(metrics[name] - others[name]) for name in metrics if metrics[name] is not None)
    mine, its = (np.load(folder / "confusion.npz")["test"].astype(np.int64) for _, folder in (one, other))
    return most, 1 - np.abs(mine - its).sum() / 2 / mine.sum()


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--backbone", default="prithvi_eo_v1_100")
    asked.add_argument("--scenes", type=int, default=50)
    asked.add_argument("--epochs", type=int, default=3)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--decoders", nargs="+", choices=list(DECODERS), default=list(DECODERS))
    given = asked.parse_args()
    import torch

    print(f"{given.backbone}, {4 * given.scenes} tiles of 224 px, batch 8, {given.epochs} epochs, torch "
          f"{torch.__version__}, {torch.get_num_threads()} threads, fp32")  # fmt: skip
    print("decoder     faster  possible  share   kept s  without s   metrics    counts")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for number, decoder in enumerate(given.decoders):
            lines = cell(decoder, given)
            fitted([*lines, "optimizer.lr=0.0005"], place, "features", 2 * number)  # leaves the features behind
            warm = fitted(lines, place, "features", 2 * number + 1)
            plain = fitted(lines, place, "none", 2 * number + 1)
            kept_s, plain_s = epoch_s(warm[0]), epoch_s(plain[0])
            both_s, decoder_s = possible(decoder, given)
            ratio, most = plain_s / kept_s, both_s / decoder_s
            metrics, counts = differences(warm, plain)
            print(f"{decoder:10}{ratio:8.1f}{most:10.1f}{ratio / most:7.2f}{kept_s:9.2f}{plain_s:11.2f}{metrics:10.1e}"
                  f"{counts:10.6f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
