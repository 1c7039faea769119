"""Runs whose backbones are adapted or frozen, without a training, and bundles of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geocompose.export.bundle import write_bundle
from geocompose.export.source import Source
from geocompose.inference.trained import load_trained
from geocompose.models.frozen_weights import FrozenWeights
from geocompose.runs import RecordedRun, Trust, load_rules, open_run
from tests.kit.made_runs import TARGETS, make_run, trained
from tests.kit.places import CONF

PRITHVI = (
    "backbone=prithvi_eo_tiny", "backbone.embed_dim=32", "backbone.depth=2", "backbone.num_heads=2",
    "backbone.img_size=32", "decoder=fcn", "decoder.channels=8", "decoder.num_convs=1",
)  # fmt: skip
TIMM_VIT = (
    "backbone=timm", "backbone.name=test_vit", "decoder=fcn", "decoder.channels=8", "decoder.num_convs=1",
)  # fmt: skip
LORA = ("peft=lora", "peft.r=2")


def learned_run(
    folder: Path, *overrides: str, kind: str = "segmentation", composition: tuple[str, ...] = PRITHVI
) -> Path:
    """Write a run of which only what learned is in the checkpoint, moved from where it started; return its folder."""
    make_run(folder, TARGETS[kind], *overrides, composition=composition)
    model = trained(folder).model
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer += 0.1
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save(FrozenWeights.of(model).left_out({"state_dict": state}), folder / "checkpoints" / "best.ckpt")
    return folder


def opened(path: Path, base: Path | None = None) -> RecordedRun:
    """Return a run or a bundle, opened as an action does."""
    return open_run(path, load_rules(CONF), Trust([CONF]), base=base)


def bundle_of(run: Path, place: Path, base: Path | None = None) -> Path:
    """Write the bundle of a run and return it."""
    recorded = opened(run, base)
    write_bundle(Source(recorded, load_trained(recorded), _no_data), place)
    return place


def _no_data() -> Any:
    raise AssertionError("a bundle needs no data")


def change_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a bundle's manifest holds."""
    content = json.loads((bundle / "manifest.json").read_text())
    change(content)
    (bundle / "manifest.json").write_text(json.dumps(content))


def relist(bundle: Path, name: str) -> None:
    """Have the manifest list a file as it is now, as somebody does who changes both."""
    from geocompose.runs.fingerprint import hash_file

    path = bundle / name
    told = {"sha256": hash_file(path), "bytes": path.stat().st_size}
    change_manifest(bundle, lambda content: content["files"].update({name: told}))


def outputs(model: nn.Module, tile_px: int = 32) -> torch.Tensor:
    """Return what a model says of the same random images."""
    images = torch.randn(2, 6, tile_px, tile_px, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        return model(images).output
