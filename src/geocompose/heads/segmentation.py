"""The head of semantic segmentation."""

from itertools import pairwise

from torch import Tensor, nn

from geocompose.arguments import dropout_rate, whole_number, whole_numbers
from geocompose.heads.last_convolution import last_convolution


class SegmentationHead(nn.Module):
    """Optional 3 x 3 convolutions with ReLU, dropout, and a convolution to the classes' logits."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channel_list: list[int] | None = None,
        dropout: float = 0.0,
        kernel_size: int | None = 1,
    ) -> None:
        """Take the decoder's width and the number of classes.

        channel_list: widths of 3 x 3 convolutions before the last; none where null. dropout: before the last, 0 to
            below 1. kernel_size: of the last convolution, odd. Where it is null, a composition takes that of the
            decoder's own library (see `geocompose.contracts.usual_head`); by itself the head has 1.

        Raises:
            UserError: a width, the number of classes, the dropout or the kernel's size is out of range.
        """
        super().__init__()
        whole_number("SegmentationHead: num_classes", num_classes, 1)
        dropout = dropout_rate("head.dropout", dropout)
        widths = [in_channels, *whole_numbers("head.channel_list", channel_list or [], 1)]
        layers = [nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU()) for a, b in pairwise(widths)]
        self.head = nn.Sequential(
            nn.Sequential(*layers) if layers else nn.Identity(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            last_convolution(widths[-1], num_classes, kernel_size),
        )

    def forward(self, decoded: Tensor) -> Tensor:
        """Return logits (B, num_classes, h, w) of a map (B, in_channels, h, w)."""
        return self.head(decoded)
