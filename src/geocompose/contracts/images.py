"""Images as backbones take them: one tensor, or one for each modality, such as radar beside optical."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from geocompose.errors import UserError, choices

Image = Tensor | dict[str, Tensor]


def split(stacked: Tensor, places: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return the image of each modality, given their channels in a stacked image (B, C, ...)."""
    return {name: _channels(stacked, list(listed)) for name, listed in places.items()}


def _channels(stacked: Tensor, places: list[int]) -> Tensor:
    if places == list(range(places[0], places[0] + len(places))):
        return stacked[:, places[0] : places[0] + len(places)]  # neighbours need no copy
    return stacked[:, places]


def check_modalities(given: Mapping[str, Tensor], places: Mapping[str, Sequence[int]], encoder: str) -> None:
    """Refuse images of other modalities than a backbone has, or of another number of bands, or not of one grid.

    Raises:
        UserError: names the modality, what it got and what is expected.
    """
    for name in given:
        if name not in places:
            raise UserError(f"The backbone {encoder} has no modality {name!r}. {choices(name, places)}")
    for name, listed in places.items():
        if name not in given:
            raise UserError(
                f"The backbone {encoder} takes the modalities {', '.join(places)}; {name!r} is missing among "
                f"{', '.join(given) or 'none'}."
            )
        if given[name].ndim < 4 or given[name].shape[1] != len(listed):
            raise UserError(
                f"The modality {name!r} of the backbone {encoder} has {len(listed)} bands, (B, {len(listed)}, rows, "
                f"columns); got {tuple(given[name].shape)}."
            )
    sizes = {name: tuple(image.shape[-2:]) for name, image in given.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {rows} x {columns}" for name, (rows, columns) in sizes.items())
        raise UserError(f"All modalities must be on one grid; got {shown} pixels. Resample them to one grid first.")
