"""Choosing among features."""

from torch import Tensor, nn

from geocompose.arguments import whole_numbers
from geocompose.contracts.backbone import contract_of
from geocompose.errors import UserError
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY


def evenly_spaced(depth: int, count: int) -> list[int]:
    """Return `count` of `depth` layers, evenly spaced and ending in the last: 2, 5, 8, 11 of 12; some twice of few."""
    return [max(0, round((step + 1) * depth / count) - 1) for step in range(count)]


def layer_indices(neck: str, indices: object, count: int) -> list[int]:
    """Return the indices, written by a user, of some of `count` features as a list; negative ones stay negative.

    Raises:
        UserError: they are not a list of whole numbers, the list is empty, or one is out of range.
    """
    chosen = whole_numbers(f"{neck}: indices", indices, example="[-1]")
    if not chosen or any(not -count <= index < count for index in chosen):
        features = "is 1 feature" if count == 1 else f"are {count} features"
        raise UserError(
            f"{neck}: there {features}, so indices go from 0 to {count - 1} (or -{count} to -1); got {chosen}. "
            f"Write for example {evenly_spaced(count, max(1, len(chosen)))}."
        )
    return chosen


@NECK_REGISTRY.register
class SelectIndices(Neck):
    """Hands on the features at `indices`, in that order; negative indices count from the end, one may stand twice.

    Where the backbone can return just these layers, the factory lets it (`in_backbone`).
    """

    keeps_tokens = True

    def __init__(self, channel_list: list[int], indices: list[int]) -> None:
        """Take the incoming widths and the indices.

        Raises:
            UserError: an index is out of range, or the list is empty.
        """
        super().__init__(channel_list)
        self.indices = layer_indices("SelectIndices", indices, len(channel_list))
        self.in_backbone = False
        self._places = list(self.indices)  # among the features that come

    def push_into(self, backbone: nn.Module) -> None:
        """Let a backbone that can (`select_layers`) return just these layers and compute nothing after the last."""
        contract = contract_of(backbone)
        if contract.select_layers is not None and contract.out_indices is not None:
            out_indices = contract.out_indices
            count = len(self.channel_list)
            wanted = [index % count for index in self.indices]
            layers = list(dict.fromkeys(wanted))  # a backbone returns each layer once
            contract.select_layers([out_indices[layer] for layer in layers])
            self.in_backbone = True
            self._places = [layers.index(layer) for layer in wanted]

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths of the selected features; of those that the backbone returns now, where it selects."""
        return [channel_list[place] for place in self._places]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the selected features."""
        return [features[place] for place in self._places]
