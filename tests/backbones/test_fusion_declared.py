"""Backbones side by side: what their weights have seen, which bands each reads, and what is refused."""

import pytest
import torch
from torch import nn

from geocompose.backbones.fusion.backbone import FusionBackbone, build_fusion
from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.configuration.weights import weight_files, without_weights
from geocompose.console import show_summary
from geocompose.cost.summary import summarize
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.band_choice import chosen_bands
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.part_bands import bands_of_parts, joined
from geocompose.imagery.pretraining import Pretraining
from tests.kit.fused import PRITHVI, RESNET, S1, S2, compose, fused
from tests.kit.small import Maps, Tokens, Vectors


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


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"s2": PRITHVI}, "Fusion joins two backbones or more; backbone.parts has s2"),
        ({"s2": PRITHVI, "s1": {**RESNET, "name": "timm_test_resnets"}}, "test_resnets"),
        ({"s2": PRITHVI, "s1": {**RESNET, "depht": 3}}, "depht"),
        (
            {"s2": PRITHVI, "s1": "timm_test_resnet"},
            r"backbone.parts.s1 must be an option .* \(backbone@backbone.parts.s1=resnet50\), or a mapping",
        ),
        (
            {"s2": PRITHVI, "s1": {"name": "timm_test_resnet"}},
            "backbone.parts.s1 has no bands: name them, or those of the whole image in backbone.bands",
        ),
        (
            {"s2": {**PRITHVI, "num_frames": 3}, "s1": RESNET},
            "take different numbers of frames: s2 3, s1 1. Give each num_frames=1, and let temporal=mean",
        ),
        ({"s2": PRITHVI, "s1": lambda bands: Vectors(in_chans=2)}, "backbone.parts.s1 has no bands"),
        ({"s.2": PRITHVI, "s1": RESNET}, "backbone.parts.s.2: a part's name is letters, digits and underscores"),
        ({"train": PRITHVI, "s1": RESNET}, "backbone.parts.train: a part's name .* not one that torch has"),
    ],
)
def test_parts_that_cannot_stand_side_by_side_are_refused(parts, message):
    with pytest.raises(UserError, match=message):
        build_fusion({name: dict(part) if isinstance(part, dict) else part for name, part in parts.items()})


def test_vectors_and_two_fixed_sizes_cannot_be_joined():
    with pytest.raises(UserError, match=r"backbone.parts.b: Vectors returns vectors, which have no grid"):
        FusionBackbone({"a": Tokens(), "b": Vectors(in_chans=2)})
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
        (
            {"s2": (1, 3, 32, 32), "sar": (1, 2, 32, 32)},
            "has no modality 'sar'. Did you mean|has no modality 'sar'. Allowed: s2, s1",
        ),
        (
            {"s2": (1, 3, 32, 32), "s1": (1, 3, 32, 32)},
            r"The modality 's1' of the backbone FusionBackbone has 2 bands, .*; got \(1, 3, 32, 32\)",
        ),
        (
            {"s2": (1, 3, 32, 32), "s1": (1, 2, 16, 16)},
            "All modalities must be on one grid; got s2 32 x 32, s1 16 x 16 pixels",
        ),
    ],
)
def test_images_that_are_not_the_modalities_of_a_model_are_refused(given, message):
    model = compose((32, 32))
    with pytest.raises(UserError, match=message):
        model({name: torch.zeros(shape) for name, shape in given.items()})
