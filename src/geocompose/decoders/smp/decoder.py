"""Decoders of segmentation_models.pytorch behind one adapter."""

import inspect
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

from torch import Tensor, nn

from geocompose.catalog.sources import NamedParts
from geocompose.contracts.needs import Needs
from geocompose.decoders.layers import accept_single_values
from geocompose.decoders.smp.architectures import ARCHITECTURES, FILLED_IN, Architecture
from geocompose.decoders.smp.arguments import checked
from geocompose.errors import UserError, choices
from geocompose.registry import DECODER_REGISTRY


class SmpDecoder(nn.Module):
    """A decoder of segmentation_models.pytorch; the features go to it as they are.

    Most of its decoders skip the first feature, PAN and UPerNet the first two, and PSPNet and DeepLabV3 read the last
    alone. Weights begin as those of smp's model of the same name do, and so do those of the head behind it.
    """

    needs: Needs
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
        strides: the features' strides, where known, to check that they fit; DPT has to know them.

        Raises:
            UserError: an unknown architecture or argument, too few features, or features that can't be joined.
        """
        super().__init__()
        row = architecture(arch)
        allowed = [name for name in inspect.signature(row.decoder).parameters if name not in FILLED_IN]
        given = checked(arch, kwargs or {}, allowed)
        least = row.needs.levels + row.needs.skips
        if len(channel_list) < least:
            skips = {0: "", 1: " (its first is skipped)", 2: " (its first two are skipped)"}[row.needs.skips]
            raise UserError(f"smp's {arch} decoder needs {least} features or more{skips}; got {len(channel_list)}.")
        arguments = row.complete(list(channel_list), strides, given)
        self.needs = row.needs_with(given)
        self.usual_head = row.usual_head
        self._smp_decoder = row.decoder(**arguments)
        row.start(self._smp_decoder)
        accept_single_values(self._smp_decoder)  # pooling to 1 x 1 and a batch of one image
        self.out_channels = row.width(arguments)

    @staticmethod
    def needs_given(arguments: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs when it is built with these arguments."""
        return architecture(arguments["arch"]).needs_with(arguments.get("kwargs") or {})

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the decoder's map (B, out_channels, h, w)."""
        return self._smp_decoder(features)


def architecture(arch: str) -> Architecture:
    """Return the row of an architecture.

    Raises:
        UserError: there is no such architecture; names the nearest.
    """
    if arch not in ARCHITECTURES:
        raise UserError(f"There is no smp decoder {arch!r} here. {choices(arch, ARCHITECTURES)}")
    return ARCHITECTURES[arch]


DECODER_REGISTRY.register_source("smp", NamedParts(SmpDecoder, ARCHITECTURES.keys, argument="arch"))
