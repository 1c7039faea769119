"""The block of which UPerNet and atrous pooling are made."""

from torch import Tensor, nn

from geocompose.decoders.batch_norm import BatchNorm


class ConvNormRelu(nn.Module):
    """Convolution without bias, batch norm, ReLU; the size is kept."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel_size // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False)
        self.norm = BatchNorm(out_channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (B, out_channels, H, W)."""
        return self.act(self.norm(self.conv(x)))
