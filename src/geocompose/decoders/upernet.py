"""UPerNet: pyramid pooling on the coarsest feature, a feature pyramid over all.

Source: arXiv 1807.10221.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from geocompose.arguments import whole_number, whole_numbers
from geocompose.contracts.needs import Needs
from geocompose.decoders.layers import ConvNormRelu, joined_at_first, resized
from geocompose.decoders.small_maps import convolved_at_first
from geocompose.errors import UserError
from geocompose.necks.pyramid import LearnedInterpolateToPyramidal
from geocompose.registry import DECODER_REGISTRY


@DECODER_REGISTRY.register
class UperNetDecoder(nn.Module):
    """UPerNet's decoder. Its output has the resolution of the finest level of the pyramid."""

    needs: Needs
    includes_head: ClassVar[bool] = False

    def __init__(
        self,
        channel_list: list[int],
        channels: int = 256,
        pool_scales: list[int] = [1, 2, 3, 6],  # noqa: B006 - read only
        align_corners: bool = True,
        scale_modules: bool = False,
        joining: Literal["small", "enlarged"] = "enlarged",
    ) -> None:
        """Take the incoming widths, finest feature first.

        channels: width of every part and of the output. pool_scales: rows and columns of the pooled maps.
        align_corners: how the resizes sample. scale_modules: the features are four maps of one resolution, and the
        decoder makes the pyramid itself, where a LearnedInterpolateToPyramidal among the necks is the way now: for
        weights that have it in the decoder. joining: whether the last convolution reads the coarser levels as they are
        (`small`, see `geocompose.decoders.small_maps`) or after they were enlarged; the same but for rounding.

        Raises:
            UserError: there are fewer than two features, or a number is too small.
        """
        super().__init__()
        self.needs = self.needs_given({"scale_modules": scale_modules})
        self.scale_modules = scale_modules
        if joining not in ("small", "enlarged"):
            raise UserError(f"UperNetDecoder: joining must be small or enlarged; got {joining!r}.")
        self.joining = joining
        if scale_modules:
            if len(channel_list) != 4:
                raise UserError(
                    "UperNetDecoder: with scale_modules it makes its pyramid of four features; got "
                    f"{len(channel_list)}. Select four, such as {{name: SelectIndices, indices: [2, 5, 8, 11]}}."
                )
            pyramid = LearnedInterpolateToPyramidal(channel_list)
            channel_list = pyramid.process_channel_list(channel_list)
            for name, level in pyramid.named_children():
                self.add_module(name, level)
        if len(channel_list) < 2:
            raise UserError(f"UperNetDecoder reads a pyramid of two levels or more; got {len(channel_list)} feature.")
        channels = whole_number("UperNetDecoder: channels", channels, 1)
        pool_scales = whole_numbers("UperNetDecoder: pool_scales", pool_scales, 1)
        if not pool_scales:
            raise UserError("UperNetDecoder: pool_scales must be a list of one or more, such as [1, 2, 3, 6]; got [].")
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

    @staticmethod
    def needs_given(arguments: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs when it is built with these arguments."""
        if arguments.get("scale_modules"):
            return Needs(levels=4, one_scale=True, layers=4, coarser=2)
        return Needs(levels=2, pyramid=True)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (B, channels, h, w) as fine as the first feature; 4 times as fine with `scale_modules`."""
        if self.scale_modules:
            features = [getattr(self, f"fpn{level}")(feature) for level, feature in enumerate(features, start=1)]
        *finer, coarsest = features
        # Pyramid pooling: the coarsest feature beside its means over 1, 2, 3 and 6 rows and columns.
        pooled = [branch(coarsest) for branch in self.psp_modules]
        levels = [self.bottleneck(joined_at_first([coarsest, *pooled], align_corners=self.align_corners))]
        for lateral, feature in zip(reversed(self.lateral_convs), reversed(finer), strict=True):
            side = lateral(feature)
            levels.append(side + resized(levels[-1], side, align_corners=self.align_corners))
        top, *below = levels
        maps = [conv(level) for conv, level in zip(self.fpn_convs, reversed(below), strict=True)] + [top]
        if self.joining == "enlarged":
            return self.fpn_bottleneck(joined_at_first(maps, align_corners=self.align_corners))
        last = self.fpn_bottleneck
        return last.act(last.norm(convolved_at_first(last.conv, maps, align_corners=self.align_corners)))
