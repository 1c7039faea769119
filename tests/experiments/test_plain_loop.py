"""Our training and experiments/plain_loop, from the same weights and with the same batches: the losses are equal."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback
from torch import nn

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.runs import RunFolder
from geocompose.training.session import Session, prepare
from tests.kit.places import CONF, ROOT

STEPS, EPOCHS, LR = 50, 9, 1e-3
SHARED = (
    "data.landscape=spectral",
    "data.num_scenes=5", "data.scene_px=64", "data.tile_px=32", "data.split=[0.6,0.2,0.2]", "data.batch_size=2",
    "data.random_crop=true", "data.baselines=[]", f"trainer.max_epochs={EPOCHS}", f"optimizer.lr={LR}",
    "optimizer.fused=null",  # the plain loop's AdamW is not fused
    "trainer.accelerator=cpu", "trainer.progress_bar=false", "logger=csv",
)  # fmt: skip
# Of each composition: our overrides, the plain model, and how the names of our weights begin there.
COMPOSITIONS = {
    "resnet and smp's Unet": (
        ("backbone=timm", "backbone.name=test_resnet", "decoder=smp_unet",
         "decoder.kwargs.decoder_channels=[32,16,16,8,8]"),
        lambda plain: plain.unet("tu-test_resnet", bands=6, classes=4, channels=[32, 16, 16, 8, 8]),
        {"encoder.": "encoder.model.", "decoder._smp_decoder.": "decoder.", "head.head.2.": "segmentation_head.0."},
    ),
    "ViT and UPerNet": (
        ("backbone=vit", "backbone.name=test_vit", "backbone.out_indices=[1,2,3,5]",
         "decoder=upernet", "decoder.channels=16", "decoder.joining=enlarged"),
        lambda plain: plain.VitUperNet("test_vit", bands=6, classes=4, image_px=32, layers=[1, 2, 3, 5], channels=16),
        {"encoder.": "encoder.", "neck.0.": "neck.", "decoder.": "decoder.", "head.head.2.": "head."},
    ),
}  # fmt: skip


class Noted(Callback):
    """Notes each batch with its epoch, and its loss."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, tuple[torch.Tensor, torch.Tensor]]] = []
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append((trainer.current_epoch, (batch["image"].clone(), batch["mask"].clone())))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]))


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_loop", ROOT / "experiments" / "plain_loop" / "plain_loop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepared(overrides: tuple[str, ...], folder: RunFolder) -> Session:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=[*SHARED, *overrides]), groups(CONF))
    return prepare(config, None, None, folder)


def renamed(weights: dict[str, torch.Tensor], names: dict[str, str]) -> dict[str, torch.Tensor]:
    found = {}
    for name, value in weights.items():
        ours = max((start for start in names if name.startswith(start)), key=len)
        found[names[ours] + name.removeprefix(ours)] = value.clone()
    return found


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_losses_of_fifty_steps_are_those_of_a_plain_loop(name, tmp_path):
    overrides, build, names = COMPOSITIONS[name]
    (tmp_path / "run").mkdir()
    session, noted, plain = prepared(overrides, RunFolder(tmp_path / "run")), Noted(), script()
    model: nn.Module = build(plain)
    model.load_state_dict(renamed(session.built.model.state_dict(), names), strict=True)
    session.trainer.callbacks.append(noted)
    session.trainer.fit(session.task, datamodule=session.data)
    assert len(noted.losses) >= STEPS
    assert noted.losses[0] > 1.2 * min(noted.losses), "nothing was learnt, so that any two losses would agree"

    optimizer, schedule = plain.optimization(model, LR, EPOCHS)
    losses, before = [], 0
    for epoch, batch in noted.batches[:STEPS]:
        if epoch != before:
            schedule.step()
            before = epoch
        losses.append(plain.step(model.train(), batch, optimizer, session.trainer.gradient_clip_val))
    torch.testing.assert_close(losses, noted.losses[:STEPS], atol=1e-5, rtol=0)
