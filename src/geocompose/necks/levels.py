"""Levels that some smp decoders expect beside those of the backbone."""

from torch import Tensor, nn

from geocompose.arguments import whole_number
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY


@NECK_REGISTRY.register
class AddInputLevel(Neck):
    """Puts a level of the input's resolution first, for smp decoders, which skip it and only read its size.

    It is one constant channel that takes no memory.
    """

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths with that of the new level first."""
        return [1, *channel_list]

    def forward(self, features: list[Tensor], image_size: tuple[int, int]) -> list[Tensor]:  # type: ignore[override]
        """Return the features with the new level (B, 1, rows, columns) first."""
        first = features[0]
        return [first.new_zeros(1).expand(first.shape[0], 1, *image_size), *features]


@NECK_REGISTRY.register
class AddBottleneckLayer(Neck):
    """Appends a level: the last map at half its width, by a 1 x 1 convolution, at the same resolution.

    For decoders whose last two features have one resolution.
    """

    def __init__(self, channel_list: list[int]) -> None:
        """Take the incoming widths.

        Raises:
            UserError: the last width can't be halved.
        """
        super().__init__(channel_list)
        width = whole_number("AddBottleneckLayer: the last feature's width, which is halved,", channel_list[-1], 2)
        self.bottleneck = nn.Conv2d(width, width // 2, kernel_size=1)

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths with half of the last one appended, rounded down."""
        return [*channel_list, channel_list[-1] // 2]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the features with the new level (B, C // 2, h, w) last."""
        return [*features, self.bottleneck(features[-1])]
