"""Scale and shift after each layer: learned, and merged into the layers."""

import pytest
import torch
from torch import nn

from geocompose.errors import UserError
from geocompose.peft.ssf import Ssf, merged
from tests.kit.adapted import build, image, learning
from tests.kit.small import backbone, fresh_backbone, marks
from tests.kit.small import image as small_image

FAMILIES = ["prithvi", "vit", "swin", "convnext", "resnet50", "transformers", "unet", "fusion", "torchgeo_swin_v2_b"]


def learned(adapted: nn.Module) -> nn.Module:
    """Change every scale and shift as a training would."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "ssf_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=draw), alpha=0.1)
    return adapted.eval()


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in FAMILIES])
def test_it_starts_as_the_backbone_and_merges_into_a_plain_one(name):
    plain, adapted = backbone(name).eval(), Ssf().adapt(backbone(name)).eval()
    with torch.no_grad():
        given = small_image()
        assert all(torch.equal(one, other) for one, other in zip(adapted(given), plain(given), strict=True))
        expected = learned(adapted)(given)
        assert not all(torch.equal(one, other) for one, other in zip(expected, plain(given), strict=True))
        result = merged(adapted)(given)
    for one, other in zip(result, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))
    plain.load_state_dict(adapted.state_dict(), strict=True)
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(plain(given), result, strict=True))


def test_a_layer_without_a_bias_has_no_shift():
    adapted = Ssf().adapt(fresh_backbone("resnet50"))
    convolution, norm = adapted.layer1[0].conv1, adapted.layer1[0].bn1
    assert (hasattr(convolution, "ssf_scale"), hasattr(convolution, "ssf_shift")) == (True, False)
    assert hasattr(norm, "ssf_shift")


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_merges(groups):
    class Up(nn.Module):
        in_chans, out_channels = 4, [6]

        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(4, 6, 2, 2, groups=groups)

        def forward(self, given):
            return [self.up(given)]

    adapted = learned(Ssf().adapt(Up()))
    given = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        expected = adapted(given)[0]
        torch.testing.assert_close(merged(adapted)(given)[0], expected)


def test_statistics_stand_still_and_only_scales_and_shifts_learn():
    model = build("test_resnet", Ssf()).train()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items() if "running" in name}
    model(image()).output.square().mean().backward()
    assert all("ssf_" in name for name in learning(model.encoder))
    assert all(torch.equal(model.encoder.state_dict()[name], value) for name, value in before.items())
    model.freeze_encoder()
    assert learning(model.encoder)


def test_it_is_not_put_in_twice():
    with pytest.raises(UserError, match="scales and shifts of peft=ssf already"):
        Ssf().adapt(Ssf().adapt(fresh_backbone("vit")))
