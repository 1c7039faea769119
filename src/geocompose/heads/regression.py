"""The head of pixel-wise regression."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import Module

from geocompose.arguments import dropout_rate, whole_number, whole_numbers
from geocompose.heads.activation import activation
from geocompose.heads.last_convolution import last_convolution


class PixelShuffleUpscale(nn.Module):
    """Doubles a map's rows and columns at the same width: 3 x 3 convolution, pixel shuffle, batch norm, ReLU.

    Source: sub-pixel convolution (arXiv 1609.05158).
    """

    def __init__(self, channels: int, *, batch_norm: bool = True) -> None:
        """Take the width."""
        super().__init__()
        # Pixel shuffle lays 4 channels of a cell out as 2 x 2 cells of one channel: 4 C channels stay C.
        self.conv = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        self.upscale = nn.PixelShuffle(2)
        self.bn = nn.BatchNorm2d(channels) if batch_norm else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (B, C, 2h, 2w)."""
        return self.relu(self.bn(self.upscale(self.conv(x))))


class RegressionHead(nn.Module):
    """Optional learned upscaling and 3 x 3 convolutions, dropout of channels, a convolution to the outputs."""

    # `Module` by its bare name: the configuration's schema is read from this signature.
    def __init__(
        self,
        in_channels: int,
        num_outputs: int,
        final_act: str | type | Module | None = None,
        learned_upscale_layers: int = 0,
        channel_list: list[int] | None = None,
        batch_norm: bool = True,
        dropout: float = 0.0,
        kernel_size: int | None = 1,
    ) -> None:
        """Take the decoder's width and the number of variables.

        final_act: activation of the outputs (before the data's deviation and mean turn them into the physical unit):
            the dotted path of a class, such as torch.nn.Sigmoid, the class, or a module; none where null.
        learned_upscale_layers: each doubles the resolution. channel_list: widths of 3 x 3 convolutions with ReLU after
            that; none where null. batch_norm: batch norm in all of these. dropout: before the last, 0 to below 1.
        kernel_size: of the last convolution, odd. Where it is null, a composition takes that of the decoder's own
            library (see `geocompose.contracts.usual_head`); by itself the head has 1.

        Raises:
            UserError: a number is out of range, or `final_act` is not an activation.
        """
        super().__init__()
        whole_number("RegressionHead: num_outputs", num_outputs, 1)
        upscales = whole_number("head.learned_upscale_layers", learned_upscale_layers, 0)
        dropout = dropout_rate("head.dropout", dropout)
        layers: list[nn.Module] = []
        if upscales:
            layers.append(
                nn.Sequential(*(PixelShuffleUpscale(in_channels, batch_norm=batch_norm) for _ in range(upscales)))
            )
        width = in_channels
        if channel_list is not None:
            widths = [in_channels, *whole_numbers("head.channel_list", channel_list, 1)]
            layers.append(nn.Sequential(*(_block(a, b, batch_norm) for a, b in pairwise(widths))))
            width = widths[-1]
        last = last_convolution(width, num_outputs, kernel_size)
        self.head = nn.Sequential(*layers, nn.Dropout2d(dropout), last)
        self.final_act = activation(final_act)

    def forward(self, decoded: Tensor) -> Tensor:
        """Return the variables (B, num_outputs, h * 2^upscales, w * 2^upscales) of a map (B, in_channels, h, w)."""
        return self.final_act(self.head(decoded))


def _block(width: int, wanted: int, batch_norm: bool) -> nn.Sequential:
    # Batch norm subtracts the mean, and with it any bias before it; it has one of its own.
    norm = nn.BatchNorm2d(wanted) if batch_norm else nn.Identity()
    return nn.Sequential(nn.Conv2d(width, wanted, 3, padding=1, bias=not batch_norm), norm, nn.ReLU())
