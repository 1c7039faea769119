"""Studies without a training: runs' folders with records, configurations and overrides, and a plan. No torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.runs import Record

SEEDS = (0, 1)


def made_record(identity: str, metrics: Mapping[str, float] | None = None, **more: Any) -> Record:
    """Return a completed run's record, as a training would leave it."""
    values: dict[str, Any] = {
        "status": "completed",
        "command": "python run.py",
        "started": "2026-05-04T12:00:00Z",
        "finished": "2026-05-04T12:01:00Z",
        "seconds": 60.0,
        "metrics": dict(metrics or {}),
        "model": {"parameters": 5_600_000, "trainable": 100_000, "gflops": 1.5},
        "training": {"epochs": 10, "best_epoch": 7, "steps": 80, "finished": True},
        "seeds": {"seed": 0, "data.seed": 0},
        "versions": {"python": "3.12.1", "torch": "2.12.0"},
        "git": {"commit": "a" * 40, "dirty": False},
        "hardware": {"cpu": "A", "cores": 2, "memory_gb": 8.0, "system": "Linux x86_64"},
        "data": {"name": "floods", "fingerprint": "f" * 64},
    }
    return Record(run_id=identity, **(values | more))


def made_run(
    study: Path,
    identity: str,
    *overrides: str,
    parts: tuple[str, str, str] = ("prithvi", "upernet", "none"),
    metrics: Mapping[str, float] | None = None,
    config: str = "seed: 0\n",
    **more: Any,
) -> Path:
    """Write a run's folder, but no checkpoint, and return it. more: further values of its record."""
    folder = study / "-".join([*parts, identity])
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    (folder / "overrides.yaml").write_text("".join(f"- {json.dumps(text)}\n" for text in overrides))
    (folder / "run.log").write_text("begun\n")
    record = made_record(identity, metrics, **more)
    # Not Record.write, which waits for the disk: a study has hundreds.
    defined = {name: None if value != value else value for name, value in record.metrics.items()}
    (folder / "record.json").write_text(json.dumps({"schema": 1, **vars(record), "metrics": defined}))
    return folder


def large_study(study: Path, config: str, number: int = 400) -> None:
    """Write a study of many runs in several states, as an old version recorded them: without choices."""
    backbones, decoders, methods = ("prithvi", "resnet50", "swin", "vit"), ("upernet", "unet", "fcn"), ("none", "lora")
    for place in range(number):
        backbone, decoder = backbones[place % 4], decoders[place // 4 % 3]
        method, seed = methods[place // 12 % 2], place // 24
        status = {7: "failed", 11: "interrupted"}.get(place % 40, "completed")
        scores = {f"{split}/{name}": 0.5 + place / 1000 for split in ("val", "test") for name in _METRICS}
        typed = [f"backbone={backbone}", f"decoder={decoder}", f"peft={method}", f"seed={seed}", f"study={study.name}"]
        if place % 3 == 0:  # the others have the default, which stands in their config.yaml
            typed.append("trainer.max_epochs=23")
        made_run(
            study, f"{place:010x}", *typed, parts=(backbone, decoder, method), config=config, status=status,
            metrics=scores if status == "completed" else {}, seconds=30.0 + place % 7,
            seeds={"seed": seed, "data.seed": 0}, error="CUDA out of memory" if status == "failed" else None,
        )  # fmt: skip


_METRICS = ("loss", "mIoU", "mIoU_union", "F1_macro", "accuracy_micro", "ECE", *(f"IoU_class_{i}" for i in range(10)))
