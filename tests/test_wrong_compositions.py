"""Compositions that can't work, each answered when it is built: which part, where it is written, what it got, what to write."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from torch import Tensor, nn

from geocompose.actions.early import check_early
from geocompose.catalog.optional import installed
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import diagnose, groups
from geocompose.contracts.features import FeatureSpec
from geocompose.decoders.mmseg.decoder import MmsegDecoder
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.units import Values
from geocompose.wiring import Plan
from tests.kit.command import run
from tests.kit.data_rasters import image, label, write
from tests.kit.places import CONF
from tests.kit.small import Maps, Tokens


def compose(
    backbone: str | nn.Module | Callable[..., nn.Module],
    decoder: str | nn.Module | Callable[..., nn.Module],
    necks: Any = "auto",
    **more: Any,
) -> Plan:
    """Return the plan of a composition for images of 64 x 64 pixels."""
    factory = EncoderDecoderFactory((64, 64))
    factory.build_model("segmentation", backbone, decoder, num_classes=3, necks=necks, **more)
    assert factory.plan is not None
    return factory.plan


# Lists of necks, written by hand

LAYERS = {"name": "SelectIndices", "indices": [0, 1, 2, 3]}
TO_MAPS = {"name": "ReshapeTokensToImage"}
PYRAMID = {"name": "LearnedInterpolateToPyramidal"}

AUTO = r"Or use neck=auto\."
LISTS: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "tokens left before a decoder of convolutions": (
        "UNetDecoder", [LAYERS],
        r"UNetDecoder reads maps \(B, channels, rows, columns\), but gets: 16 ch, 1/16, tokens \(4 times\)\. Add to the end of "
        rf"neck\.necks: \{{name: ReshapeTokensToImage\}}, \{{name: LearnedInterpolateToPyramidal\}}\. {AUTO}",
    ),
    "tokens left before a neck of convolutions": (
        "UNetDecoder", [LAYERS, PYRAMID],
        r"neck\.necks\[1\] \(LearnedInterpolateToPyramidal\) can't read what it gets: 16 ch, 1/16, tokens \(4 times\)\. Tokens are no "
        r"maps yet: write \{name: ReshapeTokensToImage\} before it, or use neck=auto\.",
    ),
    "all levels at stride 16 before a UPerNet": (
        "UperNetDecoder", [LAYERS, TO_MAPS],
        r"UperNetDecoder needs a pyramid, finest level first, but gets levels at strides \[16, 16, 16, 16\]: it would run at the "
        rf"wrong scale\. Add to the end of neck\.necks: \{{name: LearnedInterpolateToPyramidal\}}\. {AUTO}",
    ),
    "all levels at stride 16 behind a level to skip": (
        "smp_Unet", [TO_MAPS, {"name": "AddInputLevel"}],
        r"strides \[1, 16, 16, 16, 16\] \(it skips the first\).* Add before AddInputLevel in neck\.necks: \{name: Learned",
    ),
    "indices beyond the depth": (
        "UNetDecoder", [{"name": "SelectIndices", "indices": [2, 5, 8, 11]}, TO_MAPS, PYRAMID],
        r"neck\.necks\[0\] \(SelectIndices\): there are 4 features, so indices go from 0 to 3 \(or -4 to -1\); got \[2, 5, 8, 11\]\. "
        r"Write for example \[0, 1, 2, 3\]\.",
    ),
    "a pyramid of three for a decoder of four": (
        "smp_FPN", [{"name": "SelectIndices", "indices": [0, 1, 3]}, TO_MAPS, PYRAMID],
        r"smp_FPN needs 4 features or more, but gets 3: 8 ch, 1/8, NCHW; 16 ch, 1/16, NCHW; 16 ch, 1/32, NCHW\. Add to the end of "
        rf"neck\.necks: \{{name: SelectIndices, indices: \[0, 0, 1, 2\]\}}, \{{name: Learned.* {AUTO}",
    ),
    "an unknown name": (
        "UNetDecoder", [LAYERS, {"name": "ReshapeTokensToImages"}, PYRAMID],
        r"neck\.necks\[1\] \(ReshapeTokensToImages\): There is no neck 'ReshapeTokensToImages'\. Did you mean 'ReshapeTokensToImage'\? "
        r"Allowed: .*SelectIndices",
    ),
    "an argument of another neck": (
        "UNetDecoder", [LAYERS, TO_MAPS, {"name": "MaxpoolToPyramidal", "scale_factor": 2}],
        r"neck\.necks\[2\] \(MaxpoolToPyramidal\) takes no argument 'scale_factor'",
    ),
    "a class token kept": (
        "UNetDecoder", [LAYERS, {**TO_MAPS, "remove_cls_token": False}, PYRAMID],
        r"neck\.necks\[1\] \(ReshapeTokensToImage\): .* tokens in 1 frame.* Write \{name: ReshapeTokensToImage\} instead\.",
    ),
    "maps turned as if their channels were last": (
        "UNetDecoder", [TO_MAPS, {"name": "PermuteDims", "new_order": [0, 3, 1, 2]}],
        r"neck\.necks\[1\] \(PermuteDims\) makes of 16 ch, 1/16, NCHW \(4 times\) what no decoder reads.* Leave it out",
    ),
    "a pyramid of a pyramid": (
        "UNetDecoder", [TO_MAPS, PYRAMID, {"name": "MaxpoolToPyramidal"}],
        r"neck\.necks\[2\] \(MaxpoolToPyramidal\) makes a pyramid of maps of one resolution; these have 4, so they are one already\. Leave it",
    ),
    "the coarsest level first": (
        "UperNetDecoder", [TO_MAPS, PYRAMID, {"name": "SelectIndices", "indices": [3, 2, 1, 0]}],
        r"strides \[32, 16, 8, 4\].* Add to the end of neck\.necks: \{name: SelectIndices, indices: \[3, 2, 1, 0\]\}",
    ),
    "vectors for a decoder of maps": (
        "FCNDecoder", [{"name": "AggregateTokens"}],
        r"FCNDecoder reads maps .*, but gets: 16 ch, vector\. Vectors have no rows and columns: leave AggregateTokens out",
    ),
    "a width that cannot be divided": (
        "smp_PSPNet", [TO_MAPS, {"name": "ProjectChannels", "channels": 6}],
        rf"smp_PSPNet needs features of 4 channels or more in multiples of 4, but gets \[6\]\. Add .*ProjectChannels, channels: 8\}}\. {AUTO}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
def test_a_wrong_list_of_necks_is_answered_with_the_neck_and_what_to_write(case):
    decoder, necks, message = LISTS[case]
    with pytest.raises(UserError, match=message):
        compose(Tokens(), decoder, necks)


def test_the_advice_for_a_wrong_list_is_a_right_list():
    """What the messages above say to add, added."""
    added = {"name": "SelectIndices", "indices": [0, 0, 1, 2]}, {**PYRAMID, "exponents": [1, 0, 0, 0]}
    assert compose(Tokens(), "UNetDecoder", [LAYERS, TO_MAPS, PYRAMID]).decoder_features[0].stride == 4
    plan = compose(Tokens(), "smp_FPN", [{"name": "SelectIndices", "indices": [0, 1, 3]}, TO_MAPS, PYRAMID, *added])
    assert [spec.stride for spec in plan.decoder_features] == [4, 8, 16, 32]


def test_without_necks_the_advice_begins_with_what_was_there():
    """Prithvi's tokens become maps without necks, but not with a list."""
    with pytest.raises(
        UserError,
        match=r"Use neck=auto, or neck=list 'neck\.necks=\[\{name: ReshapeTokensToImage\}, \{name: SelectIndices, indices: "
        r"\[2, 5, 8, 11\]\}, \{name: LearnedInterpolateToPyramidal\}\]'",
    ):
        compose("prithvi_eo_v2_tiny_tl", "UperNetDecoder", None)


# Decoders of somebody's own


class NoWidths(nn.Module):
    def forward(self, features: list[Tensor]) -> Tensor:
        return features[-1]


class Silent(nn.Module):
    """Somebody's decoder that takes the widths and says nothing of itself."""

    def __init__(self, channel_list: list[int]) -> None:
        super().__init__()

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[-1]


class Boastful(Silent):
    out_channels = 99


class Joining(Silent):
    """It reads a pyramid of two and doesn't say so."""

    out_channels = 16

    def forward(self, features: list[Tensor]) -> Tensor:
        fine, coarse = features[:2]
        return fine + nn.functional.interpolate(coarse, scale_factor=2.0)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (NoWidths, r"constructor of the decoder NoWidths has to take the list of its features' widths first, such as __init__\(self, channel_list"),
        (Silent, r"The decoder Silent has no out_channels: the width of its output, an int\. Set it in its constructor, such as self\.out_channels = 64"),
        (Boastful, r"The decoder Boastful says out_channels=99 and returns 16 channels"),
        (Joining, r"Joining can't read these features: 16 ch, 1/16, NCHW \(4 times\)\. It stopped with: .* It declares nothing of what it reads.*needs = Needs\(levels=2, pyramid=True\)"),
    ],
)  # fmt: skip
def test_a_decoder_class_that_declares_nothing_is_told_what_is_missing(decoder, message):
    with pytest.raises(UserError, match=message):
        compose(Tokens(), decoder)


# What neck=auto can't do, it doesn't send back to neck=auto


class Vectors(nn.Module):
    """A backbone that returns one pooled vector an image."""

    out_channels = [8]
    in_chans = 3

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.layer(image).mean(dim=(2, 3))]


@pytest.mark.parametrize("decoder", ["UNetDecoder", "IdentityDecoder", "MLPDecoder", "smp_Unet"])
def test_vectors_for_a_map_are_refused_with_what_reads_them(decoder):
    with pytest.raises(
        UserError,
        match=r"but gets: 8 ch, vector\. No neck makes maps of vectors.*task=classification, decoder=identity",
    ) as refusal:
        compose(Vectors(), decoder)
    assert "neck=auto" not in str(refusal.value)


def test_an_auxiliary_decoder_that_needs_other_necks_than_the_main_one_is_told_so():
    with pytest.raises(
        UserError, match=r"UperNetDecoder needs a pyramid.* neck=auto plans for the main decoder, FCNDecoder"
    ):
        compose(Tokens(), "FCNDecoder", aux_decoders=[{"name": "a", "decoder": "UperNetDecoder"}])


IN = {"name": "AddInputLevel"}


class PlacesAndVector(nn.Module):
    """Somebody's backbone of two maps and the vector of a classifier."""

    in_chans, out_channels = 3, [8, 16, 4]

    def __init__(self) -> None:
        super().__init__()
        self.maps = Maps([8, 16], [8, 16])
        self.last = nn.Linear(16, 4)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine, coarse = self.maps(image)
        return [fine, coarse, self.last(coarse.mean(dim=(2, 3)))]


@pytest.mark.parametrize(
    ("backbone", "decoder", "necks"),
    [
        (Tokens, "UperNetDecoder", [TO_MAPS, IN]),  # it would read the level that only others skip
        (Tokens, "FCNDecoder", [{"name": "SelectIndices", "indices": [0]}, IN]),
        (Tokens, "smp_PAN", [TO_MAPS, IN]),  # it skips two
        (Tokens, "smp_DPT", [TO_MAPS, IN]),
        (Tokens, "smp_DeepLabV3Plus", [TO_MAPS, PYRAMID, IN, IN]),
        (Tokens, "MLPDecoder", None),  # a head finds no pixels in tokens
        (Tokens, "IdentityDecoder", [{"name": "SelectIndices", "indices": [-1]}]),
        (PlacesAndVector, "FCNDecoder", None),
        (PlacesAndVector, "UperNetDecoder", []),
    ],
)
def test_the_list_that_a_refusal_writes_works(backbone, decoder, necks):
    with pytest.raises(UserError) as refusal:
        compose(backbone(), decoder, necks=necks)
    said = str(refusal.value)
    whole = re.search(r"'neck\.necks=(\[.*\])'", said)
    more = re.search(r"Add (to the end of|before AddInputLevel in) neck\.necks: (.*)\. Or use", said)
    assert whole or more, said
    if whole:
        written = yaml.safe_load(whole.group(1))
    else:
        place = (necks or []).index(IN) if more.group(1).startswith("before") else len(necks or [])
        written = [*(necks or [])]
        written[place:place] = yaml.safe_load(f"[{more.group(2)}]")
    compose(backbone(), decoder, necks=written)


def test_maps_and_tokens_are_not_joined_by_a_perceptron():
    with pytest.raises(UserError, match=r"MLPDecoder joins features of one kind.*Use neck=auto"):
        EncoderDecoderFactory((64, 64)).trial(
            "classification",
            Tokens(),
            "MLPDecoder",
            num_classes=3,
            necks=[{"name": "SelectIndices", "indices": [0]}, IN],
        )


# Decoders of other sources


def test_an_mmseg_head_without_its_arguments_names_them():
    with pytest.raises(
        UserError,
        match=r"mmseg's DAHead can't be built without decoder\.kwargs\.channels, decoder\.kwargs\.pam_channels\. Write for "
        r"example decoder\.kwargs\.channels=256 decoder\.kwargs\.pam_channels=64; build_model takes decoder_channels",
    ):
        compose(Tokens(), partial(MmsegDecoder, name="DAHead"))


# Backbones of somebody's own, and several modalities


class OwnBackbone(nn.Module):
    """Somebody's backbone of one convolution; `made` turns its map into what forward returns."""

    in_chans = 3

    def __init__(self, made: Callable[[Tensor], Any], **attributes: Any) -> None:
        super().__init__()
        self.conv, self.made = nn.Conv2d(3, 8, 4, 4), made
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, image: Tensor) -> Any:
        return self.made(self.conv(image))


def listed(maps: Tensor) -> list[Tensor]:
    return [maps]


def as_a_dict(maps: Tensor) -> dict[str, Tensor]:
    return {"res4": maps, "res5": maps}


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (OwnBackbone(listed), r"The backbone OwnBackbone has no out_channels: give it a list of its features' widths, such as \[64, 128"),
        (OwnBackbone(listed, out_channels=8), "The backbone OwnBackbone has out_channels=8: give it a list of its features' widths"),
        (OwnBackbone(listed, out_channels=["8"]), r"has out_channels=\['8'\]: give it a list"),
        (OwnBackbone(as_a_dict, out_channels=[8, 8]), r"returns a dict with the keys 'res4', 'res5'; .* Return such a list, for example \[features\['res4'\], features\['res5'\]\]"),
        (OwnBackbone(lambda maps: maps, out_channels=[8]), r"returns one tensor of shape \(1, 8, 16, 16\); .* Return \[features\] and set out_channels"),
        (OwnBackbone(lambda maps: [maps, None], out_channels=[8, 8]), "returns list of Tensor, NoneType; a backbone returns a list of tensors"),
        (OwnBackbone(listed, out_channels=[8, 8]), r"declares 2 features \(\[8, 8\]\) and returns 1"),
        (OwnBackbone(listed, out_channels=[16]), r"returns a feature of shape \(1, 8, 16, 16\) for an image of 64 x 64 pixels, declared 16 wide \(out_channels\): as a map it is 8 wide\. Set out_channels=\[8\]\."),
        (OwnBackbone(listed, out_channels=[8], in_chans=4), r"can't take an image of 4 channels and 64 x 64 pixels, of shape \(1, 4, 64, 64\); .* It says in_chans=4; if that is wrong, fix in_chans"),
        (OwnBackbone(lambda maps: [maps] if maps.sum().item() > 0 else [], out_channels=[8]), r"tried without numbers, so its forward can't ask for any \(item\(\)"),
        (OwnBackbone(listed, out_channels=[8], feature_specs=[FeatureSpec(16, 4)]), r"declares its feature 0 \(feature_specs\) as 16 ch, 1/4, NCHW, which is \(16, 16, 16\) beside the batch for 64 x 64 pixels, but returns \(8, 16, 16\). Fix feature_specs"),
        (OwnBackbone(listed, out_channels=[8], feature_specs=[FeatureSpec(8, 8)]), r"as 8 ch, 1/8, NCHW, which is \(8, 8, 8\) .* but returns \(8, 16, 16\)"),
        (OwnBackbone(listed, out_channels=[8], feature_specs=[FeatureSpec(8, 4), FeatureSpec(8, 8)]), r"declares 2 features \(feature_specs\) and returns 1"),
        (OwnBackbone(as_a_dict, out_channels=[8], feature_specs=[FeatureSpec(8, 4)]), "returns a dict with the keys 'res4', 'res5'"),
        (OwnBackbone(listed, out_channels=[8], feature_specs="NCHW"), "has feature_specs='NCHW'; they are a list of FeatureSpec"),
    ],
)  # fmt: skip
def test_a_backbone_of_ones_own_that_says_too_little_or_something_else_is_told_what_is_missing(backbone, message):
    with pytest.raises(UserError, match=message):
        compose(backbone, "FCNDecoder")


def test_a_backbone_that_says_only_its_widths_is_understood():
    assert compose(OwnBackbone(listed, out_channels=[8], in_chans=None), "FCNDecoder").backbone_features == [
        FeatureSpec(8, 4)
    ]


class SecondConvolution(nn.Module):
    """A backbone whose first convolution isn't the one that is given the image."""

    out_channels = [8]

    def __init__(self) -> None:
        super().__init__()
        self.later, self.stem = nn.Conv2d(16, 8, 1), nn.Conv2d(3, 16, 4, 4)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.later(self.stem(image))]


def test_a_backbone_whose_first_convolution_is_not_the_image_s_is_asked_for_in_chans():
    message = "can't take an image of 16 channels .* Its first convolution has 16 channels; if its image has others, say so by an attribute in_chans"
    with pytest.raises(UserError, match=message):
        compose(SecondConvolution(), "FCNDecoder")
    told = SecondConvolution()
    told.in_chans = 3
    assert compose(told, "FCNDecoder").backbone_features == [FeatureSpec(8, 4)]


def test_two_modalities_for_one_backbone_are_refused_by_their_bands():
    modalities = {"S2": ["RED", "NIR_NARROW"], "S1": ["VV", "VH"]}
    for name in ("timm_test_resnet", "prithvi_eo_v2_tiny_tl"):
        with pytest.raises(
            UserError,
            match=r"is the list of bands of one image, but names several modalities: S2, S1. .* backbone=fusion",
        ):
            compose(name, "FCNDecoder", backbone_bands=modalities)


RADAR = "data.more_images=[{images: '*_s1.tif', band_names: [VV, VH], nodata: nan}]"


@pytest.mark.parametrize("action", ["fit", "explain"])
def test_a_raster_of_which_one_backbone_would_read_no_band_is_refused(tmp_path, monkeypatch, action):
    command = [f"action={action}", *two_modalities(tmp_path), RADAR]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError,
        match=r"data\.more_images\[0\] has the bands VV, VH, and the backbone would read none of them: data\.bands is null, so that it "
        r"reads what it was trained on, BLUE, .*Write 'data\.bands=\[BLUE,GREEN,RED,NIR_NARROW,SWIR_1,SWIR_2,VV,VH\]'.* or write "
        r"backbone=fusion .*, or leave data\.more_images\[0\] out",
    ) as refused:
        run(*command)
    assert refused.value.__notes__ == ["at backbone=prithvi"]


@pytest.mark.parametrize(
    "change", ["data.bands=[BLUE,GREEN,RED,NIR_NARROW,SWIR_1,SWIR_2,VV,VH]", "data.bands=[RED]", "backbone=resnet18", "backbone=fusion"]
)  # fmt: skip
def test_the_bands_of_two_modalities_that_the_refusal_advises_fit(tmp_path, capsys, change):
    run("action=explain", *two_modalities(tmp_path), RADAR, change)
    assert ("VV, VH" in capsys.readouterr().out) == (change != "data.bands=[RED]")  # chosen by name


def two_modalities(folder: Path) -> list[str]:
    """Write optical and radar images with labels, and return the overrides that read the former."""
    for seed, name in enumerate("abc"):
        write(folder / f"{name}.tif", image(seed, bands=6), HLS_BANDS)
        write(folder / f"{name}_s1.tif", image(seed, bands=2))
        write(folder / f"{name}_lab.tif", label(seed))
    shape = ["decoder=fcn", "data.tile_px=32", "data.batch_size=2", "data.baselines=[]", "data.label_nodata=255"]
    files = [
        "data=geotiff",
        f"data.root={folder}",
        "data.images=*.tif",
        "data.labels=*_lab.tif",
        "data.class_names=[a,b]",
    ]
    return [*shape, *files]


def test_two_modalities_for_a_model_of_one_image_are_refused():
    model = EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", "timm_test_resnet", "FCNDecoder", num_classes=3, necks="auto", backbone_bands=["RED", "VV"]
    )
    message = r"takes one image \(B, 2, rows, columns\) \(RED, VV\); got several: optical, sar. Stack their bands .*, or .* backbone=fusion"
    with pytest.raises(UserError, match=message):
        model({"optical": torch.zeros(1, 1, 64, 64), "sar": torch.zeros(1, 1, 64, 64)})


# Frames


@pytest.mark.parametrize(
    ("backbone", "frames", "message"),
    [
        (
            "timm_test_resnet",
            3,
            r"timm_test_resnet takes one frame an image; the data has 3 \(data\.num_frames=3\)\. Write .*temporal=mean, which gives it "
            "one at a time",
        ),
        (
            "prithvi_eo_tiny",
            3,
            r"takes 2 frames an image; the data has 3 \(data\.num_frames=3\)\. Write backbone\.num_frames=3, or "
            r"backbone\.num_frames=1 temporal=mean, which gives it one at a time",
        ),
        ("prithvi_eo_tiny", 1, r"takes 2 frames an image; the data has one\. Write backbone\.num_frames=1\."),
    ],
)
def test_a_frame_too_many_is_refused_with_the_number_to_write(backbone, frames, message):
    own = {"backbone_num_frames": 2} if backbone == "prithvi_eo_tiny" else {}
    factory = EncoderDecoderFactory((64, 64), num_frames=frames)
    with pytest.raises(UserError, match=message):
        factory.build_model("segmentation", backbone, "FCNDecoder", num_classes=2, necks="auto", **own)


# Weights of torchgeo


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("SENTINEL2_ALL_MOCCO", r"backbone.weights=SENTINEL2_ALL_MOCCO: torchgeo has no such weights for resnet50. Did you mean "
         r"'SENTINEL2_ALL_MOCO'\? Allowed: FMOW_RGB_GASSL, LANDSAT_TM_TOA_MOCO"),
        ("ResNet50_Weights.SENTINEL2_ALL_MOCCO", "Did you mean 'SENTINEL2_ALL_MOCO'"),
        ("ResNet18_Weights.SENTINEL2_ALL_MOCO", "the weights of resnet50 are those of ResNet50_Weights. Did you mean"),
    ],
)  # fmt: skip
@pytest.mark.optional
@pytest.mark.skipif(not installed("torchgeo"), reason="pip install -r requirements-torchgeo.txt")
def test_a_misspelt_name_of_torchgeos_weights_is_answered_with_the_nearest_and_the_list(weights, message):
    with pytest.raises(UserError, match=message):
        compose("torchgeo_resnet50", "FCNDecoder", backbone_weights=weights, backbone_bands=["RED", "GREEN", "BLUE"])


# Data that pretrained weights have not seen


@pytest.mark.parametrize(
    ("overrides", "bands", "message"),
    [
        (
            ["data=sen1floods11", "data.root=.", "data.level=BOA"],
            ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"],
            r"band: they have no B1, B5, B6, B7, B8, B9, B10; they have BLUE, GREEN, RED, NIR_NARROW, SWIR_1, SWIR_2\. .*"
            r"Write 'data\.bands=\[B2,B3,B4,B8A,B11,B12\]'.*'data\.allow_mismatch=\[band\]'",
        ),
        (
            ["data=sen1floods11", "data.root=."],
            ["B4", "B3", "B2"],
            r"level: they saw BOA .*, and the data is TOA .*'data\.allow_mismatch=\[level\]'",
        ),
        (
            ["backbone=resnet50", "data=sen1floods11", "data.root=."],
            ["B4", "B3", "B2"],
            r"unit: they saw uint8 .*, the data is reflectance_1e4 .*'data\.allow_mismatch=\[unit\]'",
        ),
    ],
    ids=["thirteen bands for weights of six", "TOA for BOA", "reflectance for photographs"],
)
def test_data_that_pretrained_weights_have_not_seen_is_refused_without_the_weights(overrides, bands, message):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(hydra_compose("config", overrides=["backbone.pretrained=true", *overrides]), groups(CONF))
    values = Values.of(config["data"])
    with pytest.raises(UserError, match=message):
        check_early(config, bands, values)
    check_early({**config, "data": {**config["data"], "allow_mismatch": ["unit", "level", "band"]}}, bands, values)


# Weights of one's own


def of_own_weights(*overrides: str) -> None:
    """Check sen1floods11, top of atmosphere, against weights in a file of one's own."""
    bands = ["B2", "B3", "B4", "B8A", "B11", "B12"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = ["data=sen1floods11", "data.root=.", "backbone.ckpt_path=my.pt", *overrides]
        config = check(hydra_compose("config", overrides=given), groups(CONF))
    check_early(config, bands, Values.of(config["data"]))


def test_a_file_of_ones_own_is_taken_for_the_published_weights_until_it_is_said_what_it_saw():
    with pytest.raises(
        UserError,
        match=r"level: the published weights of prithvi_eo_v2_tiny_tl saw BOA \(.*\), and the data is TOA .*If the file in "
        r"backbone\.ckpt_path saw other data, write 'backbone\.pretrained_on=\{level: TOA\}'",
    ):
        of_own_weights()
    of_own_weights("backbone.pretrained_on={level: TOA}")
    of_own_weights("backbone.pretrained_on={level: null, unit: reflectance}")  # a unit that a rule leads to


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["backbone.pretrained_on={levl: TOA}"], "pretrained_on has no key 'levl'. Did you mean 'level'"),
        (["backbone.pretrained_on={level: TAO}"], "pretrained_on.level has no 'TAO'. Did you mean 'TOA'"),
        (
            ["backbone.pretrained_on={level: BOA}"],
            r"level: they saw BOA \(.*Take data of the level BOA\. If the difference",
        ),
        (["backbone.pretrained_on={level: TOA, unit: db}"], "unit: they saw db"),
        (["backbone.pretrained_on={}", "backbone.ckpt_path=null"], r"ckpt_path have seen, which is null: leave it out"),
        (["backbone=resnet50", "backbone.pretrained_on={level: BOA}"], "level: they saw BOA"),
    ],
)
def test_a_statement_of_what_ones_own_weights_saw_is_held_against_the_data(overrides, message):
    with pytest.raises(UserError, match=message):
        of_own_weights(*overrides)


def test_of_a_file_for_timm_nothing_is_known_until_it_is_said():
    of_own_weights("backbone=resnet50")
    of_own_weights("backbone=resnet50", "backbone.pretrained_on={level: TOA, unit: reflectance_1e4}")


# Somebody's own parts, and arguments that nobody takes


class NoModule:
    def __init__(self, bands: list[str] | None = None) -> None:
        self.out_channels = [4]


def three(bands: list[str] | None = None) -> int:
    return 3


class Stops(nn.Module):
    def __init__(self, bands: list[str] | None = None) -> None:
        super().__init__()
        raise RuntimeError("no license file")


class FourChannels(nn.Module):
    """It takes no bands."""

    out_channels, in_chans = [8], 3

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.wrong = nn.Conv2d(3, 8, 4, 4), nn.Linear(17, 4)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.wrong(self.conv(image))]


class Counted(FourChannels):
    def __init__(self, in_chans: int = 3) -> None:
        super().__init__()


BANDS = {"backbone_bands": ["RED", "GREEN", "BLUE"]}


@pytest.mark.parametrize(
    ("backbone", "arguments", "message"),
    [
        (NoModule, BANDS, r"The backbone NoModule gives a NoModule, not a torch\.nn\.Module\. Let the class NoModule derive from it"),
        (three, BANDS, r"The backbone three gives a int, not a torch\.nn\.Module\. Let it return one"),
        (Stops, BANDS, r"The backbone Stops can't be built: its constructor stopped with RuntimeError: no license file\. Fix it"),
        (FourChannels, {}, r"an image of 3 channels and 64 x 64 pixels, of shape \(1, 3, 64, 64\); it stopped with: .*17, 4\]\. Fix its forward"),
        (FourChannels, BANDS, r"FourChannels takes no argument backbone_bands\. Its constructor has no such argument\. Give it one of that name, or in_chans, or leave them out"),
        (FourChannels, {"backbone_width": 3}, r"takes no argument backbone_width\. Its constructor has none to give\. Leave it out"),
        (Counted, BANDS, r"Give it their number, backbone_in_chans, or leave them out"),
    ],
)  # fmt: skip
def test_a_class_of_ones_own_that_can_not_be_built_or_run_is_told_why(backbone, arguments, message):
    with pytest.raises(UserError, match=message) as refusal:
        compose(backbone, "FCNDecoder", **arguments)
    assert refusal.value.part == "backbone"
    assert "first convolution" not in str(refusal.value)


@pytest.mark.parametrize(
    ("decoder", "arguments", "message"),
    [
        ("UperNetDecoder", {"decoder_chanels": 64}, r"takes no argument decoder_chanels\. Did you mean 'decoder_channels'\? Allowed: decoder_channels"),
        ("UperNetDecoder", {"head_droput": 0.1}, r"takes no argument head_droput\. Did you mean 'head_dropout'"),
        ("UperNetDecoder", {"decoder_in_channels": [8, 16]}, r"takes no argument decoder_in_channels\. The widths of the features follow from backbone and necks\. Leave it out"),
        ("LinearDecoder", {"head_dropout": 0.1}, r"nothing takes head_dropout \(head\.dropout\); leave it out"),
        (Silent, {}, "Silent has no out_channels"),
    ],
)  # fmt: skip
def test_an_argument_that_a_decoder_or_head_does_not_take_is_answered_with_its_part(decoder, arguments, message):
    with pytest.raises(UserError, match=message) as refusal:
        compose(Tokens(), decoder, **arguments)
    assert refusal.value.part in ("decoder", "head")


def test_widths_of_features_are_no_setting():
    with pytest.raises(HydraException), initialize_config_dir(str(CONF), version_base="1.3"):
        hydra_compose("config", overrides=["decoder=upernet", "decoder.in_channels=[64,128]"])
    fault = diagnose(["decoder=upernet", "decoder.in_channels=[64,128]"], CONF)
    assert str(fault) == (
        "decoder has no key 'in_channels'. The widths of the features follow from backbone and necks. Leave it out."
    )
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra_compose("config", overrides=["decoder=upernet", "+decoder.in_channels=[64,128]"])
    with pytest.raises(UserError, match=r"decoder has no key 'in_channels'\. The widths of the features follow"):
        check(composed, groups(CONF))


# Necks in the wrong order, and sizes


def test_a_pyramid_of_tokens_is_told_before_its_widths():
    last = {"name": "SelectIndices", "indices": [2, 5, 8, 11]}
    with pytest.raises(
        UserError,
        match=r"neck\.necks\[0\] \(LearnedInterpolateToPyramidal\) can't read what it gets: 192 ch, 1/16, tokens \(12 times\)\. Tokens are "
        r"no maps yet: write \{name: ReshapeTokensToImage\} before it, or use neck=auto\.",
    ):
        compose("prithvi_eo_v2_tiny_tl", "UperNetDecoder", [PYRAMID, TO_MAPS, last])


def test_an_image_smaller_than_a_patch_is_answered_with_a_size_that_is_not_padded():
    with pytest.raises(
        UserError,
        match=r"128 x 128 pixels, is larger than the image, 64 x 64: .* Write data\.tile_px=256 or more: with these",
    ) as refusal:
        compose("prithvi_eo_v2_tiny_tl", "UperNetDecoder", backbone_patch_size=128)
    assert refusal.value.part == "backbone"
    factory = EncoderDecoderFactory((256, 256))
    own = {"backbone_patch_size": 128, "backbone_img_size": 256}
    trial = factory.trial("segmentation", "prithvi_eo_v2_tiny_tl", "UperNetDecoder", num_classes=2, necks="auto", **own)
    assert trial.plan.pad_multiple == 256
    with pytest.raises(UserError, match=r"Write data\.tile_px=128 or more; or take"):
        compose("prithvi_eo_v2_tiny_tl", "FCNDecoder", backbone_patch_size=128)


def test_a_frame_too_many_in_a_batch_is_told_with_both_numbers():
    model = EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", "prithvi_eo_v2_tiny_tl", "FCNDecoder", num_classes=3, necks="auto", backbone_num_frames=2
    )
    with pytest.raises(UserError, match=r"The backbone PrithviViT takes 2 frames, got 3: .*backbone\.num_frames=3"):
        model(torch.zeros(1, 6, 3, 64, 64))


def test_layers_beyond_prithvi_s_depth_are_told_with_the_key_and_what_to_write():
    message = r"backbone\.out_indices=\[2, 5, 8, 12\]: this backbone has layers 0 to 11 \(or -12 to -1\).* Write for example \[2, 5, 8, 11\]\."
    with pytest.raises(UserError, match=message):
        compose("prithvi_eo_v2_tiny_tl", "UNetDecoder", backbone_out_indices=[2, 5, 8, 12])


def test_the_size_of_images_has_its_own_place_among_transformers_arguments():
    with pytest.raises(
        UserError, match=r"backbone\.kwargs\.img_size has a place of its own: write backbone\.img_size\."
    ):
        compose("transformers_dinov2", "FCNDecoder", backbone_kwargs={"kwargs": {"img_size": 224}})
