"""smp's encoders as backbones: every name, weights by the bands' names, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from geocompose.backbones.smp import builder as smp_encoders
from geocompose.backbones.smp.builder import build_smp_encoder
from geocompose.catalog.smp import NAMES
from geocompose.errors import UserError
from geocompose.imagery.pretraining import Pretraining
from geocompose.registry import BACKBONE_REGISTRY

FEW_OF_A_FAMILY = [  # the smallest of each
    "resnet18",
    "dpn68",
    "vgg11",
    "vgg13_bn",
    "se_resnet50",
    "densenet121",
    "inceptionresnetv2",
    "inceptionv4",
    "efficientnet-b0",
    "mobilenet_v2",
    "xception",
    "timm-efficientnet-b0",
    "timm-tf_efficientnet_lite0",
    "timm-skresnet18",
    "mit_b0",
    "mobileone_s0",
]


def on_meta(name: str, **arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return build_smp_encoder(name, **arguments)


def test_the_table_holds_every_encoder_of_smp():
    from segmentation_models_pytorch.encoders import encoders

    assert set(NAMES) == set(encoders)


def check(name: str) -> None:
    backbone = on_meta(name, in_chans=6)
    strides = [spec.stride for spec in backbone.feature_specs]
    assert strides in ([1, 2, 4, 8, 16, 32], [2, 4, 8, 16, 32], [4, 8, 16, 32])
    assert not backbone.fixed_size
    assert all(backbone.out_channels)
    with torch.device("meta"):
        features = backbone(torch.empty(2, 6, 64, 96))
    expected = [(2, spec.channels, 64 // spec.stride, 96 // spec.stride) for spec in backbone.feature_specs]
    assert [tuple(feature.shape) for feature in features] == expected


@pytest.mark.parametrize("name", FEW_OF_A_FAMILY)
def test_a_family_returns_features_without_the_image_itself(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_encoder_returns_features_without_the_image_itself(name):
    check(name)


def test_the_first_level_of_vgg_is_a_feature_and_the_empty_one_of_a_mix_transformer_is_none():
    assert on_meta("vgg13").feature_specs[0].stride == 1
    assert on_meta("mit_b0").out_channels == [32, 64, 160, 256]


def test_levels_depth_and_dilation_are_those_asked_for():
    assert on_meta("resnet18", out_indices=[0, -1]).out_channels == [64, 512]
    assert [spec.stride for spec in on_meta("resnet18", depth=3).feature_specs] == [2, 4, 8]
    assert [spec.stride for spec in on_meta("resnet18", output_stride=8).feature_specs] == [2, 4, 8, 8, 8]
    assert [spec.stride for spec in on_meta("resnet18", output_stride=16).feature_specs] == [2, 4, 8, 16, 16]
    idle = on_meta("resnet18", depth=4)
    assert not any(parameter.requires_grad for key, parameter in idle.named_parameters() if ".layer4." in key)


@pytest.fixture
def published(tmp_path, monkeypatch) -> nn.Module:
    """Return the encoder whose weights smp's hub is made to have."""
    torch.manual_seed(1)
    theirs = build_smp_encoder("mobilenet_v2").encoder.eval()
    classifier = {"classifier.1.weight": torch.zeros(1), "classifier.1.bias": torch.zeros(1)}  # dropped by smp itself
    save_file({**theirs.state_dict(), **classifier}, tmp_path / "model.safetensors")
    said = {"input_space": "RGB", "input_range": [0, 1], "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.4]}
    (tmp_path / "config.json").write_text(json.dumps(said))

    def from_there(repository: str, file: str, revision: str | None = None) -> Path:
        assert repository == "smp-hub/mobilenet_v2.imagenet"
        assert revision
        return tmp_path / file

    monkeypatch.setattr(smp_encoders, "download", from_there)
    return theirs


def test_published_filters_go_to_the_bands_by_name(published):
    backbone = build_smp_encoder("mobilenet_v2", weights="imagenet", bands=["B2", "B3", "B4"]).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for one, other in zip(backbone(image), published(image.flip(1))[1:], strict=True):
            torch.testing.assert_close(one, other)
    assert backbone.pretraining == Pretraining(
        ("RED", "GREEN", "BLUE"), "uint8", None, (102.0, 127.5, 153.0), (25.5, 51.0, 102.0)
    )
    assert backbone.weights["source"].startswith("smp-hub/mobilenet_v2.imagenet@")
    assert len(backbone.weights["sha256"]) == 64


def test_a_band_that_the_weights_lack_starts_randomly_only_where_that_is_allowed(published, caplog):
    bands = ["NIR_NARROW", "RED"]
    with pytest.raises(UserError, match=r"have no band NIR_NARROW; they have RED, GREEN, BLUE.*allow_random_bands"):
        on_meta("mobilenet_v2", weights="imagenet", bands=bands)
    backbone = build_smp_encoder("mobilenet_v2", weights="imagenet", bands=bands, allow_random_bands=True)
    first, theirs = (next(module.parameters()) for module in (backbone, published))
    assert torch.equal(first[:, 1], theirs[:, 0])
    assert "No pretrained weights for NIR_NARROW" in caplog.text


def test_nothing_is_downloaded_on_the_meta_device_and_what_weights_have_seen_is_known(monkeypatch):
    monkeypatch.setattr(smp_encoders, "download", None)
    backbone = on_meta("mit_b0", weights="imagenet", bands=["RED"])
    assert backbone.pretraining == Pretraining(("RED", "GREEN", "BLUE"), "uint8")
    assert backbone.weights is None


def test_a_weight_file_of_an_encoder_or_of_a_whole_model_is_loaded(tmp_path):
    from segmentation_models_pytorch import Unet

    whole = Unet("mobilenet_v2", encoder_weights=None, in_channels=4)
    for content in (whole.state_dict(), whole.encoder.state_dict()):
        torch.save(content, tmp_path / "w.pt")
        backbone = build_smp_encoder("mobilenet_v2", in_chans=4, ckpt_path=str(tmp_path / "w.pt"))
        assert all(
            torch.equal(value, backbone.encoder.state_dict()[key]) for key, value in whole.encoder.state_dict().items()
        )
    with pytest.raises(UserError, match=r"doesn't fit mobilenet_v2: 1 of another shape: .* for as many bands"):
        build_smp_encoder("mobilenet_v2", in_chans=3, ckpt_path=str(tmp_path / "w.pt"))


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": "mit_b9"}, r"smp has no such encoder. Did you mean 'mit_b\d'\?"),
    "timm": ({"name": "tu-resnet18"}, r"that is timm's resnet18; write backbone=timm backbone.name=resnet18"),
    "weights": (
        {"weights": "imagenett"},
        r"backbone.weights=imagenett: smp has no such weights of mit_b0. Did you mean 'imagenet'",
    ),
    "two sources": ({"weights": "imagenet", "ckpt_path": "x"}, r"two sources of weights"),
    "depth": ({"depth": 7}, r"backbone.depth must be the number of times the resolution is halved, 3 to 5; got 7"),
    "stride": ({"output_stride": 12}, r"backbone.output_stride must be 8, 16 or 32; got 12"),
    "no dilation": (
        {"name": "densenet121", "output_stride": 8},
        r"do not support dilated mode .* Try backbone.depth=5 and",
    ),
    "level": ({"out_indices": [4]}, r"mit_b0 has 4 levels, 0 to 3 \(or -4 to -1\)"),
    "unnamed channels": (
        {"weights": "imagenet", "in_chans": 4},
        r"give the names of the input's bands as backbone.bands",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_refused_in_our_words(case):
    arguments, words = REFUSALS[case]
    with pytest.raises(UserError, match=words):
        on_meta(**{"name": "mit_b0", **arguments})


def test_a_bare_name_is_timms_before_smps():
    assert BACKBONE_REGISTRY.find("resnet18").func.__name__ == "build_timm"
    assert BACKBONE_REGISTRY.find("smp_resnet18").func.__name__ == "build_smp_encoder"
    assert BACKBONE_REGISTRY.find("mit_b0").func.__name__ == "build_smp_encoder"
