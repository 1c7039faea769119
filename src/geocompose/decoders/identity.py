"""The decoder that hands a feature on: the head reads the backbone."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from geocompose.contracts.needs import ANY_FEATURE, Needs, feature_at, reads_feature
from geocompose.registry import DECODER_REGISTRY


@DECODER_REGISTRY.register
class IdentityDecoder(nn.Module):
    """Hands on one feature as it is: a map (B, C, h, w), tokens (B, N, C) or a pooled vector (B, C)."""

    needs: Needs
    includes_head: ClassVar[bool] = False

    def __init__(self, channel_list: list[int], out_index: int = -1) -> None:
        """Take the incoming widths.

        out_index: the feature that is handed on.

        Raises:
            UserError: there is no such feature.
        """
        super().__init__()
        self.out_index = out_index
        self.needs = reads_feature(out_index, layouts=ANY_FEATURE)
        self.out_channels = feature_at(channel_list, out_index, "IdentityDecoder", "out_index")

    @staticmethod
    def needs_given(arguments: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs when it is built with these arguments."""
        return reads_feature(arguments.get("out_index", -1), layouts=ANY_FEATURE)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the feature at `out_index`."""
        return features[self.out_index]
