"""Runs whose adapters have learned something, without a training, and what of them is exported."""

from pathlib import Path
from typing import Any

import torch

from geocompose.errors import UserError
from geocompose.export.formats import Source
from geocompose.inference.trained import load_trained
from geocompose.runs import Trust, load_rules, open_run
from tests.kit.made_runs import TARGETS, make_run
from tests.kit.places import CONF


def learned_run(folder: Path, kind: str, *overrides: str, **more: Any) -> Path:
    """Write a run as `make_run` does, and let all of its adapters and norms differ from what they start with."""
    make_run(folder, TARGETS[kind], *overrides, **more)
    best = folder / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    draw = torch.Generator().manual_seed(5)
    for name, value in content["state_dict"].items():
        if value.is_floating_point() and value.ndim < 5 and "running_var" not in name:
            value += 0.05 * torch.randn(value.shape, generator=draw)
    torch.save(content, best)
    return folder


def source_of(folder: Path) -> Source:
    """Return what is exported of a run, as action=export opens it; its data is not here."""
    recorded = open_run(folder, load_rules(CONF), Trust([CONF]))

    def nowhere() -> Any:
        raise UserError("The run's own data is not here.")

    return Source(recorded, load_trained(recorded), nowhere)
