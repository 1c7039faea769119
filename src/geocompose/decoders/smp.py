"""Decoders of segmentation_models.pytorch behind one adapter."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any, ClassVar

from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from torch import Tensor, nn

from geocompose.decoders.batch_norm import accept_single_values
from geocompose.decoders.needs import Needs
from geocompose.decoders.unet import halved
from geocompose.errors import UserError, choices
from geocompose.registry import DECODER_REGISTRY

Arguments = dict[str, Any]
OUR_ARGUMENTS = ("encoder_channels", "encoder_depth", "n_blocks")  # follow from the features; nobody gives them


def _unet_arguments(widths: list[int], strides: list[int | Fraction] | None, given: Arguments) -> Arguments:
    # The first feature is skipped, each of the others is a stage.
    channels = given.get("decoder_channels") or halved(len(widths) - 1)
    if not isinstance(channels, list | tuple) or len(channels) != len(widths) - 1:
        raise UserError(
            f"smp: decoder_channels has one width a feature after the first: {len(widths) - 1} here, got {channels}. "
            f"Write for example {halved(len(widths) - 1)}, or null."
        )
    return {**given, "decoder_channels": list(channels), "n_blocks": len(channels)}


def _fpn_arguments(widths: list[int], strides: list[int | Fraction] | None, given: Arguments) -> Arguments:
    return {"encoder_depth": len(widths), **given}


def _deeplab_arguments(widths: list[int], strides: list[int | Fraction] | None, given: Arguments) -> Arguments:
    fits_8 = strides is not None and strides[2] * 2 == strides[-1]
    arguments = {
        "out_channels": 256, "atrous_rates": (12, 24, 36), "output_stride": 8 if fits_8 else 16, "aspp_separable": True,
        "aspp_dropout": 0.5, **given, "encoder_depth": 5,
    }  # fmt: skip
    factor = {16: 4, 8: 2}.get(arguments["output_stride"])
    if factor is None:
        raise UserError(f"smp DeepLabV3Plus: output_stride is 16 or 8; got {arguments['output_stride']}.")
    if strides is not None and strides[2] * factor != strides[-1]:
        raise UserError(
            f"smp DeepLabV3Plus joins its last feature, enlarged {factor} times, to its third: the third must be {factor} times "
            f"as fine as the last; the features have strides {strides}. Select features so that this holds."
        )
    return arguments


@dataclass(frozen=True)
class Architecture:
    """How one smp decoder is built from feature widths, and what it needs of the features."""

    decoder: type[nn.Module]
    arguments: Callable[[list[int], list[int | Fraction] | None, Arguments], Arguments]
    width: Callable[[Arguments, nn.Module], int]
    needs: Needs = field(default=Needs(levels=4, pyramid=True))


ARCHITECTURES: Mapping[str, Architecture] = {
    "Unet": Architecture(
        UnetDecoder,
        _unet_arguments,
        lambda given, _: given["decoder_channels"][-1],
        Needs(2, pyramid=True, input_level=True),
    ),
    "UnetPlusPlus": Architecture(
        UnetPlusPlusDecoder,
        _unet_arguments,
        lambda given, _: given["decoder_channels"][-1],
        Needs(2, pyramid=True, input_level=True),
    ),
    "FPN": Architecture(FPNDecoder, _fpn_arguments, lambda _, decoder: decoder.out_channels),  # type: ignore[return-value,arg-type]
    "DeepLabV3Plus": Architecture(
        DeepLabV3PlusDecoder,
        _deeplab_arguments,
        lambda given, _: given["out_channels"],
        Needs(levels=3, pyramid=True, third_to_last=4),
    ),
}


class SmpDecoder(nn.Module):
    """A decoder of segmentation_models.pytorch; the features go to it as they are (its decoders skip the first)."""

    includes_head: ClassVar[bool] = False

    def __init__(
        self,
        channel_list: list[int],
        arch: str,
        kwargs: dict[str, object] | None = None,
        strides: list[int | Fraction] | None = None,
    ) -> None:
        """Take the incoming widths.

        arch: a key of `ARCHITECTURES`. kwargs: arguments of that smp decoder's constructor; a null is filled in.
        strides: the features' strides, where known, to check that they fit.

        Raises:
            UserError: an unknown architecture or argument, too few features, or strides that can't be joined.
        """
        super().__init__()
        row = architecture(arch)
        allowed = [name for name in inspect.signature(row.decoder).parameters if name not in OUR_ARGUMENTS]
        given = {name: value for name, value in (kwargs or {}).items() if value is not None}
        for name in kwargs or {}:
            if name not in allowed:
                raise UserError(f"smp's {arch} decoder takes no argument {name!r}. {choices(name, allowed)}")
        if len(channel_list) < row.needs.levels + row.needs.input_level:
            raise UserError(
                f"smp's {arch} decoder needs {row.needs.levels + row.needs.input_level} features or more "
                f"(its first is skipped); got {len(channel_list)}."
            )
        arguments = row.arguments(list(channel_list), strides, given)
        self._smp_decoder = row.decoder(encoder_channels=list(channel_list), **arguments)
        accept_single_values(self._smp_decoder)  # pooling to 1 x 1 and a batch of one image
        self.out_channels = row.width(arguments, self._smp_decoder)

    @staticmethod
    def needs(arch: str) -> Needs:
        """Return what the architecture needs of its features."""
        return architecture(arch).needs

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the decoder's map (B, out_channels, h, w)."""
        return self._smp_decoder(features)


def architecture(arch: str) -> Architecture:
    """Return the row of an architecture.

    Raises:
        UserError: there is none; names the nearest.
    """
    if arch not in ARCHITECTURES:
        raise UserError(f"There is no smp decoder {arch!r} here. {choices(arch, ARCHITECTURES)}")
    return ARCHITECTURES[arch]


class SmpSource(Mapping[str, Callable[..., SmpDecoder]]):
    """The decoders of segmentation_models.pytorch by their architecture's name, such as `Unet`."""

    def __getitem__(self, name: str) -> Callable[..., SmpDecoder]:
        if name not in ARCHITECTURES:
            raise KeyError(name)
        return partial(SmpDecoder, arch=name)

    def __iter__(self) -> Iterator[str]:
        return iter(ARCHITECTURES)

    def __len__(self) -> int:
        return len(ARCHITECTURES)


DECODER_REGISTRY.register_source("smp", SmpSource())
