"""The pixel-wise model pads, crops, resizes and freezes exactly."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.models import ModelOutput, PixelWiseModel
from geocompose.models.padding import crop_centre, pad_to_multiple
from geocompose.necks import NeckSequence


def counted(rows: int, columns: int) -> Tensor:
    """Return an image (1, 2, rows, columns) whose pixels say their row and their column."""
    row = torch.arange(rows, dtype=torch.float32).view(-1, 1).expand(rows, columns)
    column = torch.arange(columns, dtype=torch.float32).view(1, -1).expand(rows, columns)
    return torch.stack([row, column]).unsqueeze(0)


# Padding


def test_padding_is_split_evenly_and_the_odd_pixel_goes_right_and_below():
    padded = pad_to_multiple(counted(13, 10), 16)
    assert padded.shape == (1, 2, 16, 16)
    assert torch.equal(padded[..., 1:14, 3:13], counted(13, 10))
    assert padded[0, 0, :, 3].tolist() == [1, *range(13), 11, 10]  # one above, two below
    assert padded[0, 1, 1].tolist() == [3, 2, 1, *range(10), 8, 7, 6]  # three on either side


def test_padding_mirrors_where_the_image_is_large_enough_and_repeats_where_not():
    assert pad_to_multiple(counted(1, 5), 8)[0, 1, 0].tolist() == [1, 0, 1, 2, 3, 4, 3, 2]
    assert pad_to_multiple(counted(5, 2), 8)[0, 1, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    mixed = pad_to_multiple(counted(6, 2), 8)
    assert mixed[0, 0, :, 0].tolist() == [1, 0, 1, 2, 3, 4, 5, 4]  # rows are mirrored although columns are too few


def test_an_image_of_whole_multiples_is_not_copied():
    image = counted(16, 32)
    assert pad_to_multiple(image, 16) is image


def test_frames_are_padded_alike():
    image = torch.randn(2, 3, 4, 9, 14)
    padded = pad_to_multiple(image, 8)
    assert padded.shape == (2, 3, 4, 16, 16)
    for frame in range(4):
        assert torch.equal(padded[:, :, frame], pad_to_multiple(image[:, :, frame], 8))


@pytest.mark.parametrize("size", [(64, 64), (13, 10), (50, 37), (1, 1), (2, 31), (65, 3)])
def test_a_crop_restores_what_was_padded(size):
    image = counted(*size)
    assert torch.equal(crop_centre(pad_to_multiple(image, 32), size), image)


# The model


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 8, 8), nn.BatchNorm2d(4)
        self.given: dict[str, Any] = {}

    def forward(self, image: Tensor, **coordinates: Tensor) -> list[Tensor]:
        self.given = coordinates
        return [self.norm(self.conv(image))]


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.norm(self.conv(features[0]))


def model(**changes: Any) -> PixelWiseModel:
    parts: dict[str, Any] = {
        "encoder": Encoder(), "neck": NeckSequence(), "decoder": Decoder(), "head": nn.Conv2d(4, 3, 1),
        "pad_multiple": 16,
    }  # fmt: skip
    return PixelWiseModel(**{**parts, **changes})


class Same(nn.Module):
    """Stands for parts that give back the image that they get."""

    def forward(self, given: Any, *_: Any) -> Any:
        return [given] if isinstance(given, Tensor) else given[0]


@pytest.mark.parametrize("size", [(32, 32), (13, 10), (50, 37)])
def test_what_the_parts_see_at_a_pixel_comes_out_at_that_pixel(size):
    same = PixelWiseModel(encoder=Same(), neck=NeckSequence(), decoder=Same(), head=None, pad_multiple=16)
    assert torch.equal(same(counted(*size)).output, counted(*size))


def test_output_is_resized_bilinearly_to_the_padded_image_and_cropped():
    whole = model().eval()
    image = torch.randn(2, 2, 20, 30)
    with torch.no_grad():
        raw = whole.head(whole.decoder(whole.encoder(pad_to_multiple(image, 16))))
        expected = nn.functional.interpolate(raw, size=(32, 32), mode="bilinear", align_corners=False)[..., 6:26, 1:31]
        returned = whole(image)
    assert isinstance(returned, ModelOutput)
    assert returned.auxiliary_heads == {}
    assert torch.equal(returned.output, expected)


def test_without_rescaling_nothing_is_resized_or_cropped():
    assert model(rescale=False)(torch.randn(2, 2, 20, 30)).output.shape == (2, 3, 4, 4)


def test_coordinates_reach_the_encoder_only_where_they_are_given():
    whole = model()
    whole(torch.randn(2, 2, 16, 16))
    assert whole.encoder.given == {}
    place = torch.zeros(2, 2)
    whole(torch.randn(2, 2, 16, 16), location_coords=place)
    assert list(whole.encoder.given) == ["location_coords"]
    assert whole.encoder.given["location_coords"] is place


# Freezing


@pytest.mark.parametrize("part", ["encoder", "decoder", "head"])
def test_a_frozen_part_does_not_learn_and_the_others_do(part):
    whole = model()
    getattr(whole, f"freeze_{part}")()
    before = copy.deepcopy(whole.state_dict())
    optimizer = torch.optim.SGD([parameter for parameter in whole.parameters() if parameter.requires_grad], lr=0.1)
    whole.train()
    for _ in range(2):
        optimizer.zero_grad()
        whole(torch.randn(4, 2, 32, 32)).output.square().mean().backward()
        optimizer.step()
    after = whole.state_dict()
    changed = {key.partition(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"encoder", "decoder", "head"} - {part}


def test_frozen_statistics_survive_every_switch_to_training():
    whole = model()
    whole.freeze_encoder()
    for _ in range(2):
        whole.train()
        assert not whole.encoder.training
        assert not whole.encoder.norm.training
        assert whole.decoder.norm.training
        assert whole.training
        whole.eval()
    assert not whole.decoder.training


def test_a_copy_of_a_model_with_frozen_parts_keeps_them_frozen():
    whole = model()
    whole.freeze_encoder()
    whole.freeze_decoder()
    copied = copy.deepcopy(whole).train()
    assert not copied.encoder.training
    assert not copied.decoder.training
    assert {name.partition(".")[0] for name, parameter in copied.named_parameters() if parameter.requires_grad} == {
        "head"
    }
    copied.encoder.train()
    assert not whole.encoder.training
