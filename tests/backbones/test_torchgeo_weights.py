"""torchgeo's weights: what they have seen, which bands their filters follow, and what doesn't fit."""

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.catalog import torchgeo_weights as torchgeo_weight_names
from geocompose.catalog.torchgeo import MODELS
from geocompose.catalog.torchgeo_provenance import PROVENANCES, pretraining_of
from geocompose.catalog.torchgeo_weights import WEIGHTS
from geocompose.errors import UserError
from tests.kit.torchgeo_models import FEW, STAGES, library, meta, needs_torchgeo


def members() -> Mapping[str, Any]:
    models = library()
    enumerations = {name: models.get_model_weights(name) for name in MODELS if name in models.api._model_weights}
    return {str(member): member for enumeration in enumerations.values() for member in enumeration}


@needs_torchgeo
def test_bands_of_all_weights_are_known_by_the_vocabularys_names():
    with_bands = {name: member for name, member in members().items() if "in_chans" in member.meta}
    assert len(with_bands) == 102
    for name, member in with_bands.items():
        seen = pretraining_of(member)
        assert len(seen.names) == len(set(seen.names)) == member.meta["in_chans"], name
        assert seen.level == "BOA" if "_SR_" in name else seen.level in ("TOA", None)
    fitting = {pattern for pattern in PROVENANCES if any(Path(name).match(pattern) for name in with_bands)}
    assert fitting == set(PROVENANCES)


@needs_torchgeo
@pytest.mark.parametrize(
    ("name", "weights", "bands", "unit", "level", "mean", "std"),
    [
        ("resnet50", "SENTINEL2_RGB_MOCO", ["RED", "GREEN", "BLUE"], "reflectance_1e4", "TOA", [0] * 3, [1e4] * 3),
        ("resnet50", "SENTINEL1_GRD_MOCO", ["VV", "VH"], "db", None, [-12.59, -20.26], [5.26, 5.91]),
        ("resnet50", "SENTINEL1_GRD_CLOSP", ["VV", "VH"], None, None, None, None),
        ("swin_v2_b", "NAIP_RGB_SI_SATLAS", ["RED", "GREEN", "BLUE"], "uint8", None, [0] * 3, [255] * 3),
        (
            "swin_b",
            "CITYSCAPES_SEMSEG",
            ["RED", "GREEN", "BLUE"],
            "uint8",
            None,
            [123.675, 116.28, 103.53],
            [58.395, 57.12, 57.375],
        ),
        (
            "vit_small_patch16_224",
            "LANDSAT_ETM_SR_MOCO",
            ["BLUE", "GREEN", "RED", "NIR_BROAD", "SWIR_1", "SWIR_2"],
            "uint8",
            "BOA",
            [0] * 6,
            [255] * 6,
        ),
        (
            "vit_small_patch16_224",
            "LANDSAT_OLI_SR_MOCO",
            ["COASTAL_AEROSOL", "BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"],
            "uint8",
            "BOA",
            [0] * 7,
            [255] * 7,
        ),
        (
            "earthloc",
            "SENTINEL2_RESNET50",
            ["RED", "GREEN", "BLUE"],
            "uint8",
            None,
            [123.675, 116.28, 103.53],
            [58.395, 57.12, 57.375],
        ),
    ],
)
def test_what_weights_have_seen_is_declared_before_anything_is_downloaded(name, weights, bands, unit, level, mean, std):
    encoder = meta(name, weights=weights)
    seen = encoder.pretraining
    assert encoder.bands == seen.names == bands
    assert (seen.unit, seen.level) == (unit, level)
    for numbers, expected in ((seen.mean, mean), (seen.std, std)):
        assert (numbers is None) == (expected is None)
        assert numbers is None or numbers == pytest.approx(expected)
    assert encoder.weights is None


@needs_torchgeo
def test_weights_are_named_with_or_without_their_enumeration_and_the_only_ones_need_no_name():
    full, bare = (meta("resnet18", weights=w) for w in ("ResNet18_Weights.SENTINEL2_ALL_MOCO", "SENTINEL2_ALL_MOCO"))
    assert full.pretraining == bare.pretraining
    assert full.in_chans == 13
    only = meta("dofa_base_patch16_224", pretrained=True, bands=["B2", "VV"])
    assert only.pretraining.names == ["B2", "VV"]
    unread = meta("resnet18", weights="SENTINEL2_ALL_MOCO", pretrained=False)
    assert unread.pretraining is None
    assert unread.published == full.pretraining
    assert unread.bands == full.bands


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Return a function that puts a state dict in the place of torchgeo's download of some weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def place(member: Any, state: Mapping[str, Any]) -> None:
        def get_state_dict(self: Any, **asked: Any) -> Mapping[str, Any]:
            assert self is member
            assert asked["weights_only"] is True
            file = tmp_path / "hub" / "checkpoints" / member.url.rpartition("/")[2]
            file.parent.mkdir(parents=True)
            file.write_bytes(b"weights")
            return state

        monkeypatch.setattr(type(member), "get_state_dict", get_state_dict)

    return place


def random_like(model: nn.Module) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return {
        key: torch.randn(value.shape, generator=draw) if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }


@needs_torchgeo
def test_published_weights_are_loaded_and_their_filters_follow_the_bands_names(publish, caplog):
    member = library().ResNet18_Weights.SENTINEL2_ALL_MOCO
    state = random_like(timm.create_model("resnet18", in_chans=13, num_classes=0))
    publish(member, state)
    encoder: Any = build_torchgeo("resnet18", weights="SENTINEL2_ALL_MOCO", bands=["B8A", "B2"])
    assert torch.equal(encoder.conv1.weight, state["conv1.weight"][:, [8, 1]])
    assert torch.equal(encoder.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    assert encoder.weights["source"] == f"ResNet18_Weights.SENTINEL2_ALL_MOCO {member.url}"
    assert len(encoder.weights["sha256"]) == 64
    assert encoder.pretraining.statistics(["B2"]) == ([0.0], [10000.0])


@needs_torchgeo
def test_bands_that_the_weights_lack_are_refused_before_the_download_unless_that_is_stated(publish, caplog):
    member = library().ResNet18_Weights.SENTINEL2_RGB_MOCO
    given = {"weights": "SENTINEL2_RGB_MOCO", "bands": ["RED", "B8"]}
    with pytest.raises(UserError, match=r"have no band B8; they have RED, GREEN, BLUE.*allow_random_bands=true"):
        meta("resnet18", **given)
    state = random_like(timm.create_model("resnet18", num_classes=0))
    publish(member, state)
    with caplog.at_level(logging.WARNING, "geocompose"):
        encoder: Any = build_torchgeo("resnet18", allow_random_bands=True, **given)
    assert "No pretrained weights for B8" in caplog.text
    assert torch.equal(encoder.conv1.weight[:, 0], state["conv1.weight"][:, 0])
    assert not any(torch.equal(encoder.conv1.weight[:, 1], state["conv1.weight"][:, band]) for band in range(3))


@needs_torchgeo
def test_weights_of_dinov2_bring_their_image_size_and_are_resampled_for_another(publish):
    member = library().ViTSmall14_DINOv2_Weights.SENTINEL1_GRD_SOFTCON
    state = random_like(timm.create_model("vit_small_patch14_dinov2", in_chans=2, img_size=224, depth=2))
    publish(member, state)
    assert meta("vit_small_patch14_dinov2", weights="SENTINEL1_GRD_SOFTCON").img_size == (224, 224)
    other: Any = build_torchgeo(
        "vit_small_patch14_dinov2", weights="SENTINEL1_GRD_SOFTCON", img_size=[56, 84], kwargs={"depth": 2}
    )
    assert other.model.pos_embed.shape == (1, 1 + 4 * 6, 384)
    assert torch.equal(other.model.pos_embed[:, 0], state["pos_embed"][:, 0])
    assert torch.equal(other.model.patch_embed.proj.weight, state["patch_embed.proj.weight"])


@needs_torchgeo
def test_a_swin_transformer_has_the_window_of_its_weights():
    assert meta("swin_b", weights="CITYSCAPES_SEMSEG").features[1][0].attn.window_size == [12, 12]
    assert meta("swin_b").features[1][0].attn.window_size == [7, 7]


@needs_torchgeo
def test_weights_of_satlas_fit_swin_v2(publish):
    member = library().Swin_V2_T_Weights.SENTINEL2_SI_MS_SATLAS
    whole = importlib.import_module("torchvision").models.SwinTransformer
    swin = importlib.import_module("torchvision.models.swin_transformer")
    model = whole(
        [4, 4], **STAGES, window_size=[8, 8], block=swin.SwinTransformerBlockV2, downsample_layer=swin.PatchMergingV2
    )
    model.features[0][0] = nn.Conv2d(9, 24, 4, 4)
    state = random_like(model)
    publish(member, state)
    encoder: Any = build_torchgeo("swin_v2_t", weights="SENTINEL2_SI_MS_SATLAS", bands=["B12", "B4"], kwargs=STAGES)
    assert torch.equal(encoder.features[0][0].weight, state["features.0.0.weight"][:, [8, 0]])
    assert torch.equal(encoder.features[7][0].mlp[0].weight, state["features.7.0.mlp.0.weight"])


@needs_torchgeo
def test_cromas_weights_are_a_state_dict_a_part_from_torchgeo_or_from_a_file(publish, tmp_path):
    model = library().CROMA(encoder_dim=48, encoder_depth=4, image_size=8)
    parts = ("s1_encoder", "s1_GAP_FFN", "s2_encoder", "s2_GAP_FFN", "joint_encoder")
    state = {part: random_like(getattr(model, part)) for part in parts}
    publish(library().CROMABase_Weights.CROMA_VIT, state)
    torch.save(state, tmp_path / "croma.pt")
    small = {"encoder_dim": 48, "encoder_depth": 4}
    both: Any = build_torchgeo("croma_base", weights="CROMA_VIT", kwargs=small)
    assert torch.equal(both.joint_encoder.norm_out.weight, state["joint_encoder"]["norm_out.weight"])
    few: Any = build_torchgeo(
        "croma_base", weights="CROMA_VIT", ckpt_path=str(tmp_path / "croma.pt"), bands=["B3", "VH"], kwargs=small
    )
    for encoder, part, band in ((few.s2_encoder, "s2_encoder", 2), (few.s1_encoder, "s1_encoder", 1)):
        filters = state[part]["linear_input.weight"].unflatten(1, (-1, 64))
        assert torch.equal(encoder.linear_input.weight, filters[:, band])
    with pytest.raises(UserError, match="have no band B10; they have COASTAL_AEROSOL"):
        meta("croma_base", weights="CROMA_VIT", bands=["B10", "VV"])


@needs_torchgeo
@pytest.mark.parametrize("name", ["dofa_base_patch16_224", "copernicusfm_base"])
def test_weights_for_any_bands_are_loaded_with_their_positions_resampled(name, publish):
    family = {"dofa_base_patch16_224": "DOFA", "copernicusfm_base": "CopernicusFM"}[name]
    model = getattr(library(), family)(img_size=224, patch_size=16, num_classes=0, **FEW)
    state = {key: value for key, value in random_like(model).items() if not key.startswith("fc_norm")}
    publish(next(iter(library().get_model_weights(name))), state)
    encoder: Any = build_torchgeo(name, pretrained=True, bands=["B4", "VV"], img_size=[64, 96], kwargs=FEW)
    assert torch.equal(encoder.blocks[1].mlp.fc1.weight, state["blocks.1.mlp.fc1.weight"])
    assert encoder.pos_embed.shape == (1, 1 + 4 * 6, 48)
    assert torch.equal(encoder.pos_embed[:, 0], state["pos_embed"][:, 0])
    assert (encoder.pretraining.unit, encoder.pretraining.mean) == (None, None)


@needs_torchgeo
def test_panopticons_weights_are_those_of_the_transformer_inside(publish):
    given: dict[str, Any] = {"bands": ["B4"], "kwargs": {"attn_dim": 96, "depth": 1}}
    made: Any = build_torchgeo("panopticon_vitb14", img_size=28, **given)
    state = {**random_like(made), "mask_token": torch.zeros(1, 768), "pos_embed": torch.randn(1, 1 + 37 * 37, 768)}
    publish(library().Panopticon_Weights.VIT_BASE14, state)
    encoder: Any = build_torchgeo("panopticon_vitb14", weights="VIT_BASE14", img_size=56, **given)
    assert encoder.pos_embed.shape == (1, 17, 768)
    assert torch.equal(encoder.norm.weight, state["norm.weight"])


@needs_torchgeo
def test_weights_that_do_not_fit_are_refused_with_what_is_wrong(publish, tmp_path):
    state = random_like(timm.create_model("resnet18", in_chans=3))
    torch.save(state, tmp_path / "whole.pt")
    encoder: Any = build_torchgeo("resnet18", ckpt_path=str(tmp_path / "whole.pt"))
    assert torch.equal(encoder.conv1.weight, state["conv1.weight"])
    assert encoder.weights["source"] == str(tmp_path / "whole.pt")
    assert encoder.pretraining is None
    torch.save({**state, "odd.weight": torch.zeros(1)}, tmp_path / "odd.pt")
    with pytest.raises(UserError, match=r"odd.pt doesn't fit resnet18: 1 unexpected: odd.weight"):
        build_torchgeo("resnet18", ckpt_path=str(tmp_path / "odd.pt"))
    del state["layer1.0.conv1.weight"]
    publish(library().ResNet18_Weights.SENTINEL2_RGB_MOCO, state)
    with pytest.raises(UserError, match=r"SENTINEL2_RGB_MOCO doesn't fit resnet18: 1 missing: layer1.0.conv1.weight"):
        build_torchgeo("resnet18", weights="SENTINEL2_RGB_MOCO")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="holds no state dict"):
        build_torchgeo("resnet18", ckpt_path=str(tmp_path / "list.pt"))
    with pytest.raises(UserError, match="There is no weight file at"):
        build_torchgeo(
            "croma_base", ckpt_path=str(tmp_path / "none.pt"), kwargs={"encoder_dim": 48, "encoder_depth": 2}
        )


@needs_torchgeo
def test_weights_that_cannot_be_had_are_told_with_the_way_out(monkeypatch):
    def unreachable(self: Any, **asked: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(library().ResNet18_Weights, "get_state_dict", unreachable)
    with pytest.raises(UserError, match=r"can't be downloaded from https://.*service not known.*backbone.ckpt_path"):
        build_torchgeo("resnet18", weights="SENTINEL2_RGB_MOCO")


@needs_torchgeo
def test_random_weights_announce_themselves(caplog):
    with caplog.at_level(logging.INFO, "geocompose"):
        build_torchgeo("resnet18")
    assert caplog.messages == ["Backbone resnet18 starts from random weights (backbone.weights=null)."]


@needs_torchgeo
def test_the_table_of_the_weights_names_is_torchgeos():
    listed = {}
    for name in MODELS:
        try:
            found = library().get_model_weights(name)
        except KeyError:
            continue
        listed[name] = (found.__name__, tuple(found.__members__))
    assert listed == WEIGHTS


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        (
            "resnet50",
            "SENTINEL2_AL_MOCO",
            "torchgeo has no such weights for resnet50. Did you mean 'SENTINEL2_ALL_MOCO'",
        ),
        ("resnet50", "ResNet18_Weights.SENTINEL2_ALL_MOCO", "the weights of resnet50 are those of ResNet50_Weights"),
        ("dofa_small_patch16_224", "DOFA_MAE", "torchgeo has no weights for dofa_small_patch16_224"),
    ],
)
def test_a_wrong_name_of_weights_needs_no_torchgeo_to_be_told(monkeypatch, model, weights, message):
    monkeypatch.setattr(torchgeo_weight_names, "version", lambda package: "0.8.1")
    with pytest.raises(UserError, match=message):
        torchgeo_weight_names.check_weights(model, weights)
    torchgeo_weight_names.check_weights("resnet50", "ResNet50_Weights.SENTINEL2_ALL_MOCO")
    monkeypatch.setattr(torchgeo_weight_names, "version", lambda package: "0.8.2")  # which may have others
    torchgeo_weight_names.check_weights(model, weights)
