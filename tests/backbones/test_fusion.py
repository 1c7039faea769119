"""Backbones side by side: whose bands go where, which features are joined, and what of the parts goes on working."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.fusion.backbone import FusionBackbone, build_fusion
from geocompose.backbones.fusion.levels import as_map, matched, onto_grid
from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.configuration.weights import weight_files, without_weights
from geocompose.console import show_summary
from geocompose.contracts.features import FeatureSpec
from geocompose.cost.summary import summarize
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.band_choice import chosen_bands
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.part_bands import bands_of_parts, joined
from geocompose.imagery.pretraining import Pretraining
from geocompose.peft.methods import Frozen, Lora
from tests.kit.small import Maps, Tokens

S2, S1 = ["BLUE", "GREEN", "RED"], ["VV", "VH"]
PRITHVI: dict[str, Any] = {
    "name": "prithvi_eo_v2_300",
    "embed_dim": 48,
    "depth": 6,
    "num_heads": 4,
    "img_size": 32,
    "bands": S2,
}
RESNET: dict[str, Any] = {"name": "timm_test_resnet", "bands": S1}


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fused(**changes: Any) -> FusionBackbone:
    torch.manual_seed(0)
    return build_fusion(**{"parts": {"s2": dict(PRITHVI), "s1": dict(RESNET)}, **changes})


def compose(size: tuple[int, int] = (32, 48), decoder: str = "UperNetDecoder", parts: Any = None, **more: Any) -> Any:
    torch.manual_seed(0)
    factory = EncoderDecoderFactory(size)
    backbone_kwargs = {"parts": parts or {"s2": dict(PRITHVI), "s1": dict(RESNET)}}
    return factory.build_model(
        "segmentation", "fusion", decoder, backbone_kwargs=backbone_kwargs, num_classes=2, necks="auto", **more
    )


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


# What is declared


class Pretrained(Maps):
    """A backbone whose weights say what they have seen."""

    def __init__(self, bands: list[str], unit: str | None, numbers: float | None) -> None:
        super().__init__([8, 8], [4, 8])
        self.levels = nn.ModuleList(nn.Conv2d(len(bands), 8, stride, stride) for stride in (4, 8))
        self.bands, self.in_chans = bands, len(bands)
        values = None if numbers is None else tuple(numbers + i for i in range(len(bands)))
        self.pretraining = Pretraining(tuple(bands), unit, None, values, values)
        self.weights = {"source": f"{bands[0]}.pt", "sha256": "0"}


def test_what_the_parts_weights_have_seen_is_told_together_and_apart():
    optical, radar = Pretrained(S2, "reflectance_1e4", 10.0), Pretrained(S1, "db", -20.0)
    both = FusionBackbone({"s2": optical, "s1": radar})
    assert both.pretraining == Pretraining((*S2, *S1), None, None, (10, 11, 12, -20, -19), (10, 11, 12, -20, -19))
    assert both.weights == {"s2.source": "BLUE.pt", "s2.sha256": "0", "s1.source": "VV.pt", "s1.sha256": "0"}
    assert [bands for _, bands in both.readers] == [S2, S1]
    random = FusionBackbone({"s2": optical, "other": Maps([8], [4])})
    assert random.pretraining == optical.pretraining
    assert random.bands == [*S2, "other_0", "other_1", "other_2"]
    assert fused().pretraining is None
    assert fused().weights is None
    assert TemporalBackbone(both, "mean").readers == both.readers


def test_bands_that_no_part_names_go_to_the_parts_without_bands():
    available = [*S2, "NIR_NARROW", *S1]
    assert bands_of_parts({"s2": {}, "s1": {"bands": S1}}, available) == {"s2": [*S2, "NIR_NARROW"], "s1": S1}
    assert bands_of_parts({"a": {}, "b": {}}, available) == {"a": available, "b": available}
    trained = {"s2": {"bands": None, "pretrained_bands": S2}, "s1": {"bands": ["vv"]}}
    found = bands_of_parts(trained, available)
    assert found == {"s2": S2, "s1": ["vv"]}
    assert joined(found) == [*S2, "vv"]
    assert bands_of_parts(trained, joined(found)) == found
    assert joined({"a": ["B2", "RED"], "b": ["BLUE", "VV"]}) == ["B2", "RED", "VV"]


SENTINEL_2 = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]
DEFAULT = {"s2": {"bands": None, "pretrained_bands": [*HLS_BANDS]}, "s1": {"bands": None}}


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        ([*SENTINEL_2, *S1], S1),  # radar beside optical, whatever else the optical image has
        ([*SENTINEL_2, *S1, "DEM"], [*S1, "DEM"]),
        ([*HLS_BANDS, *S1], S1),
        (SENTINEL_2, ["B1", "B5", "B6", "B7", "B8", "B9", "B10"]),
        ([*HLS_BANDS], [*HLS_BANDS]),  # two views of one image
    ],
)
def test_a_part_without_bands_reads_those_of_sensors_that_no_other_part_reads(available, chosen):
    found = bands_of_parts(DEFAULT, available, other_sensors=True)
    assert found == {"s2": [*HLS_BANDS], "s1": chosen}
    assert bands_of_parts(DEFAULT, joined(found)) == found


def test_bands_that_the_data_was_told_to_read_are_all_read_by_a_part():
    # Else those named would be left out without a word.
    found = bands_of_parts(DEFAULT, [*SENTINEL_2, *S1])
    assert found["s1"] == ["B1", "B5", "B6", "B7", "B8", "B9", "B10", *S1]
    config = {"data": {"bands": [*SENTINEL_2, *S1]}, "backbone": {"bands": None, "parts": DEFAULT}}
    assert chosen_bands(config, [*SENTINEL_2, *S1]) == [*SENTINEL_2, *S1]
    config["data"]["bands"] = None
    assert chosen_bands(config, [*SENTINEL_2, *S1]) == [*HLS_BANDS, *S1]


def test_which_part_reads_which_bands_is_said_once(caplog):
    with caplog.at_level("INFO", logger="geocompose"):
        factory = EncoderDecoderFactory((32, 32))
        parts = {"s2": dict(PRITHVI), "s1": dict(RESNET)}
        factory.build_model(
            "segmentation", "fusion", "FCNDecoder", backbone_kwargs={"parts": parts}, num_classes=2, necks="auto"
        )
    said = [record.getMessage() for record in caplog.records if "reads" in record.getMessage()]
    assert said == [
        "The part s2 of the backbone reads BLUE, GREEN, RED.",
        "The part s1 of the backbone reads VV, VH.",
    ]


def test_the_summary_names_the_images_that_a_fusion_takes(capsys):
    model = compose()
    show_summary(summarize(model, image_size=(64, 64)), [])
    printed = capsys.readouterr().out
    assert "s2 3x64x64" in printed
    assert "s1 2x64x64" in printed


def test_files_of_weights_are_found_in_parts_and_left_out_when_a_run_brings_its_own():
    node = {
        "_target_": "x",
        "ckpt_path": None,
        "parts": {"s2": {"ckpt_path": "a.pt", "pretrained": False}, "s1": {"pretrained": True}},
    }
    assert weight_files(node) == {"backbone.parts.s2.ckpt_path": "a.pt"}
    assert without_weights(node)["parts"] == {
        "s2": {"ckpt_path": None, "pretrained": False},
        "s1": {"pretrained": False},
    }
    assert weight_files({"ckpt_path": "b.pt"}) == {"backbone.ckpt_path": "b.pt"}


# What can't be


class Vectors(nn.Module):
    in_chans, out_channels = 2, [8]

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 4, 4)

    def forward(self, picture: Tensor) -> list[Tensor]:
        return [self.conv(picture).mean(dim=(2, 3))]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"s2": PRITHVI}, "Fusion joins two backbones or more; backbone.parts has s2"),
        ({"s2": PRITHVI, "s1": {**RESNET, "name": "timm_test_resnets"}}, "test_resnets"),
        ({"s2": PRITHVI, "s1": {**RESNET, "depht": 3}}, "depht"),
        ({"s2": PRITHVI, "s1": "timm_test_resnet"}, r"backbone.parts.s1 is an option of the group backbone \(backbone@backbone.parts.s1=resnet50\), or a mapping"),
        ({"s2": PRITHVI, "s1": {"name": "timm_test_resnet"}}, "backbone.parts.s1 has no bands: name them, or those of the whole image in backbone.bands"),
        ({"s2": {**PRITHVI, "num_frames": 3}, "s1": RESNET}, "take different numbers of frames: s2 3, s1 1. Give each num_frames=1, and let temporal=mean"),
        ({"s2": PRITHVI, "s1": lambda bands: Vectors()}, "backbone.parts.s1 has no bands"),
        ({"s.2": PRITHVI, "s1": RESNET}, "backbone.parts.s.2: a part's name is letters, digits and underscores"),
        ({"train": PRITHVI, "s1": RESNET}, "backbone.parts.train: a part's name .* not one that torch has"),
    ],
)  # fmt: skip
def test_parts_that_cannot_stand_side_by_side_are_refused(parts, message):
    with pytest.raises(UserError, match=message):
        build_fusion({name: dict(part) if isinstance(part, dict) else part for name, part in parts.items()})


def test_vectors_and_two_fixed_sizes_cannot_be_joined():
    with pytest.raises(UserError, match=r"backbone.parts.b: Vectors returns vectors, which have no grid"):
        FusionBackbone({"a": Tokens(), "b": Vectors()})
    one, other = Tokens(), Tokens()
    one.fixed_size = other.fixed_size = True
    one.img_size, other.img_size = 224, (256, 256)
    with pytest.raises(UserError, match="of one size only, and not the same: a 224 x 224, b 256 x 256 pixels"):
        FusionBackbone({"a": one, "b": other})
    other.img_size = 224
    assert FusionBackbone({"a": one, "b": other}).img_size == (224, 224)


def test_a_part_whose_bands_are_not_there_or_all_taken_is_refused():
    with pytest.raises(UserError, match=r"backbone.parts.s1.bands: the image has no band 'VX'. It has: BLUE"):
        bands_of_parts({"s2": {}, "s1": {"bands": ["VX"]}}, [*S2, *S1])
    with pytest.raises(UserError, match=r"No band is left for backbone.parts.s2: the other parts name all of VV, VH"):
        bands_of_parts({"s2": {}, "s1": {"bands": S1}}, S1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"s2": (1, 3, 32, 32)}, "takes the modalities s2, s1; 's1' is missing among s2"),
        ({"s2": (1, 3, 32, 32), "sar": (1, 2, 32, 32)}, "has no modality 'sar'. Did you mean|has no modality 'sar'. Allowed: s2, s1"),
        ({"s2": (1, 3, 32, 32), "s1": (1, 3, 32, 32)}, r"The modality 's1' of the backbone FusionBackbone has 2 bands, .*; got \(1, 3, 32, 32\)"),
        ({"s2": (1, 3, 32, 32), "s1": (1, 2, 16, 16)}, "All modalities are on one grid; got s2 32 x 32, s1 16 x 16 pixels"),
    ],
)  # fmt: skip
def test_images_that_are_not_the_modalities_of_a_model_are_refused(given, message):
    model = compose((32, 32))
    with pytest.raises(UserError, match=message):
        model({name: torch.zeros(shape) for name, shape in given.items()})
