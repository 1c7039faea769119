"""Bands that start randomly learn although the backbone is frozen, and nothing else of it does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from geocompose.backbones.fusion.backbone import FusionBackbone
from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.backbones.smp import builder as smp_builder
from geocompose.backbones.smp.builder import build_smp_encoder
from geocompose.backbones.timm import weights as timm_weights
from geocompose.backbones.timm.builder import build_timm
from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.backbones.transformers.builder import build_transformers
from geocompose.catalog.optional import installed
from geocompose.contracts.backbone import contract_of
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.peft.lora import Lora
from geocompose.peft.methods import Frozen, FullFineTuning

BANDS = ["RED", "VV"]  # VV is in no weights here
PRITHVI: dict[str, Any] = {"embed_dim": 48, "depth": 4, "num_heads": 4, "img_size": 64}


def prithvi(folder: Path, bands: list[str], **more: Any) -> nn.Module:
    if not (folder / "prithvi.pt").exists():
        torch.save(build_prithvi("prithvi_eo_v2_300", **PRITHVI).state_dict(), folder / "prithvi.pt")
    given = {**PRITHVI, "ckpt_path": str(folder / "prithvi.pt"), **more}
    return build_prithvi("prithvi_eo_v2_300", bands=bands, allow_random_bands=True, **given)


def of_timm(name: str) -> Callable[..., nn.Module]:
    def make(folder: Path, bands: list[str] | None, **more: Any) -> nn.Module:
        if not (folder / "model.safetensors").exists():
            save_file(timm.create_model(name).state_dict(), folder / "model.safetensors")
        return build_timm(name, pretrained=True, bands=bands, allow_random_bands=True, **more)

    return make


def smp(folder: Path, bands: list[str]) -> nn.Module:
    if not (folder / "model.safetensors").exists():
        save_file(build_smp_encoder("mobilenet_v2").encoder.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text('{"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.4]}')
    return build_smp_encoder("mobilenet_v2", weights="imagenet", bands=bands, allow_random_bands=True)


def torchgeo(folder: Path, bands: list[str]) -> nn.Module:
    if not (folder / "torchgeo.pt").exists():
        torch.save(timm.create_model("resnet18", in_chans=3).state_dict(), folder / "torchgeo.pt")
    given = {"weights": "SENTINEL2_RGB_MOCO", "ckpt_path": str(folder / "torchgeo.pt")}
    return build_torchgeo("resnet18", bands=bands, allow_random_bands=True, **given)


def transformers(folder: Path, bands: list[str]) -> nn.Module:
    from transformers import Dinov2Config, Dinov2Model

    small = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 56, "patch_size": 14}
    if not (folder / "config.json").exists():
        Dinov2Model(Dinov2Config(**small)).save_pretrained(folder)
    return build_transformers(str(folder), pretrained=True, bands=bands, allow_random_bands=True)


def fusion(folder: Path, bands: list[str]) -> nn.Module:
    made = {"s1": of_timm("test_resnet")(folder, bands), "s2": of_timm("test_resnet")(folder, ["RED", "GREEN"])}
    return FusionBackbone(made)


MAKERS: dict[str, tuple[Callable[..., nn.Module], list[str]]] = {
    "prithvi": (prithvi, ["patch_embed.proj.weight"]),
    "timm": (of_timm("test_resnet"), ["conv1.0.weight"]),
    "timm, wrapped": (of_timm("test_vit"), ["model.patch_embed.proj.weight"]),
    "smp": (smp, ["encoder.features.0.0.weight"]),
    "torchgeo": (torchgeo, ["conv1.weight"]),
    "transformers": (transformers, ["model.embeddings.patch_embeddings.projection.weight"]),
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder in which the libraries' hubs find what is written there."""
    monkeypatch.setattr(timm_weights, "download", lambda repository, file: tmp_path / file)
    monkeypatch.setattr(smp_builder, "download", lambda repository, file, revision: tmp_path / file)
    return tmp_path


def composed(backbone: nn.Module, peft: object, **more: Any) -> EncoderDecoderModel:
    return EncoderDecoderFactory((56, 56)).build_model(
        "segmentation",
        backbone,
        "FCNDecoder",
        decoder_channels=8,
        num_classes=2,
        necks="auto",
        peft_config=peft,
        **more,
    )


def plain(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the backbone's own tensors by their names before PEFT."""
    names = {key: key.replace("base_model.model.", "").replace("base_layer.", "") for key in model.encoder.state_dict()}  # type: ignore[union-attr]
    state = model.encoder.state_dict()  # type: ignore[union-attr]
    return {name: state[key].clone() for key, name in names.items() if "lora_" not in key}


def changed(model: EncoderDecoderModel, channels: int, frames: int | None = None) -> list[str]:
    """Return what of the backbone one training step with weight decay changes."""
    model.train()
    before = plain(model)
    shape = (2, channels, 56, 56) if frames is None else (2, channels, frames, 56, 56)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=0.1, weight_decay=0.1)
    model(torch.randn(shape)).output.square().mean().backward()
    optimizer.step()
    return sorted(key for key, value in plain(model).items() if not torch.equal(value, before[key]))


def made(family: str, folder: Path, bands: list[str]) -> tuple[nn.Module, list[str]]:
    if family in ("torchgeo", "transformers") and not installed(family):
        pytest.skip(f"{family} is not installed")
    make, names = MAKERS[family]
    return make(folder, bands), names


@pytest.mark.parametrize("family", MAKERS)
@pytest.mark.parametrize("peft", [Frozen(), Lora(r=2)], ids=["frozen", "lora"])
def test_only_the_input_filters_of_a_frozen_backbone_learn(family, peft, folder):
    backbone, names = made(family, folder, BANDS)
    assert list(contract_of(backbone).random_inputs) == names
    model = composed(backbone, peft)
    assert model.learning_inputs == names
    assert changed(model, 2) == names


@pytest.mark.parametrize("family", MAKERS)
def test_a_backbone_whose_bands_are_all_pretrained_stays_frozen(family, folder):
    backbone, _ = made(family, folder, ["RED", "GREEN"])
    model = composed(backbone, Frozen())
    assert model.learning_inputs == []
    assert changed(model, 2) == []


def test_the_filters_of_the_random_band_learn_themselves(folder):
    backbone, (name,) = made("timm", folder, BANDS)
    model = composed(backbone, Frozen())
    before = model.encoder.get_parameter(name).detach().clone()
    changed(model, 2)
    after = model.encoder.get_parameter(name).detach()
    assert not torch.equal(before[:, 1], after[:, 1])


def test_freezing_by_the_task_is_the_same_as_peft_frozen(folder):
    model = composed(made("timm", folder, BANDS)[0], FullFineTuning())
    assert model.learning_inputs == []
    model.freeze_encoder()
    assert changed(model, 2) == model.learning_inputs == ["conv1.0.weight"]


@pytest.mark.parametrize("peft", [Frozen(), Lora(r=2)], ids=["frozen", "lora"])
def test_parts_of_a_fusion_and_series_are_the_same(peft, folder):
    fused = fusion(folder, BANDS)
    assert changed(composed(fused, peft), 3) == ["parts.s1.conv1.0.weight"]
    series = composed(
        made("timm", folder, BANDS)[0], peft, backbone_use_temporal=True, backbone_temporal_n_timestamps=2
    )
    assert changed(series, 2, frames=2) == ["encoder.conv1.0.weight"]


@pytest.mark.parametrize(("channels", "learns"), [(5, True), (1, True), (3, False)])
def test_filters_that_timm_makes_for_channels_without_names_learn(channels, learns, folder):
    backbone = of_timm("test_resnet")(folder, None, in_chans=channels)
    assert changed(composed(backbone, Frozen()), channels) == (["conv1.0.weight"] if learns else [])


@pytest.mark.parametrize("family", MAKERS)
def test_shapes_alone_know_what_learns(family, folder):
    """So that action=cost and action=doctor count what will be trained, as a run does."""
    backbone, names = made(family, folder, BANDS)  # writes the files
    with torch.device("meta"):
        shell = composed(made(family, folder, BANDS)[0], Frozen())
    assert [key for key, value in shell.encoder.named_parameters() if value.requires_grad] == names
    real = composed(backbone, Frozen())
    assert [key for key, value in real.encoder.named_parameters() if value.requires_grad] == names


class Own(nn.Module):
    """A backbone of a user's own that says which of its filters start randomly."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.in_chans, self.out_channels, self.random_inputs = 2, [8], list(names)
        self.body = nn.Sequential(nn.Conv2d(2, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [self.body(image)]


def test_a_backbone_of_your_own_says_the_same_and_a_name_that_is_not_there_is_refused():
    assert changed(composed(Own("body.0.weight"), Frozen()), 2) == ["body.0.weight"]
    assert changed(composed(Own(), Frozen()), 2) == []
    with pytest.raises(UserError, match=r"Own has random_inputs with 'body.O.weight'.*body.0.weight"):
        composed(Own("body.O.weight"), Frozen())
