"""A linear decoder: each cell of one feature map predicts the pixels that it covers."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

from torch import Tensor, nn

from geocompose.arguments import whole_number
from geocompose.contracts.needs import Needs, feature_at, reads_feature
from geocompose.errors import UserError
from geocompose.registry import DECODER_REGISTRY


@DECODER_REGISTRY.register
class LinearDecoder(nn.Module):
    """One transposed convolution whose kernel and stride are the feature's stride: a linear map from cell to pixels.

    Includes the head: its output are the logits. Source: the linear decoder of arXiv 2504.17397's comparison.
    """

    needs: Needs
    includes_head: ClassVar[bool] = True

    def __init__(
        self,
        channel_list: list[int],
        num_classes: int,
        upsampling_size: int | None = None,
        in_index: int = -1,
        strides: list[int | Fraction] | None = None,
    ) -> None:
        """Take the incoming widths and the number of outputs.

        upsampling_size: pixels in a row of a cell; the stride of the feature read where null (`strides` tells it).
        in_index: the feature that is read.

        Raises:
            UserError: neither `upsampling_size` nor `strides` is known.
        """
        super().__init__()
        width = feature_at(channel_list, in_index, "LinearDecoder")
        if upsampling_size is None and strides is None:
            raise UserError(
                "LinearDecoder: give upsampling_size, the stride of the feature that it reads (a ViT's patch)."
            )
        size = upsampling_size if upsampling_size is not None else (strides or [])[in_index]
        if size % 1:
            raise UserError(
                f"LinearDecoder: the feature's stride is {float(size):g} pixels; give upsampling_size, a whole number."
            )
        size = whole_number("LinearDecoder: upsampling_size", int(size), 1)
        self.in_index = in_index
        self.needs = reads_feature(in_index)
        self.conv = nn.ConvTranspose2d(width, num_classes, kernel_size=size, stride=size)
        self.out_channels = num_classes

    @staticmethod
    def needs_given(arguments: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs when it is built with these arguments."""
        return reads_feature(arguments.get("in_index", -1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits (B, num_classes, H, W)."""
        return self.conv(features[self.in_index])
