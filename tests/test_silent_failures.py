"""Mistakes that once gave a wrong number, or a wrong model, without a word."""

import re
from fractions import Fraction

import pytest
import timm
import torch
import yaml
from hydra import compose, initialize_config_dir
from safetensors.torch import save_file
from torch import Tensor, nn

from geocompose.actions import evaluate
from geocompose.backbones.timm import weights as timm_weights
from geocompose.backbones.timm.builder import build_timm
from geocompose.cli import Experiment
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.cost.summary import summarize
from geocompose.decoders.fcn import FCNDecoder
from geocompose.decoders.smp.architectures import ARCHITECTURES
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.from_config import build_model
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.samples import Inputs
from geocompose.imagery.target import Target
from geocompose.registry import BACKBONE_REGISTRY, DECODER_REGISTRY, MultiSourceRegistry
from geocompose.runs import Record, load_rules, run_id
from tests.kit.places import CONF


def build(size, backbone="prithvi_eo_tiny", decoder="UperNetDecoder", coordinates=None, **arguments):
    factory = EncoderDecoderFactory(image_size=(size, size), coordinates=coordinates)
    model = factory.build_model("segmentation", backbone, decoder, num_classes=3, **{"necks": "auto", **arguments})
    assert factory.plan is not None
    return model, factory.plan


PYRAMID_OF_FOUR = [
    {"name": "ReshapeTokensToImage"},
    {"name": "LearnedInterpolateToPyramidal", "exponents": [2, 1, 1, 0]},
    {"name": "AddInputLevel"},
    {"name": "AddInputLevel"},
]


@pytest.mark.parametrize("size", [48, 64, 80, 112, 240])
def test_padding_does_not_depend_on_the_size_of_the_tiles(size):
    model, plan = build(size, backbone_depth=4)
    assert [spec.stride for spec in plan.decoder_features] == [4, 8, 16, 32]
    assert model.pad_multiple == 32


def test_a_patch_of_14_is_quartered_exactly():
    with torch.device("meta"):
        model, plan = build(64, "prithvi_eo_v2_600", backbone_depth=4)
    assert [spec.stride for spec in plan.decoder_features] == [Fraction(7, 2), 7, 14, 28]
    assert model.pad_multiple == 28


def test_models_built_for_different_tiles_say_the_same():
    first, _ = build(80, backbone_depth=4)
    second, _ = build(64, backbone_depth=4)
    second.load_state_dict(first.state_dict())
    image = torch.randn(1, 6, 80, 80)
    with torch.inference_mode():
        assert torch.equal(first.eval()(image).output, second.eval()(image).output)


@pytest.mark.parametrize(
    ("backbone", "decoder", "arguments"),
    [
        ("prithvi_eo_v2_tiny_tl", "UperNetDecoder", {}),  # scales of coordinates that no data gives
        ("prithvi_eo_tiny", "smp_DeepLabV3Plus", {"necks": PYRAMID_OF_FOUR}),  # it reads two of the pyramid's levels
        (
            "timm_test_resnet",
            "FCNDecoder",
            {"decoder_in_index": 0, "decoder_num_convs": 1},
        ),  # later stages are never read
    ],
)
def test_what_no_output_depends_on_does_not_wait_for_a_gradient(backbone, decoder, arguments):
    # DistributedDataParallel stops at its second step where a trainable parameter got no gradient.
    model, plan = build(64, backbone, decoder, coordinates=(), **arguments)
    assert plan.unreached
    model.train()(torch.randn(2, 6 if "prithvi" in backbone else 3, 64, 64)).output.sum().backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    got = [name for name, p in model.named_parameters() if not p.requires_grad and p.grad is not None]
    assert not got


def test_a_decoder_of_another_width_is_refused_before_the_first_batch():
    # torch's transposed convolution does not compare widths on the meta device.
    with pytest.raises(UserError, match="ConvTranspose2d takes 7 channels and gets 256"):
        EncoderDecoderFactory((64, 64)).build_model(
            "segmentation", "prithvi_eo_tiny", FCNDecoder([7], channels=4), num_classes=3, necks="auto"
        )


def test_a_zero_is_not_the_variants_own_number():
    with pytest.raises(UserError, match="depth is 1 or more; got 0"):
        build(64, backbone_depth=0)


def test_probing_leaves_the_callers_module_as_it_was():
    class Backbone(nn.Module):
        out_channels = [4]
        in_chans = 3

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 2, 2)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, image):
            return [self.norm(self.conv(image))]

    backbone = Backbone().train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    EncoderDecoderFactory((32, 32)).build_model("segmentation", backbone, "FCNDecoder", num_classes=2)
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_scales_of_coordinates_learn_where_coordinates_are_given():
    model, _ = build(64, "prithvi_eo_v2_tiny_tl")
    coordinates = {"temporal_coords": torch.tensor([[[2018.0, 26.0]]]), "location_coords": torch.tensor([[41.0, -5.8]])}
    model(torch.randn(1, 6, 64, 64), **coordinates).output.sum().backward()
    assert model.encoder.temporal_embed_enc.scale.grad is not None
    assert model.encoder.location_embed_enc.scale.grad is not None


def test_an_image_of_whole_patches_is_not_padded_any_further():
    model, _ = build(240, decoder="FCNDecoder", backbone_depth=4, decoder_channels=4)
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[-2:])))
    with torch.inference_mode():
        model(torch.randn(1, 6, 240, 256))
    assert seen == [(240, 256)]


def test_tokens_of_a_wide_image_become_a_wide_map_and_not_a_scrambled_square():
    model, _ = build(64, decoder="FCNDecoder", backbone_depth=4, decoder_channels=4)
    image = torch.randn(1, 6, 128, 512)  # 8 x 32 tokens, of which a square of 16 x 16 could be made
    with torch.inference_mode():
        tokens = model.eval().encoder(image)[-1]
        grid = model.neck([tokens], (128, 512))[-1]
    assert grid.shape[2:] == (8, 32)
    for row, column in ((0, 0), (0, 31), (3, 17), (7, 0), (7, 31)):
        assert torch.equal(grid[:, :, row, column], tokens[:, 1 + 32 * row + column])


# Heads of mmsegmentation are held to the same in test_decoders_mmseg.
@pytest.mark.parametrize("decoder", [name for name in DECODER_REGISTRY if not name.startswith("mmseg_")])
def test_layers_of_one_scale_are_refused_by_a_decoder_that_would_read_them_as_a_pyramid(decoder):
    # UPerNet once ran on four layers at stride 16 without a word; others failed far inside.
    name = decoder.removeprefix("smp_")
    wants_scales = (
        ARCHITECTURES[name].needs.pyramid if "smp_" in decoder else decoder in ("UperNetDecoder", "UNetDecoder")
    )

    def built():
        arguments = {"backbone_embed_dim": 48, "backbone_num_heads": 4, "decoder": decoder}
        return EncoderDecoderFactory((64, 64)).build_model(
            "segmentation", "prithvi_eo_tiny", num_classes=3, **arguments
        )

    if wants_scales:
        with pytest.raises(
            UserError, match=r"needs a pyramid, finest level first.*strides \[16, 16, 16, 16\]|needs [56] features"
        ):
            built()
    else:
        with torch.inference_mode():
            assert built().eval()(torch.randn(1, 6, 64, 96)).output.shape == (1, 3, 64, 96)


def test_a_head_of_two_outputs_is_refused_where_one_was_asked_for():
    # Its second output would be dropped with the dimension of channels.
    with pytest.raises(UserError, match="gives 2"):
        EncoderDecoderFactory((64, 64)).build_model(
            "regression", "prithvi_eo_tiny", "FCNDecoder", head=nn.Conv2d(256, 2, 1), num_outputs=1
        )


@pytest.mark.parametrize(
    ("task", "counts", "arguments"),
    [
        ("segmentation", {"num_classes": 3}, {"head": nn.Conv2d(8, 5, 1)}),
        ("regression", {}, {"head": nn.Conv2d(8, 3, 1)}),  # all but the first variable were dropped
        ("scalar_regression", {"num_outputs": 2}, {"head": nn.Conv2d(8, 5, 1)}),
    ],
)
def test_a_head_with_another_number_of_outputs_than_the_task_is_refused(task, counts, arguments):
    with pytest.raises(UserError, match=r"gives? [35]( outputs)?"):
        EncoderDecoderFactory((64, 64)).build_model(
            task, "prithvi_eo_tiny", "FCNDecoder", decoder_channels=8, **counts, **arguments
        )


def test_the_centre_that_is_kept_is_the_images_not_the_padded_ones():
    model = EncoderDecoderFactory((33, 33)).build_model(
        "segmentation", "prithvi_eo_tiny", "FCNDecoder", num_classes=2, decoder_channels=8
    )
    image = torch.randn(1, 6, 33, 35)
    model.eval()
    with torch.inference_mode():
        whole = model(image).output
        model.image_size_out = (31, 31)
        assert torch.equal(model(image).output, whole[..., 1:32, 2:33])
        model.image_size_out = (30, 32)
        assert torch.equal(model(image).output, whole[..., 1:31, 1:33])


class TwicePassed(nn.Module):
    """Calls one layer in two places, and another with the first one's weights."""

    out_channels = (6, 6)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(6, 6, 3, 2, 1), nn.BatchNorm2d(6))
        self.again = self.first
        self.tied = nn.Conv2d(6, 6, 1)
        self.tied.bias = self.first[0].bias

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.first(image)
        return [fine, self.tied(self.again(fine))]


def test_a_backbone_that_calls_a_layer_twice_keeps_its_weights():
    backbone = TwicePassed()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    model = EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", backbone, "FCNDecoder", num_classes=2, decoder_channels=8
    )
    summarize(model, image_size=(64, 64))
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())
    assert model.encoder.again is model.encoder.first
    assert model(torch.randn(2, 6, 64, 64)).output.shape == (2, 2, 64, 64)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_coordinates_too_coarse_to_tell_years_apart_are_refused(dtype):
    backbone = BACKBONE_REGISTRY.build("prithvi_eo_v2_tiny_tl", depth=1, img_size=32)
    image = torch.randn(1, 6, 32, 32)
    assert torch.tensor(2018.0).to(torch.bfloat16) == 2016
    with pytest.raises(UserError, match=r"temporal_coords are torch.*2018.*float32"):
        backbone(image, temporal_coords=torch.tensor([[[2018.0, 200.0]]], dtype=dtype))
    with pytest.raises(UserError, match="location_coords are torch"):
        backbone(image, location_coords=torch.tensor([[48.0, 2.0]], dtype=dtype))
    dates = torch.tensor([[[2018.0, 200.0]]])
    assert torch.isfinite(backbone.bfloat16()(image.bfloat16(), temporal_coords=dates)[0].float()).all()


def test_a_place_that_is_no_latitude_and_longitude_is_refused():
    backbone = BACKBONE_REGISTRY.build("prithvi_eo_v2_tiny_tl", depth=1, img_size=32)
    with pytest.raises(UserError, match=r"location_coords are \(B, 2\), latitude and longitude; got \(1, 3\)"):
        backbone(torch.randn(1, 6, 32, 32), location_coords=torch.zeros(1, 3))


def test_a_source_whose_prefix_would_never_be_found_is_refused():
    with pytest.raises(ValueError, match="ends at the first underscore"):
        MultiSourceRegistry("backbone", "geocompose.backbones").register_source("my_zoo", {})


# What reads less than somebody selected. TerraTorch's own models do, and have to load: so it is said, not refused.

ONE_SCALE_TO_FOUR = [
    {"name": "SelectIndices", "indices": [2, 5, 8, 11]},
    {"name": "ReshapeTokensToImage"},
    {"name": "LearnedInterpolateToPyramidal"},
]
FROM_STRIDE_4 = [{"name": "SelectIndices", "indices": [1, 2, 3, 4]}]


@pytest.mark.parametrize(
    "decoder",
    [f"smp_{arch}" for arch, row in ARCHITECTURES.items() if row.needs.skips],
)
@pytest.mark.parametrize(
    ("backbone", "necks"),
    [
        ("timm_test_resnet", FROM_STRIDE_4),
        ("timm_test_resnet", None),
        ("prithvi_eo_v2_tiny_tl", ONE_SCALE_TO_FOUR),
    ],
)
def test_a_level_that_a_decoder_skips_is_told_with_the_list_that_saves_it(decoder, backbone, necks):
    with torch.device("meta"):
        _, plan = build(64, backbone, decoder, necks=necks)
    if decoder == "smp_DeepLabV3Plus" and necks is None:  # it reads two levels, whatever there is before them
        assert plan.warnings == []
        return
    (warning,) = plan.warnings
    assert re.search(
        r"skips the first (2 )?features?, where it expects the image's own resolution, and so never reads", warning
    )
    added = re.search(r"Add to the end of neck\.necks: (.*)\. Or use neck=auto\.", warning)
    whole = re.search(r"'neck\.necks=(\[.*\])'", warning)
    assert added or whole
    written = [*(necks or []), *yaml.safe_load(f"[{added.group(1)}]")] if added else yaml.safe_load(whole.group(1))
    with torch.device("meta"):
        _, plan = build(64, backbone, decoder, necks=written)
        assert plan.warnings == []
        assert not [name for name in plan.unreached if name.startswith("neck.") and decoder != "smp_DeepLabV3Plus"]
        assert build(64, backbone, decoder)[1].warnings == []  # neck=auto


def test_a_level_that_is_skipped_is_told_when_the_model_is_built(caplog):
    with caplog.at_level("WARNING", logger="geocompose"):
        build(64, "timm_test_resnet", "smp_Unet", necks=FROM_STRIDE_4)
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.startswith("smp_Unet skips the first feature")
    assert "Add to the end of neck.necks: {name: AddInputLevel}" in said


# Tokens and needs that only look as if they were understood


class Tokens(nn.Module):
    """A backbone of patches of 16 pixels that says nothing of them; `made` turns its tokens into what it returns."""

    out_channels, in_chans = [24], 3

    def __init__(self, made, only=None):
        super().__init__()
        self.patch, self.made, self.only = nn.Conv2d(3, 24, 16, 16), made, only

    def forward(self, image):
        if self.only is not None and image.shape[-1] != self.only:
            raise ValueError(f"images of {self.only} pixels only")
        return [self.made(self.patch(image).flatten(2).transpose(1, 2))]


@pytest.mark.parametrize(
    ("made", "only", "message"),
    [
        (lambda tokens: tokens[:, :-3], None, r"returns 13 tokens for an image of 64 x 64 pixels and 29 for 128 x 64"),
        (lambda tokens: tokens[:, :1].expand(-1, 64, -1), None, "64 tokens for an image of 64 x 64 pixels and 64 for 128 x 64"),
        (lambda tokens: tokens[:, :-3], 64, r"13 tokens for an image of 64 x 64 pixels and 29 for 128 x 64"),
    ],
)  # fmt: skip
def test_tokens_that_no_grid_explains_are_not_explained_by_an_invented_patch(made, only, message):
    with pytest.raises(UserError, match=rf"{message}, which no grid of patches with prefix tokens before it explains"):
        build(64, Tokens(made, only), "FCNDecoder")


def test_tokens_of_a_backbone_of_one_size_are_not_explained_by_more_prefix_tokens_than_cells():
    backbone = Tokens(lambda tokens: tokens[:, :-3])
    backbone.fixed_size, backbone.img_size = True, 64
    with pytest.raises(UserError, match="returns 13 tokens for an image of 64 x 64 pixels, the one size that it takes"):
        build(64, backbone, "FCNDecoder")


def test_tokens_with_prefix_tokens_are_still_understood():
    def with_class_token(tokens):
        return torch.cat([tokens[:, :1], tokens], dim=1)

    for only in (None, 64):
        (spec,) = build(64, Tokens(with_class_token, only), "FCNDecoder")[1].backbone_features
        assert (spec.stride, spec.num_prefix_tokens) == (16, 1)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"levels": 4}, r"declares needs = \{'levels': 4\}, which is no Needs\. Write needs = Needs\(levels=4\), from geocompose"),
        ({"levls": 4}, r"Needs has no 'levls'\. Did you mean 'levels'"),
        (4, r"Write needs = Needs\(levels=2, pyramid=True\)"),
    ],
)  # fmt: skip
def test_needs_that_are_none_are_not_passed_over(needs, message):
    class Declares(nn.Module):
        out_channels = 24

        def __init__(self, channel_list):
            super().__init__()

        def forward(self, features):
            return features[-1]

    Declares.needs = needs
    with pytest.raises(UserError, match=message):
        build(64, "timm_test_resnet", Declares)


# Bands, units and places. Others of this kind stand beside what they need: water indices read in one unit, an offset of
# a run that reads digital numbers and published numbers without a unit in test_bands_units.py, longitudes from 0 to 360
# in test_data_coordinates.py, bands that a part of a fusion was told to read in test_fusion.py.


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Weights of timm's test_resnet for red, green and blue, as its hub has them; returns those of the input layer."""
    torch.manual_seed(7)
    state = timm.create_model("test_resnet").state_dict()
    save_file(state, tmp_path / "model.safetensors")
    monkeypatch.setattr(timm_weights, "download", lambda repository, file: tmp_path / file)
    return state["conv1.0.weight"]


@pytest.mark.parametrize(
    ("bands", "filters"),
    [
        (["BLUE", "GREEN"], [2, 1]),
        (["B4"], [0]),
        (["VV", "B2", "RED"], [None, 2, 0]),
        ([*HLS_BANDS], [2, 1, 0, None, None, None]),
    ],
)
def test_pretrained_filters_of_timm_go_to_bands_by_name_and_not_by_place(photographs, caplog, bands, filters):
    random = [band for band, place in zip(bands, filters, strict=True) if place is None]
    torch.manual_seed(3)
    fresh = build_timm("test_resnet", bands=bands).state_dict()
    torch.manual_seed(3)
    with caplog.at_level("WARNING", logger="geocompose"):
        module = build_timm("test_resnet", pretrained=True, bands=bands, allow_random_bands=bool(random))
    found = module.state_dict()["conv1.0.weight"]
    for place, filter_of in enumerate(filters):
        expected = fresh["conv1.0.weight"][:, place] if filter_of is None else photographs[:, filter_of]
        assert torch.equal(found[:, place], expected)
    said = [record.getMessage() for record in caplog.records]
    assert said == (
        [f"No pretrained weights for {', '.join(random)}: these bands start randomly, as allowed."] if random else []
    )


def test_a_consent_on_the_command_line_gives_no_band_another_ones_filters(photographs):
    overrides = [
        "backbone=timm",
        "backbone.name=test_resnet",
        "backbone.pretrained=true",
        "data.allow_mismatch=[unit,band]",
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=[*overrides, "decoder=fcn"]), groups(CONF))
    model = build_model(config, inputs=Inputs(HLS_BANDS, 32), target=Target("segmentation", ("land", "water"))).model
    assert torch.equal(model.encoder.state_dict()["conv1.0.weight"][:, 0], photographs[:, 2])


SEN1FLOODS11 = {"_target_": "geocompose.data.geotiff.GeoTiffData", "name": "sen1floods11", "root": None}
GEOTIFF = {**SEN1FLOODS11, "name": "geotiff"}


@pytest.mark.parametrize("data", [SEN1FLOODS11, GEOTIFF])
def test_values_that_a_model_may_read_in_another_unit_are_another_run(data):
    # A model that knows reflectance from 0 to 1 reads a ten-thousandth of what it reads where no unit is stated.
    rules = load_rules(CONF)
    units = ["reflectance_1e4", None, "reflectance", "dn"]
    assert len({run_id({"data": {**data, "unit": unit}}, {}, rules) for unit in units}) == len(units)


def test_runs_recorded_before_there_were_units_keep_their_identity():
    rules = load_rules(CONF)
    stated = {"unit": "reflectance_1e4", "level": "TOA", "offset": None}
    assert run_id({"data": {**SEN1FLOODS11, **stated}}, {}, rules) == run_id({"data": SEN1FLOODS11}, {}, rules)
    assert run_id({"data": {**GEOTIFF, "unit": None}}, {}, rules) == run_id({"data": GEOTIFF}, {}, rules)


@pytest.mark.parametrize(("typed", "read_with"), [(0.0, 0.0), (None, 1000.0)])
def test_an_offset_that_was_stated_for_other_data_is_kept_where_its_unit_is_the_run_s(typed, read_with):
    other = {
        "_target_": "geocompose.data.geotiff.GeoTiffData",
        "unit": None,
        "offset": typed,
        "scale": None,
        "tile_px": 64,
    }
    trained = {"tile_px": 32, "unit": "dn", "offset": 1000.0, "scale": None}
    experiment = Experiment({"data": other}, {}, ["data=geotiff", f"data.offset={typed}"], CONF)
    chosen = evaluate._data(experiment, {"data": dict(other)}, Record(run_id="0123456789", data=trained), None)
    assert (chosen["unit"], chosen["offset"], chosen["tile_px"]) == ("dn", read_with, 32)
