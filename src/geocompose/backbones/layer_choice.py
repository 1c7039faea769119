"""Which layers of a transformer are returned: checked against its depth, and against what was given up before."""

from collections.abc import Sequence

from geocompose.backbones.foreign.arguments import usual_levels
from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.errors import UserError


def chosen_layers(indices: Sequence[int], depth: int, selected: Sequence[int]) -> LayerNumbers:
    """Return the numbers of the layers that are asked for, in the order given; negative ones count from the end.

    depth: how many layers there are. selected: those that were returned until now. What comes after the last of these
        has stopped learning, so it can't be selected again.

    Raises:
        UserError: an index is outside the depth, given twice or was given up before, or `indices` is empty.
    """
    wanted = [index + depth if index < 0 else index for index in indices]
    if not wanted or any(not 0 <= index < depth for index in wanted) or len(set(wanted)) < len(wanted):
        raise UserError(
            f"backbone.out_indices={list(indices)}: this backbone has layers 0 to {depth - 1} (or {-depth} to -1), "
            f"each selectable once. Write for example {usual_levels(range(depth), one_stride=True)}."
        )
    if max(wanted) > max(selected):
        raise UserError(
            f"Layer {max(wanted)} was given up when the layers up to {max(selected)} were selected, and no longer "
            "learns. Build the backbone anew with the out_indices that you need."
        )
    return LayerNumbers(wanted, depth)
