"""Backbones whose convolutions compute otherwise than torch's: adapted where that is right, and refused where not."""

import copy

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.smp.builder import build_smp_encoder
from geocompose.backbones.timm.builder import build_timm
from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError
from geocompose.peft.merging import merge
from tests.kit.adapted import with_noise
from tests.kit.small import content, image


def adapted(option: str, backbone: nn.Module, **changed: object) -> nn.Module:
    return instantiate({**content("peft", option), **changed}).adapt(backbone).eval()


def run(backbone: nn.Module) -> list[Tensor]:
    with torch.no_grad():
        return list(backbone(image(6, 2, 64, 64)))


@pytest.mark.parametrize("option", ["lora", "dora", "adalora", "ia3", "hra", "ssf"])
def test_an_efficientnet_of_smp_begins_as_it_was_and_merges_into_itself(option):
    torch.manual_seed(0)
    plain = build_smp_encoder("efficientnet-b0", in_chans=6).eval()
    model = adapted(option, copy.deepcopy(plain))
    for after, before in zip(run(model), run(plain), strict=True):
        torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    with_noise(model)
    before = run(model)
    merged = merge(model) if option != "ssf" else instantiate(content("peft", "ssf")).merge(model)
    for after, wanted in zip(run(merged), before, strict=True):
        torch.testing.assert_close(after, wanted, atol=1e-4, rtol=1e-4)
    assert merged.state_dict().keys() == plain.state_dict().keys()


def test_an_efficientnet_of_smp_has_the_weights_and_features_of_smps_own():
    from segmentation_models_pytorch.encoders import get_encoder

    torch.manual_seed(0)
    theirs = get_encoder("efficientnet-b0", in_channels=6, weights=None).eval()
    ours = build_smp_encoder("efficientnet-b0", in_chans=6).eval()
    ours.encoder.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        expected = theirs(image(6, 2, 64, 64))[1:]
    for after, before in zip(run(ours), expected, strict=True):
        assert torch.equal(after, before)


def test_lora_learns_beside_standardised_weights_and_is_not_merged_into_them():
    torch.manual_seed(0)
    plain = build_timm("nf_regnet_b0", in_chans=6).eval()
    model = adapted("lora", copy.deepcopy(plain), r=2, target_modules=["conv1"])
    for after, before in zip(run(model), run(plain), strict=True):
        torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match=r"adapters of LORA can't be merged: .* is a standardising convolution"):
        merge(model)


@pytest.mark.parametrize(("option", "reason"), [("hra", "with the weights that it holds"), ("oft", "with the weights")])
def test_a_method_that_computes_with_the_held_weights_is_refused(option, reason):
    backbone = build_timm("nf_regnet_b0", in_chans=6)
    with pytest.raises(UserError, match=f"is a standardising convolution, and PEFT would compute {reason}"):
        adapted(option, backbone)
