"""Which feature a decoder reads."""

from geocompose.errors import UserError


def feature_at(channel_list: list[int], index: int, decoder: str, argument: str = "in_index") -> int:
    """Return the width of the feature that a decoder reads; `argument` names the index in messages.

    Raises:
        UserError: there is no such feature.
    """
    count = len(channel_list)
    if isinstance(index, bool) or not isinstance(index, int) or not -count <= index < count:
        raise UserError(f"{decoder}: {argument} goes from {-count} to {count - 1} for {count} feature(s); got {index}.")
    return channel_list[index]
