"""A fully convolutional decoder on one feature map."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from geocompose.arguments import whole_number
from geocompose.contracts.needs import Needs, feature_at, reads_feature
from geocompose.registry import DECODER_REGISTRY


class Norm2d(nn.Module):
    """Layer norm over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map (B, C, H, W), channels-last in memory.

        That is the layout in which the norm is computed; the convolutions after it take it as it is, and a copy to the
        other one costs as much as a third of a forward on processors.
        """
        return self.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@DECODER_REGISTRY.register
class FCNDecoder(nn.Module):
    """Doubles one map `num_convs` times, each by transposed convolution, 3 x 3 convolution, layer norm and GELU."""

    needs: Needs
    includes_head: ClassVar[bool] = False

    def __init__(self, channel_list: list[int], channels: int = 256, num_convs: int = 4, in_index: int = -1) -> None:
        """Take the incoming widths.

        channels: width of every stage and of the output. num_convs: stages, each doubling the resolution (0: none).
        in_index: the feature that is read.
        """
        super().__init__()
        width = feature_at(channel_list, in_index, "FCNDecoder")
        channels = whole_number("FCNDecoder: channels", channels, 1)
        num_convs = whole_number("FCNDecoder: num_convs", num_convs, 0)
        self.in_index = in_index
        self.needs = reads_feature(in_index)
        stages = []
        for _ in range(num_convs):
            stages.append(
                nn.Sequential(
                    nn.ConvTranspose2d(width, channels, 2, 2),
                    nn.Conv2d(channels, channels, 3, padding=1),
                    Norm2d(channels),
                    nn.GELU(),
                )
            )
            width = channels
        self.convs = nn.Sequential(*stages)
        self.out_channels = width

    @staticmethod
    def needs_given(arguments: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs when it is built with these arguments."""
        return reads_feature(arguments.get("in_index", -1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map 2^num_convs times as fine as the feature read."""
        return self.convs(features[self.in_index])
