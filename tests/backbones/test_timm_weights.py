"""The weights of timm's models: timm's own, and checkpoints under its names."""

import logging
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import is_model_pretrained

from geocompose.backbones.foreign.files import sha256
from geocompose.backbones.timm import weights as timm_weights
from geocompose.backbones.timm.builder import build_timm
from geocompose.errors import UserError


def test_pretrained_is_refused_for_a_model_without_weights():
    name = next(each for each in timm.list_models("resnet*") if not is_model_pretrained(each))
    with pytest.raises(UserError, match=f"no pretrained weights for {name}"):
        build_timm(name, pretrained=True)


def whole_weights(path: Path, name: str = "test_resnet", **arguments: object) -> dict[str, torch.Tensor]:
    """Save the weights of timm's whole model and return them."""
    torch.manual_seed(7)
    state = timm.create_model(name, **arguments).state_dict()
    torch.save(state, path) if path.suffix == ".pt" else save_file(state, path)
    return state


@pytest.mark.parametrize(
    ("name", "file", "own_name"),
    [
        ("test_resnet", "a.safetensors", "layer1.0.conv1.weight"),
        ("test_convnext", "a.pt", "stages_0.blocks.0.conv_dw.weight"),
        ("test_vit", "a.safetensors", "model.blocks.0.attn.qkv.weight"),
        ("legacy_xception", "a.pt", "body.conv1.weight"),
    ],
)
def test_a_checkpoint_fills_the_backbone_whatever_the_features_module_calls_it(tmp_path, name, file, own_name):
    path = tmp_path / file
    state = whole_weights(path, name)
    module = build_timm(name, ckpt_path=str(path), out_indices=[1])
    key = own_name.removeprefix("model.").removeprefix("body.").replace("stages_0", "stages.0")
    torch.testing.assert_close(module.state_dict()[own_name], state[key])
    assert module.weights["source"] == str(path)
    assert len(module.weights["sha256"]) == 64


def test_a_checkpoint_of_the_features_module_itself_loads_too(tmp_path):
    save_file(build_timm("test_vit").state_dict(), tmp_path / "a.safetensors")
    assert build_timm("test_vit", ckpt_path=str(tmp_path / "a.safetensors"), out_indices=[0]).weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("bn1.weight"), "1 missing: bn1.weight"),
        (lambda state: state.update(foo=torch.zeros(1)), "1 unexpected: foo"),
        (
            lambda state: state.update({"bn1.weight": torch.zeros(3)}),
            r"1 of another shape: bn1.weight \(3,\) instead of",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_the_names(tmp_path, change, message):
    path = tmp_path / "a.pt"
    state = whole_weights(path)
    change(state)
    torch.save(state, path)
    with pytest.raises(UserError, match=message):
        build_timm("test_resnet", ckpt_path=str(path))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that has one file, as timm publishes it; asked for another, it fails as without a network."""
    whole_weights(tmp_path / "model.safetensors")

    def download(repository: str, file: str) -> Path:
        if (repository, file) != ("timm/test_resnet.r160_in1k", "model.safetensors"):
            raise UserError(f"The weights {repository}/{file} can't be downloaded: no network.")
        return tmp_path / file

    monkeypatch.setattr(timm_weights, "download", download)
    return tmp_path


def test_pretrained_weights_are_loaded_and_recorded(hub):
    module = build_timm("test_resnet", pretrained=True)
    expected = whole_weights(hub / "again.safetensors")
    torch.testing.assert_close(module.state_dict()["layer1.0.conv1.weight"], expected["layer1.0.conv1.weight"])
    assert module.weights["source"] == "timm/test_resnet.r160_in1k/model.safetensors"
    assert module.weights["sha256"] == sha256(hub / "model.safetensors")


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (4, "repeated over 4 channels"),
        (1, "for 1 channel are made of"),
    ],
)
def test_what_became_of_the_filters_of_channels_without_names_is_said(hub, caplog, channels, message):
    with caplog.at_level(logging.WARNING, logger="geocompose"):
        build_timm("test_resnet", pretrained=True, in_chans=channels)
    assert [message in record.message for record in caplog.records if record.name == "geocompose"] == [True]


def test_bands_that_the_weights_lack_need_a_consent():
    for device in ("cpu", "meta"):
        with (
            torch.device(device),
            pytest.raises(UserError, match=r"have no band NIR_NARROW, VV; they have RED, GREEN, BLUE"),
        ):
            build_timm("test_resnet", pretrained=True, bands=["RED", "NIR_NARROW", "VV"])


# The stem of the first sees 48 channels, a cell's pixels side by side; the second's is a fixed transform of three.
@pytest.mark.filterwarnings("ignore:CSATv2 is designed for 3-channel")
@pytest.mark.parametrize("name", ["tresnet_m", "csatv2"])
def test_an_input_layer_that_is_no_convolution_of_three_bands_does_not_follow_them(hub, monkeypatch, name):
    whole_weights(hub / "model.safetensors", name)
    monkeypatch.setattr(timm_weights, "download", lambda repository, file: hub / "model.safetensors")
    with pytest.raises(
        UserError, match=f"weights of {name} can't follow the bands: its input layer is not a convolution"
    ):
        build_timm(name, pretrained=True, bands=["BLUE", "GREEN", "RED"])


def test_red_green_and_blue_in_another_order_get_their_own_filters(hub):
    plain = build_timm("test_resnet", pretrained=True, bands=["RED", "GREEN", "BLUE"]).eval()
    turned = build_timm("test_resnet", pretrained=True, bands=["B2", "B4", "B3"]).eval()
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for mine, theirs in zip(turned(image[:, [2, 0, 1]]), plain(image), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_what_timms_weights_have_seen_is_known_without_them(hub):
    with torch.device("meta"):
        seen = build_timm("resnet18", pretrained=True).pretraining
    assert (seen.bands, seen.unit, seen.level) == (("RED", "GREEN", "BLUE"), "uint8", None)
    assert seen.mean == pytest.approx([123.675, 116.28, 103.53])
    assert seen.std == pytest.approx([58.395, 57.12, 57.375])
    assert build_timm("test_resnet").pretraining is None
    assert build_timm("test_resnet", pretrained=True).pretraining is not None


def test_pretrained_weights_that_do_not_cover_the_model_are_refused(hub):
    with pytest.raises(UserError, match=r"no values for layer1\.1\..*which backbone\.kwargs add"):
        build_timm("test_resnet", pretrained=True, kwargs={"layers": [2, 1, 1, 1]})


def test_pretrained_weights_out_of_reach_are_told_with_the_cause(hub):
    with pytest.raises(UserError, match=r"timm/test_convnext\..*no network"):
        build_timm("test_convnext", pretrained=True)
