"""UPerNet: pyramid pooling on the coarsest feature, a feature pyramid over all.

Source: arXiv 1807.10221.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.decoders.batch_norm import BatchNorm
from geocompose.decoders.needs import Needs
from geocompose.errors import UserError, at_least
from geocompose.registry import DECODER_REGISTRY


class ConvNormRelu(nn.Module):
    """Convolution without bias, batch norm, ReLU; the size is kept."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = BatchNorm(out_channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (B, out_channels, H, W)."""
        return self.act(self.norm(self.conv(x)))


@DECODER_REGISTRY.register
class UperNetDecoder(nn.Module):
    """UPerNet's decoder. Its output has the resolution of the finest feature."""

    needs: ClassVar[Needs] = Needs(levels=2, pyramid=True)
    includes_head: ClassVar[bool] = False

    def __init__(
        self,
        channel_list: list[int],
        channels: int = 256,
        pool_scales: list[int] = [1, 2, 3, 6],  # noqa: B006 - read only
        align_corners: bool = True,
    ) -> None:
        """Take the incoming widths, finest feature first.

        channels: width of every part and of the output. pool_scales: rows and columns of the pooled maps.
        align_corners: how the resizes sample.

        Raises:
            UserError: there are fewer than two features, or a number is too small.
        """
        super().__init__()
        if len(channel_list) < 2:
            raise UserError(f"UperNetDecoder reads a pyramid of two levels or more; got {len(channel_list)} feature.")
        at_least("UperNetDecoder: channels", channels, 1)
        if not pool_scales or any(scale < 1 for scale in pool_scales):
            raise UserError(f"UperNetDecoder: pool_scales are one or more whole numbers from 1 on; got {pool_scales}.")
        *finer, coarsest = channel_list
        self.align_corners = align_corners
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), ConvNormRelu(coarsest, channels, 1)) for scale in pool_scales
        )
        self.bottleneck = ConvNormRelu(coarsest + len(pool_scales) * channels, channels, 3)
        self.lateral_convs = nn.ModuleList(ConvNormRelu(width, channels, 1) for width in finer)
        self.fpn_convs = nn.ModuleList(ConvNormRelu(channels, channels, 3) for _ in finer)
        self.fpn_bottleneck = ConvNormRelu(len(channel_list) * channels, channels, 3)
        self.out_channels = channels

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=self.align_corners)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (B, channels, h, w) as fine as the first feature."""
        *finer, coarsest = features
        pooled = [self._resize(branch(coarsest), coarsest) for branch in self.psp_modules]
        levels = [self.bottleneck(torch.cat([coarsest, *pooled], dim=1))]
        for lateral, feature in zip(reversed(self.lateral_convs), reversed(finer), strict=True):
            side = lateral(feature)
            levels.append(side + self._resize(levels[-1], side))
        top, *below = levels
        maps = [conv(level) for conv, level in zip(self.fpn_convs, reversed(below), strict=True)] + [top]
        return self.fpn_bottleneck(torch.cat([maps[0], *(self._resize(level, maps[0]) for level in maps[1:])], dim=1))
