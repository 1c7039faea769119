"""How each decoder of segmentation_models.pytorch is built from feature widths, and what it needs of the features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3Decoder, DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder
from segmentation_models_pytorch.decoders.manet.decoder import MAnetDecoder
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import nn

from geocompose.contracts.needs import Needs, layers_for
from geocompose.contracts.usual_head import UsualHead
from geocompose.decoders.foreign import Strides, shown
from geocompose.decoders.smp.any_size import AnySizeDPT, AnySizePAN, powers_of_two
from geocompose.decoders.smp.arguments import norm_type
from geocompose.decoders.smp.initialization import start_decoder, start_head
from geocompose.decoders.unet import LEAST_ATTENDED, check_attention, halved
from geocompose.errors import UserError

Arguments = dict[str, Any]

# DeepLabV3Plus: by its output_stride, how many times as fine as the last feature the one is that it joins.
JOINED = {16: 4, 8: 2}


@dataclass(frozen=True)
class Architecture:
    """One smp decoder.

    complete: returns all its constructor's arguments from the features' widths and strides and the arguments given.
    width: that of its output, from the completed arguments. needs: what it needs of the features, where the arguments
    given don't change that (`needs_with`). head_kernel_size: of the convolution with which smp's model of this name
    ends. initialized: whether that model draws its weights anew, which smp's two DeepLabs don't.
    """

    decoder: type[nn.Module]
    complete: Callable[[list[int], Strides, Arguments], Arguments]
    width: Callable[[Arguments], int]
    needs: Needs
    head_kernel_size: int = 1
    initialized: bool = True

    @property
    def usual_head(self) -> UsualHead:
        """The head of smp's model of this name."""
        return UsualHead(self.head_kernel_size, start_head if self.initialized else None)

    def start(self, decoder: nn.Module) -> None:
        """Give a fresh decoder the weights with which it begins in smp's model of this name."""
        if self.initialized:
            start_decoder(decoder)

    def needs_with(self, given: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs of the features when it is built with these arguments."""
        needs = self.needs
        if given.get("attention_type") and self.decoder is UnetPlusPlusDecoder:
            needs = replace(needs, least_width=LEAST_ATTENDED)  # its inner stages are as wide as the features
        if self.decoder is DeepLabV3PlusDecoder and given.get("output_stride") in JOINED:
            needs = replace(needs, third_to_last=JOINED[given["output_stride"]])
        for widths in ("decoder_channels", "intermediate_channels"):
            layers = layers_for(given.get(widths), needs.levels)
            needs = needs if layers is None else replace(needs, layers=layers)
        return needs


def _unet_like(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    # The first feature is skipped, each of the others is a stage.
    stages = len(widths) - 1
    channels = given.get("decoder_channels") or halved(stages)
    if not isinstance(channels, list) or len(channels) != stages:
        raise UserError(
            f"smp: decoder_channels has one width per feature after the first: {stages} here, got {channels}. "
            f"Write for example {halved(stages)}, or null."
        )
    if given.get("attention_type"):
        check_attention("smp: the widths of decoder_channels", channels)
    return {**given, "encoder_channels": widths, "decoder_channels": channels, "n_blocks": stages}


def _unetplusplus(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    if given.get("attention_type"):
        check_attention("smp UnetPlusPlus: the features' widths", widths[1:])  # its inner stages are as wide as they
    return _unet_like(widths, strides, given)


def _linknet(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    if min(widths[1:]) < 4:
        raise UserError(
            f"smp Linknet works on a quarter of each width: they must be 4 or more; the features have {widths[1:]}."
        )
    return {"prefinal_channels": 32, **given, "encoder_channels": widths, "n_blocks": len(widths) - 1}


def _fpn(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    arguments = {"segmentation_channels": 128, "merge_policy": "add", **given}
    if arguments["segmentation_channels"] % 32:
        raise UserError(
            "smp FPN: segmentation_channels must be a multiple of 32, the groups of its norm; "
            f"got {arguments['segmentation_channels']}."
        )
    return {**arguments, "encoder_channels": widths, "encoder_depth": len(widths)}


def _pspnet(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    if widths[-1] % 4:
        raise UserError(
            "smp PSPNet divides the last feature's width among four poolings: it must be a multiple of 4; it is "
            f"{widths[-1]}. Use neck=auto, or end the necks with {{name: ProjectChannels, channels: "
            f"{-(-widths[-1] // 4) * 4}}}."
        )
    return {"out_channels": 512, **given, "encoder_channels": widths}


def _pan(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    if len(widths) > 6:
        raise UserError(
            f"smp PAN reads four features at most, after the two that it skips; it gets {len(widths)} in all. "
            "Select features (SelectIndices)."
        )
    channels = _one_width("PAN", given, 32)
    return {**given, "decoder_channels": channels, "encoder_channels": widths, "encoder_depth": len(widths) - 1}


def _upernet(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    if norm_type(given.get("use_norm")) == "instancenorm":
        raise UserError(
            "smp UPerNet pools a map to one cell, of which use_norm=instancenorm leaves nothing. Use batchnorm or "
            "identity."
        )
    return {**given, "decoder_channels": _one_width("UPerNet", given, 256), "encoder_channels": widths}


def _one_width(arch: str, given: Arguments, default: int) -> int:
    width = given.get("decoder_channels", default)
    if not isinstance(width, int):
        raise UserError(f"smp {arch}: decoder_channels must be one whole number, such as {default}; got {width}.")
    return width


def _segformer(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    return {"segmentation_channels": 256, **given, "encoder_channels": widths}


ATROUS = {"out_channels": 256, "atrous_rates": (12, 24, 36), "aspp_dropout": 0.5}


def _deeplab(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    return {**ATROUS, "aspp_separable": False, **given, "in_channels": widths[-1]}


def _deeplab_plus(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    fits_8 = strides is not None and strides[2] * 2 == strides[-1]
    output_stride = given.get("output_stride", 8 if fits_8 else 16)
    factor = JOINED.get(output_stride)
    if factor is None:
        raise UserError(f"smp DeepLabV3Plus: output_stride must be 16 or 8; got {output_stride}.")
    if strides is not None and strides[2] * factor != strides[-1]:
        raise UserError(
            f"smp DeepLabV3Plus joins its last feature, enlarged {factor} times, to its third: the third must be "
            f"{factor} times as fine as the last; the features have strides {shown(strides)}. Select features so that "
            "this holds."
        )
    more = {"encoder_channels": widths, "encoder_depth": 5, "output_stride": output_stride}
    return {**ATROUS, "aspp_separable": True, **given, **more}


def _dpt(widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    if strides is None:
        raise UserError("smp DPT: give the features' strides, such as strides=[16, 16, 16, 16]; it scales them itself.")
    channels = given.get("intermediate_channels") or [min(256 << level, 1024) for level in range(len(widths))]
    if len(channels) != len(widths):
        raise UserError(
            f"smp DPT: intermediate_channels has one width per feature: {len(widths)} here, got {channels}. Or null."
        )
    return {
        "fusion_channels": 256, **given, "intermediate_channels": channels,
        "encoder_out_channels": widths, "encoder_output_strides": powers_of_two(strides),
    }  # fmt: skip


def _last_stage(arguments: Arguments) -> int:
    return arguments["decoder_channels"][-1]


def _fpn_width(arguments: Arguments) -> int:
    return arguments["segmentation_channels"] * (1 if arguments["merge_policy"] == "add" else 4)


# What follows from the features, so that a user can't give it.
FILLED_IN = (
    "encoder_channels", "encoder_depth", "n_blocks", "in_channels", "encoder_out_channels", "encoder_output_strides",
)  # fmt: skip

_STAGES = Needs(levels=2, pyramid=True, doubling=True, skips=1)
_FOUR = Needs(levels=4, most=4, pyramid=True, doubling=True)
_JOINED = Needs(levels=2, most=2, pyramid=True, skips=2, third_to_last=(4, 2))

ARCHITECTURES: Mapping[str, Architecture] = {
    "Unet": Architecture(UnetDecoder, _unet_like, _last_stage, Needs(levels=2, pyramid=True, skips=1), 3),
    "UnetPlusPlus": Architecture(UnetPlusPlusDecoder, _unetplusplus, _last_stage, _STAGES, 3),
    "MAnet": Architecture(MAnetDecoder, _unet_like, _last_stage, _STAGES, 3),
    "Linknet": Architecture(
        LinknetDecoder, _linknet, lambda given: given["prefinal_channels"], replace(_STAGES, least_width=4)
    ),
    "FPN": Architecture(FPNDecoder, _fpn, _fpn_width, _FOUR),
    "PSPNet": Architecture(
        PSPDecoder, _pspnet, lambda given: given["out_channels"], Needs(reads_one=True, width_multiple=4), 3
    ),
    "PAN": Architecture(
        AnySizePAN, _pan, lambda given: given["decoder_channels"], Needs(levels=2, most=4, pyramid=True, skips=2), 3
    ),
    "DeepLabV3": Architecture(
        DeepLabV3Decoder, _deeplab, lambda given: given["out_channels"], Needs(reads_one=True), initialized=False
    ),
    "DeepLabV3Plus": Architecture(
        DeepLabV3PlusDecoder, _deeplab_plus, lambda given: given["out_channels"], _JOINED, initialized=False
    ),
    "UPerNet": Architecture(
        UPerNetDecoder, _upernet, lambda given: given["decoder_channels"], Needs(levels=2, pyramid=True, skips=2)
    ),
    "Segformer": Architecture(
        SegformerDecoder,
        _segformer,
        lambda given: given["segmentation_channels"],
        Needs(levels=2, pyramid=True, skips=1),
    ),
    "DPT": Architecture(
        AnySizeDPT, _dpt, lambda given: given["fusion_channels"], Needs(levels=2, layers=4, powers_of_two=True)
    ),
}
