"""What backbones that say little of themselves return, seen in the shapes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.contracts.probing import backbone_specs
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from tests.kit.small import noise

# Backbones that say little of themselves


class Undeclared(nn.Module):
    """A user's backbone, whose convolution isn't given whole images."""

    def __init__(self, make: Callable[[Tensor], Any], out_channels: Any, in_chans: int | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, 2, 1)
        self.make, self.out_channels = make, out_channels
        if in_chans is not None:
            self.in_chans = in_chans

    def forward(self, picture: Tensor) -> Any:
        return self.make(self.first(picture[:, :2]))


def halves(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps, nn.functional.avg_pool2d(maps, 2, ceil_mode=True)


@pytest.mark.parametrize("size", [(64, 64), (50, 50), (33, 77), (100, 100)])
def test_strides_of_a_backbone_that_declares_none_are_the_same_at_any_size_of_the_data(size):
    assert [spec.stride for spec in backbone_specs(Undeclared(halves, (8, 8)), size)] == [2, 4]


class Cells(nn.Module):
    """A user's backbone of maps whose cells are so many pixels, from which the last `lost` cells fall off."""

    in_chans = 3

    def __init__(self, strides: list[int], lost: int = 0) -> None:
        super().__init__()
        self.out_channels, self.lost = [8] * len(strides), lost
        self.levels = nn.ModuleList(nn.Conv2d(3, 8, stride, stride) for stride in strides)

    def forward(self, picture: Tensor) -> list[Tensor]:
        maps = [level(picture) for level in self.levels]
        return [one[..., : one.shape[2] - self.lost, : one.shape[3] - self.lost] for one in maps]


@pytest.mark.parametrize(
    ("strides", "lost"),
    [
        ([3, 6, 12], 0),
        ([5, 10], 0),
        ([20, 40], 0),
        ([30], 0),
        ([64, 64], 0),
        ([4, 8, 16, 32, 64, 128], 0),
        ([8, 16, 32], 2),
    ],
)
def test_a_stride_that_divides_no_usual_size_is_no_fraction(strides, lost):
    # Of a square image, rows and columns always agree: three pixels to a cell once were 112/37.
    assert [spec.stride for spec in backbone_specs(Cells(strides, lost), (70, 99))] == strides


def test_a_patch_that_divides_no_usual_size_is_taken_from_the_backbone():
    backbone = Undeclared(lambda maps: maps, [8])
    backbone.forward = lambda picture: [nn.functional.avg_pool2d(backbone.first(picture), 6).flatten(2).transpose(1, 2)]
    backbone.patch_size = 12
    assert [spec.stride for spec in backbone_specs(backbone, (70, 99))] == [12]


def test_a_tuple_of_features_and_of_widths_will_do():
    model = EncoderDecoderFactory((50, 50)).build_model(
        "segmentation", Undeclared(halves, (8, 8), in_chans=5), "FCNDecoder", num_classes=2, necks="auto"
    )
    assert model(noise(1, 5, 50, 50)).output.shape == (1, 2, 50, 50)


class Frames(nn.Module):
    """A user's backbone of four frames in tubelets of two, after a class token."""

    in_chans, num_frames, patch_size, out_channels = 3, 4, 16, [8]

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, 8, (2, 16, 16), (2, 16, 16))

    def forward(self, picture: Tensor) -> list[Tensor]:
        tokens = self.proj(picture).flatten(2).transpose(1, 2)
        return [torch.cat([tokens[:, :1], tokens], dim=1)]


def test_frames_that_tokens_hold_apart_are_found():
    (spec,) = backbone_specs(Frames(), (100, 60))
    assert (spec.stride, spec.num_frames, spec.num_prefix_tokens, spec.layout) == (16, 2, 1, "tokens")
    model = EncoderDecoderFactory((100, 60), num_frames=4).build_model(
        "segmentation", Frames(), "FCNDecoder", num_classes=2, necks="auto"
    )
    assert model(noise(1, 3, 4, 100, 60)).output.shape == (1, 2, 100, 60)
    unknown = Frames()
    unknown.patch_size = None
    with pytest.raises(
        UserError, match="for 4 frames, which several patches could explain: give the backbone an attribute patch_size"
    ):
        backbone_specs(unknown, (64, 64))


@pytest.mark.parametrize("name", ["inception_v4", "legacy_xception"])
def test_a_network_whose_maps_lose_a_border_is_as_declared(name):
    trial = EncoderDecoderFactory((224, 224)).trial(
        "segmentation", f"timm_{name}", "FCNDecoder", num_classes=2, necks="auto"
    )
    assert trial.plan.pad_multiple == 32


def test_a_network_for_which_tiles_are_too_small_is_named_itself():
    message = (
        "The backbone timm_inception_v4 can't take images of 64 x 64 pixels. It stopped with: .* Write a larger "
        "data.tile_px"
    )
    with pytest.raises(UserError, match=message):
        EncoderDecoderFactory((64, 64)).trial(
            "segmentation", "timm_inception_v4", "FCNDecoder", num_classes=2, necks="auto"
        )


class OneSize(nn.Module):
    """A user's backbone that takes 96 x 96 pixels only, and doesn't say so."""

    in_chans, out_channels = 3, [8]

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.positions = nn.Conv2d(3, 8, 16, 16), nn.Parameter(torch.zeros(1, 36, 8))

    def forward(self, picture: Tensor) -> list[Tensor]:
        return [self.proj(picture).flatten(2).transpose(1, 2) + self.positions]


def test_a_backbone_of_one_size_is_looked_at_in_the_size_of_the_data():
    assert [spec.stride for spec in backbone_specs(OneSize(), (96, 96))] == [16]
    with pytest.raises(
        UserError, match="The backbone OneSize can't take an image of 3 channels and 64 x 64 pixels, of shape"
    ):
        backbone_specs(OneSize(), (64, 64))
