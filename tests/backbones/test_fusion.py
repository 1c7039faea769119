"""Backbones side by side: whose bands go where, which features are joined, and what of the parts goes on working."""

import copy

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.fusion.backbone import FusionBackbone
from geocompose.backbones.fusion.levels import as_map, matched, onto_grid
from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError
from geocompose.peft.lora import Lora
from geocompose.peft.methods import Frozen
from tests.kit.fused import PRITHVI, RESNET, S1, S2, compose, fused, image
from tests.kit.small import Maps

# What goes where


def test_each_part_gets_its_own_bands_by_name_whatever_their_order_in_the_image():
    backbone = fused().eval()
    assert backbone.bands == [*S2, *S1]
    assert backbone.modalities == {"s2": S2, "s1": S1}
    picture = image(2, 5, 32, 48)
    shuffled = ["VH", "RED", "B2", "VV", "GREEN"]  # B2 is BLUE
    other = fused(bands=shuffled).eval()
    other.load_state_dict(backbone.state_dict())
    places = [[*S2, *S1].index({"B2": "BLUE"}.get(band, band)) for band in shuffled]
    for one, same in zip(backbone(picture), other(picture[:, places]), strict=True):
        assert torch.equal(one, same)
    for one, same in zip(backbone(picture), backbone({"s2": picture[:, :3], "s1": picture[:, 3:]}), strict=True):
        assert torch.equal(one, same)


def test_joined_features_are_those_of_the_parts_side_by_side_on_one_grid():
    backbone = fused().eval()
    picture = image(2, 5, 64, 96)
    tokens, maps = backbone.parts["s2"](picture[:, :3]), backbone.parts["s1"](picture[:, 3:])
    features = backbone(picture)
    assert [spec.stride for spec in backbone.feature_specs] == [2, 4, 8, 16, 32]
    assert [tuple(feature.shape) for feature in features] == [
        (2, spec.channels, 64 // spec.stride, 96 // spec.stride) for spec in backbone.feature_specs
    ]
    assert len(tokens) == 5  # of six layers, those that are joined
    for joint, layer, level in zip(features, tokens, maps, strict=True):
        grid = layer[:, 1:].transpose(1, 2).unflatten(2, (4, 6))
        assert torch.equal(joint[:, :48], onto_grid(grid, tuple(level.shape[-2:])))
        assert torch.equal(joint[:, 48:], level)


@pytest.mark.parametrize(
    ("specs", "leader", "places"),
    [
        ({"vit": [16] * 12, "cnn": [4, 8, 16, 32]}, "cnn", [(2, 0), (5, 1), (8, 2), (11, 3)]),
        ({"cnn": [2, 4, 8, 16, 32], "swin": [4, 8, 16, 32]}, "cnn", [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3)]),
        (
            {"small": [16] * 4, "large": [14] * 8},
            "large",
            [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4), (2, 5), (3, 6), (3, 7)],
        ),
        ({"coarse": [16] * 4, "fine": [14] * 4}, "fine", [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ({"one": [8, 16], "same": [8, 16]}, "one", [(0, 0), (1, 1)]),
        ({"dilated": [4, 8, 16, 16], "cnn": [4, 8, 16, 32]}, "cnn", [(0, 0), (1, 1), (3, 2), (3, 3)]),
        ({"image": [1], "vit": [16] * 2}, "vit", [(0, 0), (0, 1)]),
        ({"image": [1], "single": [16]}, "image", [(0, 0)]),
    ],
)
def test_levels_go_together_by_stride_and_layers_of_one_stride_evenly(specs, leader, places):
    levels = matched({name: [FeatureSpec(8, stride) for stride in strides] for name, strides in specs.items()})
    assert {level.leader for level in levels} == {leader}
    assert [level.stride for level in levels] == specs[leader]
    assert [tuple(level.places.values()) for level in levels] == places


def test_tokens_of_a_wide_image_and_of_several_frames_keep_their_places():
    rows, columns, frames, width = 2, 5, 3, 4
    cells = torch.arange(frames * rows * columns, dtype=torch.float32)
    tokens = torch.cat([torch.full((1, 2, width), -1.0), cells.view(1, -1, 1).expand(1, -1, width)], dim=1)
    maps = as_map(tokens, FeatureSpec(width, 14, "tokens", num_prefix_tokens=2, num_frames=frames), (28, 70))
    assert maps.shape == (1, frames * width, rows, columns)
    assert torch.equal(maps[0, ::width], cells.view(frames, rows, columns))
    with pytest.raises(UserError, match=r"30 tokens of .* form no grid of an image of 28 x 60 pixels"):
        as_map(tokens, FeatureSpec(width, 14, "tokens", num_prefix_tokens=2, num_frames=frames), (28, 60))


def test_finer_maps_are_averaged_onto_a_coarser_grid():
    maps = image(1, 2, 8, 12)
    assert torch.equal(onto_grid(maps, (4, 6)), nn.functional.avg_pool2d(maps, 2))
    assert onto_grid(maps, (8, 12)) is maps


# In a model


@pytest.mark.parametrize("decoder", ["FCNDecoder", "UperNetDecoder", "smp_Unet", "smp_DeepLabV3Plus"])
@pytest.mark.parametrize("size", [(40, 65), (1, 33)])
def test_a_transformer_beside_a_convolutional_network_works_with_any_decoder(decoder, size):
    model = compose(size, decoder)
    picture = image(2, 5, *size)
    output = model.eval()(picture).output
    assert output.shape == (2, 2, *size)
    assert torch.equal(model({"s2": picture[:, :3], "s1": picture[:, 3:]}).output, output)
    model.train()
    model(picture).output.square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    for part in ("s2", "s1"):
        assert any(p.grad is not None for p in model.encoder.parts[part].parameters())


def test_images_are_padded_to_whole_cells_of_every_part():
    parts = {"fine": {**PRITHVI, "patch_size": 14}, "coarse": dict(RESNET)}
    model = compose((50, 50), parts=parts)
    assert model.encoder.pad_multiple == 224  # 14 and 32
    assert model.pad_multiple % 224 == 0
    assert model(image(1, 5, 50, 50)).output.shape == (1, 2, 50, 50)


def test_two_transformers_give_as_many_layers_as_the_deeper_and_compute_nothing_that_is_not_selected():
    parts = {"a": dict(PRITHVI), "b": {**PRITHVI, "bands": S1, "depth": 8}}
    model = compose((32, 32), parts=parts)
    a, b = model.encoder.parts.a, model.encoder.parts.b
    assert b.out_indices == [1, 3, 5, 7]
    assert a.out_indices == [1, 2, 4, 5]
    assert model.encoder.out_indices == [1, 3, 5, 7]
    assert model.encoder.out_channels == [96] * 4
    assert model(image(1, 5, 32, 32)).output.shape == (1, 2, 32, 32)


def test_a_selection_of_levels_gives_the_same_features():
    backbone = fused().eval()
    picture = image(1, 5, 64, 64)
    with torch.no_grad():
        before = backbone(picture)
        backbone.select_layers([1, 3])
        after = backbone(picture)
    assert [torch.equal(one, before[level]) for one, level in zip(after, (1, 3), strict=True)] == [True, True]
    assert backbone.out_indices == [1, 3]
    assert len(backbone.feature_specs) == 2
    with pytest.raises(UserError, match=r"has levels \[1, 3\], each selectable once; got \[0\]"):
        backbone.select_layers([0])


def test_lora_adapts_each_part_as_its_family_is_adapted():
    model = compose(peft_config=Lora(r=2))
    adapted = {name for name, _ in model.encoder.named_parameters() if "lora_A" in name}
    assert any("parts.s2.blocks.0.attn.qkv.q_linear" in name for name in adapted)
    assert any("parts.s1" in name and "conv1" in name for name in adapted)
    assert all("lora" in name for name, p in model.encoder.named_parameters() if p.requires_grad)
    assert model(image(1, 5, 32, 48)).output.shape == (1, 2, 32, 48)
    through_time = TemporalBackbone(fused(), "mean")
    Lora(r=2).adapt(through_time)
    assert any("encoder.parts.s1" in name and "lora" in name for name, _ in through_time.named_parameters())


def test_a_frozen_fusion_does_not_learn_and_its_statistics_stand_still():
    model = compose(peft_config=Frozen())
    before = copy.deepcopy(model.encoder.state_dict())
    model.train()
    model(image(2, 5, 32, 48)).output.sum().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())


def test_coordinates_reach_the_parts_that_take_them():
    backbone = fused(parts={"s2": {**PRITHVI, "coords_encoding": ["time", "location"]}, "s1": dict(RESNET)}).eval()
    assert backbone.coords_encoding == ["time", "location"]
    picture, dates, places = image(1, 5, 32, 32), torch.tensor([[[2018.0, 26.0]]]), torch.tensor([[41.0, -5.8]])
    with_them, without = backbone(picture, dates, places), backbone(picture)
    assert not torch.allclose(with_them[0], without[0])
    assert torch.equal(with_them[0][:, 48:], without[0][:, 48:])


def test_a_time_series_goes_through_backbones_side_by_side():
    model = compose(
        (32, 32), backbone_use_temporal=True, backbone_temporal_pooling="attention", backbone_temporal_n_timestamps=3
    )
    series = image(2, 5, 3, 32, 32)
    output = model.eval()(series).output
    assert output.shape == (2, 2, 32, 32)
    torch.testing.assert_close(model({"s2": series[:, :3], "s1": series[:, 3:]}).output, output)
    with pytest.raises(UserError, match=r"All modalities have as many samples and time steps; got s2 .*, s1 "):
        model({"s2": series[:, :3], "s1": series[:, 3:, :2]})


class TwoSensors(nn.Module):
    modalities = {"optical": ["RED", "NIR_NARROW"], "sar": ["VV"]}
    out_channels = [4]

    def __init__(self) -> None:
        super().__init__()
        self.optical = nn.Conv2d(2, 4, 4, 4)

    def forward(self, image: dict[str, Tensor]) -> list[Tensor]:
        return [self.optical(image["optical"]) + image["sar"].mean()]


def test_a_part_of_several_modalities_is_given_each_by_its_name():
    backbone = FusionBackbone({"two": TwoSensors(), "one": Maps([8], [4])})
    assert backbone.modalities["two"] == ["RED", "NIR_NARROW", "VV"]
    picture = image(1, 6, 32, 32)
    (joint,) = backbone(picture)
    (alone,) = backbone.parts["two"]({"optical": picture[:, :2], "sar": picture[:, 2:3]})
    assert torch.equal(joint[:, :4], alone)


def test_a_fusion_is_copied_and_exported():
    model = compose((32, 32)).eval()
    picture = image(1, 5, 32, 32)
    before = model(picture).output
    assert torch.equal(copy.deepcopy(model)(picture).output, before)
    torch.testing.assert_close(
        torch.export.export(model, (picture,)).module()(picture).output, before, atol=1e-5, rtol=1e-5
    )
