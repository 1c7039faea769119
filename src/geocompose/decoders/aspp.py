"""Atrous spatial pyramid pooling (DeepLabV3's) on one feature, with and without a head.

Source: arXiv 1706.05587.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from geocompose.arguments import dropout_rate, whole_number, whole_numbers
from geocompose.contracts.needs import Needs, feature_at, reads_feature
from geocompose.decoders.layers import ConvNormRelu, joined_at_first, resized
from geocompose.errors import UserError
from geocompose.registry import DECODER_REGISTRY


@DECODER_REGISTRY.register
class ASPPDecoder(nn.Module):
    """One feature seen at several dilations and as a whole, joined by a 3 x 3 convolution; the resolution is kept."""

    needs: Needs
    includes_head: ClassVar[bool] = False

    def __init__(
        self,
        channel_list: list[int],
        dilations: list[int] = [1, 6, 12, 18],  # noqa: B006 - read only
        in_channels: int | None = None,
        channels: int = 256,
        align_corners: bool = False,
        input_transform: Literal["resize_concat"] | None = None,
        in_index: int | list[int] = -1,
    ) -> None:
        """Take the incoming widths.

        dilations: one branch each, a 3 x 3 convolution of that dilation (1 x 1 where it is 1); another branch sees the
        mean of the map. in_channels: width of what is read; it follows from the features, and another number is
        refused.
        channels: width of every branch and of the output. align_corners: how the resizes sample. in_index: the feature
        that is read. input_transform: `resize_concat` reads several, a list in `in_index`: they are resized to the
        first of them and joined.

        Raises:
            UserError: a number is out of range, or `in_index` and `input_transform` don't fit together.
        """
        super().__init__()
        name = type(self).__name__
        if input_transform not in (None, "resize_concat"):
            raise UserError(f"{name}: input_transform must be null or resize_concat; got {input_transform!r}.")
        if (input_transform is None) is not isinstance(in_index, int):
            raise UserError(
                f"{name}: in_index must be one number, or a list with input_transform=resize_concat; got {in_index} "
                f"with input_transform={input_transform or 'null'}."
            )
        self.needs = reads_feature(in_index)
        self.in_index = [in_index] if isinstance(in_index, int) else list(in_index)
        widths = [feature_at(channel_list, index, name) for index in self.in_index]
        if not widths:
            raise UserError(f"{name}: in_index must be a list of one or more features, such as [0, 1]; got [].")
        width = sum(widths)
        if in_channels not in (None, width):
            raise UserError(f"{name}: in_channels follows from the features and is {width} here; got {in_channels}.")
        dilations = whole_numbers(f"{name}: dilations", dilations, 1)
        if not dilations:
            raise UserError(f"{name}: dilations must be a list of one or more, such as [1, 6, 12, 18]; got [].")
        channels = whole_number(f"{name}: channels", channels, 1)
        self.align_corners = align_corners
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormRelu(width, channels, 1))
        self.aspp_modules = AtrousBranches(width, channels, dilations)
        self.bottleneck = ConvNormRelu((len(dilations) + 1) * channels, channels, 3)
        self.out_channels = channels

    @staticmethod
    def needs_given(arguments: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs when it is built with these arguments."""
        return reads_feature(arguments.get("in_index", -1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (B, channels, h, w) as fine as the (first) feature read."""
        x = joined_at_first([features[index] for index in self.in_index], align_corners=self.align_corners)
        whole = resized(self.image_pool(x), x, align_corners=self.align_corners)
        return self.bottleneck(torch.cat([whole, *self.aspp_modules(x)], dim=1))


class AtrousBranches(nn.Module):
    """A convolution for each dilation: windows of several sizes on the same map, at the cost of 3 x 3."""

    def __init__(self, in_channels: int, channels: int, dilations: list[int]) -> None:
        super().__init__()
        self.model_sequence = nn.ModuleList(
            ConvNormRelu(in_channels, channels, 1 if dilation == 1 else 3, dilation) for dilation in dilations
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return a map (B, channels, h, w) for each dilation."""
        return [branch(x) for branch in self.model_sequence]


DECODER_REGISTRY.register_as("ASPPHead", ASPPDecoder)  # its name in TerraTorch


class ASPPWithHead(ASPPDecoder):
    """Atrous spatial pyramid pooling, dropout of whole channels and a 1 x 1 convolution to the outputs.

    last: the name of that convolution in the state dict, which is TerraTorch's.
    """

    includes_head: ClassVar[bool] = True
    last: ClassVar[str]

    def __init__(
        self,
        channel_list: list[int],
        num_classes: int,
        dilations: list[int] = [1, 6, 12, 18],  # noqa: B006 - read only
        in_channels: int | None = None,
        channels: int = 256,
        align_corners: bool = False,
        head_dropout_ratio: float = 0.3,
        input_transform: Literal["resize_concat"] | None = None,
        in_index: int | list[int] = -1,
    ) -> None:
        """Take the incoming widths and the number of outputs per pixel: classes, or variables.

        head_dropout_ratio: share of channels dropped before the last convolution, 0 to below 1. The others: see
        `ASPPDecoder`.

        Raises:
            UserError: a number is out of range.
        """
        super().__init__(channel_list, dilations, in_channels, channels, align_corners, input_transform, in_index)
        self.dropout = nn.Dropout2d(dropout_rate(f"{type(self).__name__}: head_dropout_ratio", head_dropout_ratio))
        self.add_module(self.last, nn.Conv2d(channels, num_classes, kernel_size=1))
        self.out_channels = num_classes

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return logits or values (B, num_classes, h, w)."""
        return self.get_submodule(self.last)(self.dropout(super().forward(features)))


@DECODER_REGISTRY.register
class ASPPSegmentationHead(ASPPWithHead):
    """Atrous spatial pyramid pooling with its head: logits of classes."""

    last = "conv_seg"


@DECODER_REGISTRY.register
class ASPPRegressionHead(ASPPWithHead):
    """Atrous spatial pyramid pooling with its head: values of variables (`num_classes`, as every such decoder says)."""

    last = "conv_reg"
