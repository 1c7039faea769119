"""The U-Net decoder of segmentation_models.pytorch on any pyramid of features."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from geocompose.arguments import whole_numbers
from geocompose.contracts.needs import Needs, layers_for
from geocompose.decoders.smp.initialization import start_decoder
from geocompose.errors import UserError
from geocompose.registry import DECODER_REGISTRY

# Squeeze and excitation works on a sixteenth of the width (smp's `reduction`), which has to leave 1.
LEAST_ATTENDED = 16


def halved(levels: int, first: int = 256) -> list[int]:
    """Return the usual widths of a U-Net: `first`, halved at each level."""
    return [max(1, first >> level) for level in range(levels)]


def check_attention(name: str, widths: list[int]) -> None:
    """Refuse widths that squeeze and excitation, which works on a sixteenth of them, would leave nothing of.

    Raises:
        UserError: a width is below 16.
    """
    if min(widths) < LEAST_ATTENDED:
        raise UserError(f"{name} must be {LEAST_ATTENDED} or more each with attention_type=scse; got {widths}.")


@DECODER_REGISTRY.register
class UNetDecoder(nn.Module):
    """A U-Net decoder over a pyramid. Its output has the resolution of the finest feature; weights begin as smp's do.

    Source: arXiv 1505.04597.
    """

    needs: Needs
    includes_head: ClassVar[bool] = False

    def __init__(
        self,
        channel_list: list[int],
        channels: list[int] | None = None,
        use_batchnorm: bool = True,
        attention_type: Literal["scse"] | None = None,
    ) -> None:
        """Take the incoming widths, finest feature first.

        channels: width of each stage, coarsest first, one per feature; where null 256, halved at each stage.
        attention_type: `scse` for squeeze and excitation after each stage.

        Raises:
            UserError: `channels` has another length than the features.
        """
        super().__init__()
        widths = (
            whole_numbers("UNetDecoder: channels", channels, 1) if channels is not None else halved(len(channel_list))
        )
        if len(widths) != len(channel_list):
            raise UserError(
                f"UNetDecoder: decoder.channels has one width per feature: {len(channel_list)} here, got {widths}. "
                f"Write for example {halved(len(channel_list))}, or null."
            )
        if attention_type not in (None, "scse"):
            raise UserError(f"UNetDecoder: attention_type must be null or scse; got {attention_type!r}.")
        if attention_type:
            check_attention("UNetDecoder: the widths of channels", widths)
        self.needs = self.needs_given({"channels": widths})
        # smp's decoder skips its first feature; given twice, none of the real ones is lost.
        self.decoder = UnetDecoder(
            encoder_channels=[channel_list[0], *channel_list],
            decoder_channels=widths,
            n_blocks=len(widths),
            use_norm="batchnorm" if use_batchnorm else False,
            attention_type=attention_type,
        )
        start_decoder(self.decoder)  # as TerraTorch's decoder of this name does too
        self.out_channels = widths[-1]

    @staticmethod
    def needs_given(arguments: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs when it is built with these arguments: as many levels as it has stages."""
        return Needs(levels=2, pyramid=True, layers=layers_for(arguments.get("channels"), 2))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map as fine as the first feature."""
        return self.decoder([features[0], *features])
