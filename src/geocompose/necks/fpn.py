"""A feature pyramid network as a neck."""

from torch import Tensor
from torchvision.ops import FeaturePyramidNetwork

from geocompose.arguments import whole_number
from geocompose.errors import UserError
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY


@NECK_REGISTRY.register
class FeaturePyramidNetworkNeck(Neck):
    """Gives every map of a pyramid the same width and what the coarser ones know; resolutions stay.

    Source: arXiv 1612.03144, as torchvision has it.
    """

    reads_maps = True

    def __init__(self, channel_list: list[int], out_channel: int = 256, output_ordered_dict: bool = False) -> None:
        """Take the incoming widths, finest map first, and the width of every map that comes out.

        output_ordered_dict: false, because a neck returns a list; TerraTorch's users write it out.

        Raises:
            UserError: `out_channel` is below 1, or a mapping is asked for.
        """
        super().__init__(channel_list)
        if output_ordered_dict:
            raise UserError(
                "FeaturePyramidNetworkNeck returns a list of maps, as every neck does, not a mapping, whose names a "
                "decoder would read as its maps. Leave output_ordered_dict out, or write false."
            )
        self.out_channel = whole_number("FeaturePyramidNetworkNeck: out_channel", out_channel, 1)
        self.fpn = FeaturePyramidNetwork(self.channel_list, self.out_channel)

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return `out_channel` for each feature."""
        return [self.out_channel] * len(channel_list)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return maps (B, out_channel, h, w), each as fine as the one that came in its place."""
        named = {str(level): feature for level, feature in enumerate(features)}
        return list(self.fpn(named).values())
