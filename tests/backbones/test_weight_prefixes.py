"""A file that holds more than the backbone, such as a run's own best.ckpt, is a start for the next run."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.foreign.prefixes import of_model
from geocompose.backbones.fusion.backbone import build_fusion
from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.backbones.smp.builder import build_smp_encoder
from geocompose.backbones.timm.builder import build_timm
from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.backbones.transformers.builder import build_transformers
from geocompose.catalog.optional import installed
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from tests.kit.adapted import build as adapted
from tests.kit.command import SMALL, only_run, record_of, run

FOUR = {"bands": ["BLUE", "GREEN", "RED", "NIR_NARROW"]}
TINY = {"embed_dim": 32, "depth": 4, "num_heads": 4, "img_size": 64}
DINO = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}

BUILDERS: dict[str, tuple[Callable[..., nn.Module], dict[str, Any], str]] = {
    "prithvi": (build_prithvi, {"variant": "prithvi_eo_v2_300", **TINY}, ""),
    "timm, flattened names": (build_timm, {"name": "test_convnext", **FOUR}, ""),
    "timm, wrapped": (build_timm, {"name": "test_vit", **FOUR}, ""),
    "smp": (build_smp_encoder, {"name": "mobilenet_v2", **FOUR}, ""),
    "torchgeo": (build_torchgeo, {"name": "resnet18", **FOUR}, "torchgeo"),
    "torchgeo, modalities": (
        build_torchgeo,
        {"name": "croma_base", "bands": ["B3", "VH"], "kwargs": {"encoder_dim": 48, "encoder_depth": 2}},
        "torchgeo",
    ),
    "transformers": (build_transformers, {"name": "dinov2", "kwargs": DINO, **FOUR}, ""),
}


def as_own_run(backbone: nn.Module, **temporal: Any) -> dict[str, dict[str, Tensor]]:
    """Return what a run's best.ckpt holds: the task's whole model."""
    model = EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", backbone, "FCNDecoder", decoder_channels=8, num_classes=2, necks="auto", **temporal
    )
    return {"state_dict": {f"model.{key}": value.clone() for key, value in model.state_dict().items()}}


def same(first: nn.Module, second: nn.Module) -> bool:
    there = second.state_dict()
    return all(torch.equal(value, there[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("temporal", [{}, {"backbone_use_temporal": True}], ids=["image", "series"])
def test_a_runs_own_checkpoint_starts_the_next_run(family, temporal, tmp_path, caplog):
    make, arguments, needed = BUILDERS[family]
    if needed and not installed(needed):
        pytest.skip(f"{needed} is not installed")
    caplog.set_level(logging.INFO)
    first = make(**arguments)
    torch.save(as_own_run(first, **temporal), tmp_path / "best.ckpt")
    second = make(**arguments, ckpt_path=str(tmp_path / "best.ckpt"))
    assert same(first, second)
    inside = "encoder.encoder." if temporal else "encoder."
    assert f"the prefix model.{inside}" in caplog.text
    assert "passed over (model.decoder" in caplog.text


@pytest.mark.parametrize("family", [family for family in BUILDERS if not BUILDERS[family][2]])
@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module.", "backbone.", "model._orig_mod.encoder.", "module._orig_mod.model.encoder."]
)
def test_prefixes_of_training_loops_are_stripped(family, prefix, tmp_path, caplog):
    make, arguments, _ = BUILDERS[family]
    caplog.set_level(logging.INFO)
    first = make(**arguments)
    torch.save({prefix + key: value for key, value in first.state_dict().items()}, tmp_path / "w.pt")
    assert same(first, make(**arguments, ckpt_path=str(tmp_path / "w.pt")))
    assert "stripped" in caplog.text


def inner_wrapper(state: dict[str, Tensor]) -> dict[str, Any]:
    return {key.replace("layer1.", "layer1._orig_mod."): value for key, value in state.items()}


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda state: {"teacher": {f"backbone.{key}": value for key, value in state.items()}}, "teacher.backbone."),
        (lambda state: {"epoch": 3, "encoder": state, "optimizer": {"lr": 0.1}}, "prefix encoder."),
        (lambda state: {"model_state_dict": {f"net.{key}": value for key, value in state.items()}}, "prefix net."),
        (lambda state: {"model": {"state_dict": state}}, ""),
        (lambda state: {"model": state, "ema": state}, "not those in 'ema'"),
        (inner_wrapper, "_orig_mod."),
        (lambda state: {"n_averaged": torch.tensor(3)} | {f"module.{k}": v for k, v in state.items()}, "module."),
    ],
)
def test_weights_are_found_inside_what_a_training_loop_saves(wrap, said, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    first = build_timm("test_resnet", **FOUR)
    torch.save(wrap(first.state_dict()), tmp_path / "w.pt")
    assert same(first, build_timm("test_resnet", **FOUR, ckpt_path=str(tmp_path / "w.pt")))
    assert said in caplog.text


def test_of_several_models_none_is_guessed(tmp_path):
    first, second = (build_timm("test_resnet", **FOUR).state_dict() for _ in range(2))
    torch.save({"teacher": first, "student": second}, tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"w.pt holds 2 models that would fit, under the prefixes student\., teacher\."):
        build_timm("test_resnet", **FOUR, ckpt_path=str(tmp_path / "w.pt"))


def part(**more: Any) -> dict[str, Any]:
    return {"name": "timm_test_resnet", **more}


def test_the_parts_of_a_fusion_find_their_own_weights_and_others_are_told_of_the_choice(tmp_path):
    def fused(**more: Any) -> nn.Module:
        parts = {"early": part(bands=["RED", "GREEN"], **more), "late": part(bands=["RED", "GREEN"], **more)}
        return build_fusion(parts, img_size=64)

    first = fused()
    path = tmp_path / "best.ckpt"
    torch.save(as_own_run(first), path)
    assert same(first, fused(ckpt_path=str(path)))
    with pytest.raises(UserError, match=r"2 models that would fit.*parts.early\., model.encoder.parts.late\."):
        build_timm("test_resnet", bands=["RED", "GREEN"], ckpt_path=str(path))


def test_of_parts_with_other_bands_the_one_that_fits_is_taken(tmp_path):
    parts = {"s1": part(bands=["VV", "VH"]), "s2": part(bands=["RED", "GREEN", "BLUE"])}
    fused: Any = build_fusion(parts, img_size=64)
    torch.save(as_own_run(fused), tmp_path / "best.ckpt")
    alone = build_timm("test_resnet", bands=["RED", "GREEN", "BLUE"], ckpt_path=str(tmp_path / "best.ckpt"))
    assert same(fused.parts["s2"], alone)


@pytest.mark.parametrize(
    ("family", "target", "build"),
    [
        ("prithvi", "fc1", partial(build_prithvi, "prithvi_eo_v2_300", **TINY)),
        ("test_resnet", "conv2", partial(build_timm, "test_resnet", in_chans=6)),
        ("test_vit", "fc1", partial(build_timm, "test_vit", in_chans=6)),
    ],
)
def test_adapters_are_not_taken_for_a_plain_model(family, target, build, tmp_path):
    model = adapted(family, {"method": "LORA", "peft_config_kwargs": {"target_modules": [target]}})
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "b.ckpt")
    with pytest.raises(UserError, match=r"b.ckpt holds PEFT's adapters .*merge_and_unload\(\).*peft=none"):
        build(ckpt_path=str(tmp_path / "b.ckpt"))


def test_a_file_of_another_model_is_still_refused_with_its_names(tmp_path):
    torch.save({"state_dict": {f"model.{k}": v for k, v in nn.Linear(2, 2).state_dict().items()}}, tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"w.pt doesn't fit test_resnet: \d+ missing.*2 unexpected: model.bias"):
        build_timm("test_resnet", ckpt_path=str(tmp_path / "w.pt"))


def test_a_prefix_that_leads_to_a_few_names_only_is_no_model():
    own = {name: torch.zeros(1) for name in "abcdef"}
    state = {"x.a": torch.ones(1), "x.b": torch.ones(1), "y.g": torch.ones(1)}
    assert of_model(state, own, str, "w.pt") == state


def test_names_twice_with_and_without_a_wrapper_are_refused():
    own = {"a": torch.zeros(1)}
    with pytest.raises(UserError, match=r"twice, with and without _orig_mod\."):
        of_model({"a": torch.zeros(1), "_orig_mod.a": torch.ones(1)}, own, str, "w.pt")


def test_a_name_of_thousands_of_parts_costs_nothing():
    own = {"a": torch.zeros(1)}
    state = {"b." * 100_000 + str(number): torch.zeros(1) for number in range(50)}
    assert of_model(state, own, str, "w.pt") == state


def test_a_command_starts_from_the_best_checkpoint_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "trainer.max_epochs=1", "study=first")
    best: Path = only_run("first") / "checkpoints" / "best.ckpt"
    run(*SMALL, "trainer.max_epochs=1", "study=second", f"backbone.ckpt_path={best}")
    said = [line for line in record_of(only_run("second"))["said"] if "prefix" in line]
    assert len(said) == 1
    assert "the prefix model.encoder. is stripped" in said[0]
