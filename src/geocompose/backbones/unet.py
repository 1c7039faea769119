"""A U-Net from scratch as a backbone: a small network for small data, without pretrained weights."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError, at_least
from geocompose.imagery.numbered_bands import channel_names
from geocompose.registry import BACKBONE_REGISTRY


@BACKBONE_REGISTRY.register
class UNet(nn.Module):
    """The way up of a U-Net as a pyramid of maps, finest first; each level is twice as wide as the one before.

    The coarsest level is the bottleneck. Height and width must be multiples of the coarsest stride.

    Source: arXiv 1505.04597, with batch norm and padded convolutions.
    """

    def __init__(
        self,
        bands: list[str] | None = None,
        in_channels: int | None = None,
        out_channels: int = 64,
        num_stages: int = 5,
        strides: list[int] | None = None,
        downsamples: list[bool] | None = None,
        enc_num_convs: list[int] | None = None,
        dec_num_convs: list[int] | None = None,
        enc_dilations: list[int] | None = None,
        dec_dilations: list[int] | None = None,
        out_indices: list[int] | None = None,
    ) -> None:
        """Build with random weights.

        bands: names of the image's channels; in_channels: their number where `bands` is null (null: 3).
        out_channels: width of the finest stage. num_stages: levels, the bottleneck included; the finest is stage 0.
        strides: 1 or 2 per stage, 2 for a convolution that halves the resolution; null: all 1.
        downsamples: for each stage but the first, whether pooling halves the resolution before it where its stride is
            1; null: all true.
        enc_num_convs, dec_num_convs: convolutions per stage on the way down and, for each stage but the last, up; null:
            2.
        enc_dilations, dec_dilations: their dilations, the first of each stage aside; null: 1.
        out_indices: levels to return, 0 the finest, negative ones from the end; null: all.

        Raises:
            UserError: a list has another length than the stages, or a value is not allowed.
        """
        super().__init__()
        at_least("backbone.num_stages", num_stages, 1)
        at_least("backbone.out_channels", out_channels, 1)
        down, up = num_stages, num_stages - 1
        first = _per_stage("strides", strides, down, 1, allowed=(1, 2))
        pooled = [False, *_per_stage("downsamples", downsamples, up, True, allowed=(False, True))]
        self.bands = None if bands is None else channel_names("backbone.bands", bands)
        self.in_chans = _channels(self.bands, in_channels)
        self.num_stages = num_stages
        widths = [out_channels * 2**stage for stage in range(num_stages)]
        halved = [2 if stride == 2 or pool else 1 for stride, pool in zip(first, pooled, strict=True)]
        self.level_strides = [math.prod(halved[: stage + 1]) for stage in range(num_stages)]
        self.widths = widths

        self.encoder = nn.ModuleList()
        sizes = zip(
            [self.in_chans, *widths],
            widths,
            first,
            pooled,
            _per_stage("enc_num_convs", enc_num_convs, down, 2),
            _per_stage("enc_dilations", enc_dilations, down, 1),
            strict=False,
        )
        for before, width, stride, pool, count, dilation in sizes:
            stage = _convolutions(before, width, count, stride=stride, dilation=dilation)
            self.encoder.append(nn.Sequential(nn.MaxPool2d(2), *stage) if pool and stride == 1 else stage)
        dec_counts = _per_stage("dec_num_convs", dec_num_convs, up, 2)
        dec_spread = _per_stage("dec_dilations", dec_dilations, up, 1)
        self.decoder = nn.ModuleList(
            _Up(widths[level], halved[level + 1], count=dec_counts[level], dilation=dec_spread[level])
            for level in range(up)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.out_indices = LayerNumbers(range(num_stages), num_stages)
        if out_indices is not None:
            self.select_layers(out_indices)

    def select_layers(self, indices: Sequence[int]) -> None:
        """Return only these levels, in this order, and compute nothing finer than the finest of them.

        What is not computed any more stops requiring gradients for good.

        Raises:
            UserError: an index is outside the levels, given twice or was given up before, or `indices` is empty.
        """
        wanted = [index + self.num_stages if index < 0 else index for index in indices]
        if not wanted or any(not 0 <= index < self.num_stages for index in wanted) or len(set(wanted)) < len(wanted):
            raise UserError(
                f"This backbone has levels 0 (finest) to {self.num_stages - 1}, each selectable once; got "
                f"{list(indices)}."
            )
        finest = min(wanted)
        if finest < min(self.out_indices):
            raise UserError(
                f"Level {finest} was given up when level {min(self.out_indices)} was selected as the finest, and no "
                "longer learns. Build the backbone anew with the out_indices that you need."
            )
        self.out_indices = LayerNumbers(wanted, self.num_stages)
        self.decoder[:finest].requires_grad_(False)

    @property
    def out_channels(self) -> list[int]:
        """The width of each returned feature."""
        return [self.widths[index] for index in self.out_indices]

    @property
    def feature_specs(self) -> list[FeatureSpec]:
        """The returned features."""
        return [FeatureSpec(self.widths[index], self.level_strides[index]) for index in self.out_indices]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the selected levels of an image (B, C, H, W).

        Raises:
            UserError: another number of channels, or a size that the coarsest stride does not divide.
        """
        coarsest = self.level_strides[-1]
        if image.ndim != 4 or image.shape[1] != self.in_chans:
            raise UserError(
                f"This backbone takes images (B, {self.in_chans}, rows, columns); got {tuple(image.shape)}."
            )
        if any(not pixels or pixels % coarsest for pixels in image.shape[2:]):
            raise UserError(
                f"An image of {image.shape[2]} x {image.shape[3]} pixels is not a multiple of this U-Net's coarsest "
                f"stride, {coarsest}; pad the image (PixelWiseModel does)."
            )
        skips = []
        for stage in self.encoder:
            image = stage(image)
            skips.append(image)
        levels = {self.num_stages - 1: image}
        for level in reversed(range(min(self.out_indices), self.num_stages - 1)):
            image = self.decoder[level](skips[level], image)
            levels[level] = image
        return [levels[level] for level in self.out_indices]


class _Up(nn.Module):
    """Brings a coarser map, twice as wide, to the width and resolution of a finer one, joins the two and convolves."""

    def __init__(self, width: int, factor: int, *, count: int, dilation: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * width, width, factor, factor)
        self.convolutions = _convolutions(2 * width, width, count, stride=1, dilation=dilation)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return self.convolutions(torch.cat([fine, self.up(coarse)], dim=1))


def _convolutions(before: int, width: int, count: int, *, stride: int, dilation: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for place in range(count):
        spread = dilation if place else 1
        convolution = nn.Conv2d(
            width if place else before,
            width,
            3,
            stride=1 if place else stride,
            padding=spread,
            dilation=spread,
            bias=False,
        )
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _per_stage(
    name: str, given: Sequence[int] | None, count: int, default: int, *, allowed: tuple[int, ...] = ()
) -> list[int]:
    values = [default] * count if given is None else list(given)
    if len(values) != count:
        raise UserError(f"backbone.{name} has one value per stage: {count} here; got {values}.")
    for value in values:
        if allowed and value not in allowed:
            raise UserError(f"backbone.{name} takes {' or '.join(str(one).lower() for one in allowed)}; got {values}.")
        at_least(f"backbone.{name}: each value", value, 0 if allowed else 1)
    return values


def _channels(bands: list[str] | None, in_channels: int | None) -> int:
    if bands is not None and in_channels not in (None, len(bands)):
        raise UserError(
            f"backbone.in_channels={in_channels} contradicts backbone.bands={bands}, which are {len(bands)}: leave one "
            "out."
        )
    count = len(bands) if bands is not None else 3 if in_channels is None else in_channels
    at_least("backbone.in_channels", count, 1)
    return count
