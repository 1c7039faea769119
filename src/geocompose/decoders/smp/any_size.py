"""smp decoders whose own forward stops at some sizes, made to take any; where theirs runs, the output is the same."""

from collections.abc import Sequence
from fractions import Fraction
from math import log2
from typing import Literal

from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder
from segmentation_models_pytorch.decoders.pan.decoder import FPABlock, PANDecoder
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.decoders.foreign import shown
from geocompose.decoders.layers import resized
from geocompose.errors import UserError


class HalfOrOne(nn.Module):
    """Max pooling to half the rows and columns, and never to none."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the map (B, C, max(1, h // 2), max(1, w // 2))."""
        return F.max_pool2d(x, (min(2, x.shape[2]), min(2, x.shape[3])))


class AnySizeFPA(FPABlock):
    """Feature pyramid attention on maps of fewer than 8 rows or columns too."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels=in_channels, out_channels=out_channels)
        for step in (self.down1, self.down2, self.down3):
            step[0] = HalfOrOne()

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resized(x, like, align_corners=self.align_corners, mode=self.upscale_mode)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (B, out_channels, h, w)."""
        half = self.down1(x)
        quarter = self.down2(half)
        attention = self.conv2(quarter) + self._resize(self.down3(quarter), quarter)
        attention = self.conv1(half) + self._resize(attention, half)
        return self._resize(attention, x) * self.mid(x) + self._resize(self.branch1(x), x)


class AnySizePAN(PANDecoder):
    """smp's PAN decoder, whose attention pools its last feature three times."""

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_depth: Literal[3, 4, 5],
        decoder_channels: int,
        interpolation_mode: str = "bilinear",
    ) -> None:
        super().__init__(encoder_channels, encoder_depth, decoder_channels, interpolation_mode)
        self.fpa = AnySizeFPA(encoder_channels[-1], decoder_channels)


class AnySizeDPT(DPTDecoder):
    """smp's DPT decoder on maps, which no longer have a class token.

    It brings the features to 1/4, 1/8, 1/16, ... of the input and doubles its way back to 1/2. Grids that a step to the
    next scale does not divide are continued at their border, and the output is cropped.
    """

    def __init__(
        self,
        encoder_out_channels: Sequence[int],
        encoder_output_strides: Sequence[int],
        readout: Literal["ignore", "cat"] = "ignore",
        intermediate_channels: Sequence[int] = (256, 512, 1024, 1024),
        fusion_channels: int = 256,
    ) -> None:
        super().__init__(
            encoder_out_channels, encoder_output_strides, False, readout, intermediate_channels, fusion_channels
        )
        # n features become strides 4, 8, ..., 2^(n+1): a grid has to hold whole cells of the last of these.
        coarsest = 2 ** (len(encoder_out_channels) + 1)
        self.strides = list(encoder_output_strides)
        self.cells = [max(1, coarsest // stride) for stride in encoder_output_strides]

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (B, fusion_channels, H / 2, W / 2)."""
        padded = [_continued(feature, cells) for feature, cells in zip(features, self.cells, strict=True)]
        fused = super().forward(padded, [None] * len(padded))
        rows, columns = (size * self.strides[0] // 2 for size in features[0].shape[2:])
        return fused[..., :rows, :columns]


def _continued(x: Tensor, multiple: int) -> Tensor:
    right, below = -x.shape[3] % multiple, -x.shape[2] % multiple
    return F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x.contiguous()


def powers_of_two(strides: Sequence[int | Fraction]) -> list[int]:
    """Return strides as DPT's steps count them: a ViT's patch of 14 pixels stands for 16.

    Raises:
        UserError: the strides are not powers of two of each other.
    """
    exact = [Fraction(stride) for stride in strides]
    unit = exact[0] / 2 ** max(0, round(log2(exact[0])))
    counted = [stride / unit for stride in exact]
    if any(stride.denominator != 1 or stride.numerator & (stride.numerator - 1) for stride in counted):
        raise UserError(
            "smp DPT halves and doubles its features: their strides must be powers of two of each other; got "
            f"{shown(exact)}."
        )
    return [int(stride) for stride in counted]
