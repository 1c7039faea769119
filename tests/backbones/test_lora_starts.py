"""A LoRA run's checkpoint is a start for the next run: its matrices are merged, and the same numbers come out."""

import logging
from functools import partial

import pytest
import torch

from geocompose.backbones.foreign.adapters import LORA, factors, merged
from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.backbones.timm.builder import build_timm
from geocompose.errors import UserError
from geocompose.peft.lora import Lora
from tests.kit.command import SMALL, only_run, record_of, run

FOUR = ["BLUE", "GREEN", "RED", "NIR_NARROW"]
BUILDERS = {
    "prithvi": partial(build_prithvi, "prithvi_eo_v2_300", embed_dim=32, depth=4, num_heads=4, img_size=64),
    "vit": partial(build_timm, "test_vit", bands=FOUR, img_size=64),
    "resnet": partial(build_timm, "test_resnet", bands=FOUR),
    "convnext": partial(build_timm, "test_convnext", bands=FOUR),
}


def learned(family, method):
    """Return a backbone that LoRA has changed."""
    model = method.adapt(BUILDERS[family]())
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    return model.eval()


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize(
    "method", [Lora(r=4, alpha=10), Lora(r=4, alpha=8, kwargs={"use_rslora": True})], ids=["plain", "rs"]
)
def test_a_merged_checkpoint_gives_the_same_features(family, method, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    first = learned(family, method)
    state = {f"model.encoder.{key}": value for key, value in first.state_dict().items()}
    torch.save({"state_dict": state, LORA: factors(first, "model.encoder.")}, tmp_path / "best.ckpt")
    second = BUILDERS[family](ckpt_path=str(tmp_path / "best.ckpt")).eval()
    image = torch.randn(2, 6, 1, 64, 64) if family == "prithvi" else torch.randn(2, 4, 64, 64)
    plain = BUILDERS[family]().eval()
    with torch.no_grad():
        for one, two, other in zip(first(image), second(image), plain(image), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
            assert not torch.allclose(one, other, atol=1e-2)
    assert "what LoRA has learned is added" in caplog.text


def test_what_is_more_than_lora_is_not_merged(tmp_path):
    first = learned("vit", Lora(r=4, kwargs={"use_dora": True}))
    assert not factors(first)
    torch.save(
        {"state_dict": dict(first.state_dict()), LORA: {"base_model.model.x": {"default": 1.0}}}, tmp_path / "b.pt"
    )
    with pytest.raises(UserError, match="holds PEFT's adapters"):
        BUILDERS["vit"](ckpt_path=str(tmp_path / "b.pt"))
    assert merged({"a.base_layer.weight": torch.ones(2, 2)}, {}) is None


@pytest.mark.parametrize("peft", ["none", "frozen", "lora"])
def test_a_lora_run_starts_each_method(peft, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "peft=lora", "trainer.keep=[best,base]", "trainer.max_epochs=1", "study=first")
    best = only_run("first") / "checkpoints" / "best.ckpt"
    run(*SMALL, f"peft={peft}", f"backbone.ckpt_path={best}", "trainer.max_epochs=1", "study=next")
    assert any("what LoRA has learned is added" in line for line in record_of(only_run("next"))["said"])
