"""Arguments that builders of foreign backbones have in common: bands, image size, levels, weights, further names."""

from collections.abc import Collection, Mapping, Sequence

from geocompose.errors import UserError, choices
from geocompose.imagery.numbered_bands import channel_names


def input_channels(bands: list[str] | None, in_chans: int | None) -> tuple[list[str] | None, int]:
    """Return the names of the bands, checked, and the number of input channels: theirs, else `in_chans`, else 3.

    bands: names, or numbers of channels (`geocompose.imagery.numbered_bands`).

    Raises:
        UserError: a band is misspelt or named twice, or the two contradict each other.
    """
    names = None if bands is None else channel_names("backbone.bands", bands)
    if names is None:
        if in_chans is not None and in_chans < 1:
            raise UserError(f"backbone.in_chans={in_chans}: a backbone needs at least one input channel.")
        return None, 3 if in_chans is None else in_chans
    if in_chans not in (None, len(names)):
        raise UserError(
            f"backbone.in_chans={in_chans} contradicts backbone.bands={names}, which are {len(names)}: leave one of "
            "them out."
        )
    return names, len(names)


def image_size(img_size: int | list[int] | None) -> tuple[int, int] | None:
    """Return height and width in pixels, or None where the model's own size is wanted.

    Raises:
        UserError: it is not a size.
    """
    if img_size is None:
        return None
    pair = [img_size, img_size] if isinstance(img_size, int) else list(img_size)
    if len(pair) != 2 or any(side < 1 for side in pair):
        raise UserError(
            f"backbone.img_size={img_size}: give one number of pixels, or height and width as in [224,320]."
        )
    return pair[0], pair[1]


def levels(name: str, available: Sequence[int], out_indices: list[int]) -> list[int]:
    """Return the wanted levels among the `available` numbers, negative ones counted from the end.

    Raises:
        UserError: there is no such level, or they are not ascending.
    """
    first, last = available[0], available[-1]
    wanted = [last + 1 + index if index < 0 else index for index in out_indices]
    given = f"backbone.out_indices={list(out_indices)}"
    if not wanted or not set(wanted) <= set(available):
        raise UserError(
            f"{given}: {name} has {len(available)} levels, {first} to {last} (or {first - last - 1} to -1)."
        )
    if wanted != sorted(set(wanted)):
        raise UserError(f"{given}: name each level once, in ascending order.")
    return wanted


def usual_levels(available: Sequence[int], *, one_stride: bool) -> list[int]:
    """Return the levels of a backbone whose user names none: all of a pyramid; of layers of one stride, four.

    The four are evenly spaced and end in the last layer, as decoders of plain transformers expect them.
    """
    count = len(available)
    if not one_stride or count <= 4:
        return list(available)
    return [available[count * quarter // 4 - 1] for quarter in (1, 2, 3, 4)]


def check_one_source(pretrained: bool, ckpt_path: str | None, key: str = "backbone.pretrained=true") -> None:
    """Refuse published weights beside a weight file of the user's; `key` asks for the published ones.

    Raises:
        UserError: both are given.
    """
    if pretrained and ckpt_path:
        raise UserError(f"{key} and backbone.ckpt_path are two sources of weights: give one of them.")


def check_kwargs(
    kwargs: Mapping[str, object],
    allowed: Collection[str],
    own_place: Mapping[str, str],
    taken_by: str,
    *,
    refused: Collection[str] = (),
    open_ended: bool = False,
) -> None:
    """Refuse what a foreign constructor doesn't know, and what has its own key in ours.

    own_place: foreign name -> our key. taken_by: who would take the arguments, for the message.
    refused: names that it would take, but that make no sense of a backbone. open_ended: it takes other names than
        `allowed` too, and refuses wrong ones itself.

    Raises:
        UserError: names the argument and what is allowed.
    """
    free = [name for name in allowed if name not in own_place and name not in refused]
    for key in kwargs:
        if key in own_place:
            raise UserError(f"backbone.kwargs.{key} has its own key: write {own_place[key]}.")
        if key in refused or (key not in free and not open_ended):
            raise UserError(f"backbone.kwargs.{key}: {taken_by} doesn't take it. {choices(key, free)}")
