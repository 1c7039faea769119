"""segmentation_models.pytorch's decoders behind their adapter: values, refusals, and sameness where theirs run."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder
from segmentation_models_pytorch.decoders.pan.decoder import PANDecoder
from torch import nn
from torch.nn import functional as F

from geocompose.decoders.smp.any_size import powers_of_two
from geocompose.decoders.smp.architectures import ARCHITECTURES
from geocompose.decoders.smp.arguments import INTERPOLATIONS, NORMS
from geocompose.decoders.smp.decoder import SmpDecoder
from geocompose.errors import UserError
from geocompose.registry import DECODER_REGISTRY
from tests.kit.decoder_cases import ONE_SCALE, PYRAMID, SMALL, WIDTHS, features, shake


def smp(arch: str, kwargs: Mapping[str, Any] | None = None, strides: tuple[int, ...] | None = None) -> nn.Module:
    given = strides or SMALL[arch][2]
    return SmpDecoder(list(WIDTHS[: len(given)]), arch, dict(kwargs or {}), list(given))


def test_each_smp_decoder_is_found_with_and_without_its_prefix_and_fills_in_its_widths():
    for arch in ARCHITECTURES:
        strides = SMALL[arch][2]
        for name in (f"smp_{arch}", arch):
            with torch.device("meta"):
                decoder = DECODER_REGISTRY.build(name, list(WIDTHS[: len(strides)]), strides=list(strides))
            assert isinstance(decoder.out_channels, int)
            assert all(key.startswith("_smp_decoder.") for key in decoder.state_dict())


# Every documented value of an argument that is no plain number, beside those of SMALL.
UNET_LIKE = {
    "use_norm": [True, False, *NORMS, {"type": "batchnorm", "eps": 1e-3}],
    "interpolation_mode": INTERPOLATIONS,
}
VALUES: Mapping[str, Mapping[str, Any]] = {
    "Unet": {**UNET_LIKE, "attention_type": [None, "scse"], "add_center_block": [True], "decoder_channels": [None]},
    "UnetPlusPlus": {"use_norm": [False], "center": [True], "interpolation_mode": ["area"]},
    "MAnet": {"use_norm": [False], "reduction": [4], "pab_channels": [4], "interpolation_mode": ["bilinear"]},
    "Linknet": {"use_norm": ["identity", {"type": "instancenorm", "affine": True}]},
    "FPN": {"dropout": [0.0], "merge_policy": ["add", "cat"], "interpolation_mode": ["bilinear"]},
    "PSPNet": {"use_norm": ["identity"], "dropout": [0.5]},
    "PAN": {"interpolation_mode": INTERPOLATIONS},
    "DeepLabV3": {"atrous_rates": [[1, 2, 3]], "aspp_separable": [True, False], "aspp_dropout": [0.0]},
    "DeepLabV3Plus": {"atrous_rates": [[1, 2, 3]], "aspp_separable": [False], "aspp_dropout": [0.0],
                      "output_stride": [16]},
    "UPerNet": {"use_norm": [False, {"type": "identity"}]},
    "Segformer": {"segmentation_channels": [None]},
    "DPT": {"readout": ["ignore", "cat"], "intermediate_channels": [None], "fusion_channels": [4]},
}  # fmt: skip
CHOICES = [(arch, name, value) for arch, table in VALUES.items() for name, values in table.items() for value in values]


@pytest.mark.parametrize(("arch", "name", "value"), CHOICES)
def test_every_value_of_an_smp_argument_works(arch, name, value):
    arguments = {
        key: given for key, given in SMALL[arch][1].items() if name != "attention_type" or key != "decoder_channels"
    }
    decoder = smp(arch, OmegaConf.create({**arguments, name: value})).eval()
    with torch.no_grad():
        output = decoder(features(arch, 64, 96))
    assert output.shape[:2] == (2, decoder.out_channels)
    assert output.isfinite().all()


@pytest.mark.parametrize(
    ("arch", "kwargs", "message"),
    [
        ("Unet", {"channels": 8}, "smp's Unet decoder takes no argument 'channels'. Did you mean 'decoder_channels'"),
        ("Unet", {"encoder_channels": [8]}, "takes no argument 'encoder_channels'"),
        ("Unet", {"decoder_channels": [8]},
         r"one width per feature after the first: 4 here, got \[8\]. Write for example"),
        ("Unet", {"decoder_channels": [8, 8, 8, 0]}, "decoder_channels must be a whole number, 1 or more; got 0"),
        ("Unet", {"decoder_channels": 8}, "one width per feature after the first: 4 here, got 8"),
        ("Unet", {"use_norm": "batchnrom"}, "use_norm has no value 'batchnrom'. Did you mean 'batchnorm'"),
        ("Unet", {"use_norm": "layernorm"}, "use_norm has no value 'layernorm'"),
        ("Unet", {"use_norm": {"eps": 1}}, "or a mapping with that name as its type"),
        ("Unet", {"attention_type": "se"}, "attention_type has no value 'se'"),
        ("Unet", {"attention_type": "scse", "decoder_channels": [16, 16, 16, 8]},
         "16 or more each with attention_type=scse"),
        ("UnetPlusPlus", {"attention_type": "scse"},
         r"the features' widths must be 16 or more each .* got \[12, 16, 32, 24\]"),
        ("UPerNet", {"use_norm": {"type": "instancenorm"}},
         "pools a map to one cell, of which use_norm=instancenorm leaves nothing"),
        ("Unet", {"interpolation_mode": "cubic"}, "interpolation_mode has no value 'cubic'. Did you mean 'bicubic'"),
        ("Unet", {"add_center_block": 1}, "add_center_block must be true or false; got 1"),
        ("MAnet", {"reduction": 0}, "reduction must be a whole number, 1 or more"),
        ("Linknet", {"prefinal_channels": 0}, "prefinal_channels must be a whole number, 1 or more"),
        ("FPN", {"segmentation_channels": 48},
         "segmentation_channels must be a multiple of 32, the groups of its norm; got 48"),
        ("FPN", {"merge_policy": "sum"}, "merge_policy has no value 'sum'. Allowed: add, cat"),
        ("FPN", {"dropout": 1.0}, "dropout must be from 0 to below 1; got 1.0"),
        ("PSPNet", {"out_channels": "8"}, "out_channels must be a whole number, 1 or more; got '8'"),
        ("PAN", {"decoder_channels": [8]}, r"PAN: decoder_channels must be one whole number, such as 32; got \[8\]"),
        ("UPerNet", {"decoder_channels": [8]},
         r"smp UPerNet: decoder_channels must be one whole number, such as 256; got \[8\]"),
        ("DeepLabV3", {"atrous_rates": [6, 12]},
         r"atrous_rates must be three whole numbers, such as \[12, 24, 36\]; got \[6, 12\]"),
        ("DeepLabV3", {"aspp_dropout": -0.1}, "aspp_dropout must be from 0 to below 1"),
        ("DeepLabV3Plus", {"output_stride": 32}, "output_stride must be 16 or 8; got 32"),
        ("DeepLabV3Plus", {"output_stride": [16]}, r"output_stride must be a whole number, 1 or more; got \[16\]"),
        ("DeepLabV3Plus", {"output_stride": 8}, r"the third must be 2 times as fine as the last.*\[2, 4, 8, 16, 32\]"),
        ("DPT", {"readout": "add"}, "readout has no value 'add'. Allowed: ignore, cat"),
        ("DPT", {"intermediate_channels": [8]}, r"intermediate_channels has one width per feature: 4 here, got \[8\]"),
    ],
)  # fmt: skip
def test_wrong_arguments_of_smp_decoders_are_told(arch, kwargs, message):
    with pytest.raises(UserError, match=message):
        smp(arch, kwargs)


@pytest.mark.parametrize(
    ("widths", "arch", "strides", "message"),
    [
        ([8] * 4, "unet", None, "There is no smp decoder 'unet' here. Did you mean 'Unet'"),
        ([8] * 2, "Unet", None, r"needs 3 features or more \(its first is skipped\); got 2"),
        ([8] * 3, "PAN", None, r"needs 4 features or more \(its first two are skipped\); got 3"),
        ([8] * 3, "FPN", None, "smp's FPN decoder needs 4 features or more; got 3"),
        ([8] * 7, "PAN", None, "PAN reads four features at most, after the two that it skips; it gets 7"),
        ([8, 6], "PSPNet", None, "last feature's width among four poolings: it must be a multiple of 4; it is 6"),
        ([1, 8, 3], "Linknet", None, r"they must be 4 or more; the features have \[8, 3\]"),
        ([8] * 4, "DPT", None, "smp DPT: give the features' strides"),
        ([8] * 2, "DPT", [4, 12], r"must be powers of two of each other; got \[4, 12\]"),
    ],
)
def test_features_that_an_smp_decoder_can_not_read_are_refused(widths, arch, strides, message):
    with pytest.raises(UserError, match=message):
        SmpDecoder(widths, arch, strides=strides)


@pytest.mark.parametrize("size", [(8, 8), (9, 14), (8, 40)])
def test_pan_is_smp_s_own_where_that_runs(size):
    ours = shake(smp("PAN", {"decoder_channels": 8})).eval()
    theirs = PANDecoder(WIDTHS, 5, 8).eval()
    theirs.load_state_dict(ours._smp_decoder.state_dict())
    rows, columns = size
    scales = zip(WIDTHS, (32, 16, 8, 4, 2, 1), strict=True)
    given = [torch.randn(1, width, rows * scale, columns * scale) for width, scale in scales]
    with torch.no_grad():
        torch.testing.assert_close(ours(given), theirs(given))


@pytest.mark.parametrize(("case", "strides"), [("DPT", ONE_SCALE), ("DPT-pyramid", PYRAMID)])
@pytest.mark.parametrize("readout", ["ignore", "cat"])
def test_dpt_is_smp_s_own_where_that_runs(case, strides, readout):
    ours = shake(smp("DPT", {**SMALL["DPT"][1], "readout": readout}, strides)).eval()
    theirs = DPTDecoder(WIDTHS[:4], strides, False, readout, (8, 8, 8, 8), 8).eval()
    theirs.load_state_dict(ours._smp_decoder.state_dict())
    given = features(case, 64, 96)
    with torch.no_grad():
        assert torch.equal(ours(given), theirs(given, [None] * 4))


def test_dpt_keeps_the_place_of_an_odd_grid():
    """9 x 5 tokens are continued to 10 x 6 at the right and below, and cropped again."""
    decoder = smp("DPT", SMALL["DPT"][1]).eval()
    odd = features("DPT", 144, 80)
    continued = [F.pad(feature, (0, 1, 0, 1), mode="replicate") for feature in odd]
    with torch.no_grad():
        output = decoder(odd)
        assert output.shape[2:] == (72, 40)
        assert torch.equal(output, decoder(continued)[..., :72, :40])


@pytest.mark.parametrize(
    ("strides", "counted"),
    [
        ((16, 16), [16, 16]),
        ((14, 14, 14), [16, 16, 16]),
        ((Fraction(7, 2), 7, 14, 28), [4, 8, 16, 32]),
        ((4, 8, 16, 32), [4, 8, 16, 32]),
        ((8, 8), [8, 8]),
        ((1, 2), [1, 2]),
    ],
)
def test_a_patch_of_14_pixels_stands_for_16_in_dpt(strides, counted):
    assert powers_of_two(strides) == counted
