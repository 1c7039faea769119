"""Choosing among features."""

from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY


@NECK_REGISTRY.register
class SelectIndices(Neck):
    """Hands on the features at `indices`, in that order; negative indices count from the end.

    Where the backbone can return just these layers, the factory lets it (`in_backbone`), and this neck hands all on.
    """

    def __init__(self, channel_list: list[int], indices: list[int]) -> None:
        """Take the incoming widths and the indices.

        Raises:
            UserError: an index is out of range, or there is none.
        """
        super().__init__(channel_list)
        count = len(channel_list)
        if not isinstance(indices, list | tuple):
            raise UserError(f"SelectIndices: indices is a list, such as [-1]; got {indices!r}.")
        if not indices or any(not -count <= index < count for index in indices):
            raise UserError(
                f"SelectIndices: the backbone returns {count} features, so indices go from 0 to {count - 1} "
                f"(or -{count} to -1); got {list(indices)}."
            )
        self.indices = list(indices)
        self.in_backbone = False

    def push_into(self, backbone: nn.Module) -> None:
        """Let a backbone that can (`select_layers`) return just these layers and compute nothing after the last."""
        if hasattr(backbone, "select_layers"):
            backbone.select_layers([backbone.out_indices[index] for index in self.indices])  # type: ignore[operator,index]
            self.in_backbone = True

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths of the selected features."""
        return list(channel_list) if self.in_backbone else [channel_list[index] for index in self.indices]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the selected features."""
        return list(features) if self.in_backbone else [features[index] for index in self.indices]
