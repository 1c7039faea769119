"""How many time steps a series has, and which of them are averaged before they are pooled."""

from collections.abc import Sequence

from geocompose.errors import UserError, at_least


def group_lengths(subset_lengths: Sequence[int] | None) -> list[int] | None:
    """Return the lengths of consecutive groups of time steps; None without groups.

    Raises:
        UserError: there is no length, or one below 1.
    """
    if subset_lengths is None:
        return None
    lengths = list(subset_lengths)
    if not lengths or min(lengths) < 1:
        raise UserError(
            f"temporal.subset_lengths must be numbers of time steps, each 1 or more, such as [2, 3]; got {lengths}."
        )
    return lengths


def number_of_steps(pooling: str, n_timestamps: int | None, lengths: Sequence[int] | None) -> int | None:
    """Return the number of time steps that a pooling takes, or None where any will do.

    n_timestamps: as it was given. lengths: what `group_lengths` returned.

    Raises:
        UserError: the two don't agree, the pooling can't take so many, or it has to know their number and doesn't.
    """
    if n_timestamps is not None:
        at_least("The number of time steps (backbone_temporal_n_timestamps)", n_timestamps, 1)
    total = sum(lengths) if lengths else n_timestamps
    if n_timestamps not in (None, total):
        raise UserError(
            f"temporal.subset_lengths={lengths} are {total} time steps together, but there are {n_timestamps} "
            "(data.num_frames, or backbone_temporal_n_timestamps). Let them agree."
        )
    if pooling == "diff":
        _check_two(total, lengths)
        return total or 2
    if pooling == "concat" and total is None:
        raise UserError(
            "Pooling concat makes features as many times as wide as there are time steps: give their number as "
            "backbone_temporal_n_timestamps."
        )
    return total


def _check_two(total: int | None, lengths: Sequence[int] | None) -> None:
    """Refuse a difference of other than two time steps, or two groups of them."""
    pooled = len(lengths) if lengths else total
    if pooled in (None, 2):
        return
    assert total is not None
    instead = (
        "Write data.num_frames=2 with images of two frames, or temporal=none for images of one."
        if total == 1
        else f"Give two lengths as temporal.subset_lengths, such as [1, {total - 1}], or use another pooling."
    )
    raise UserError(f"Pooling diff takes two time steps, or two subsets of them; got {pooled}. {instead}")


def idle_pooling(pooling: str, n_timestamps: int | None, lengths: Sequence[int] | None) -> str | None:
    """Return what to say where a pooling is given a single thing; None where it has several, or their number is open.

    n_timestamps, lengths: see `number_of_steps`.
    """
    if lengths:
        if len(lengths) > 1 or (lengths[0] > 1 and pooling == "mean"):
            return None
        if lengths[0] > 1:
            return (
                f"temporal={pooling} has nothing to pool: temporal.subset_lengths={list(lengths)} is one group, whose "
                "frames are averaged. Give two lengths or more, or write temporal.subset_lengths=null."
            )
    elif n_timestamps != 1:
        return None
    return (
        f"temporal={pooling} has nothing to pool: images have one frame (data.num_frames=1), whose features go on as "
        "they are. Write temporal=none, or give images of several frames."
    )
