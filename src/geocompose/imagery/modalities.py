"""Images of several modalities, such as radar beside optical: which channels of one stacked image belong to which."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from geocompose.errors import UserError, choices
from geocompose.imagery.bands import positions

Image = Tensor | dict[str, Tensor]


def modalities_of(encoder: nn.Module) -> dict[str, list[int]] | None:
    """Return the channels of each modality in the stacked image that a backbone's `bands` describe.

    None for a backbone of one image. `modalities` of a backbone are names with the bands of each; its `bands` are those
    of the stacked image in their order, or all of its modalities' one after the other where it names none.

    Raises:
        UserError: `modalities` is no such mapping, or names a band that `bands` lacks.
    """
    declared = getattr(encoder, "modalities", None)
    if declared is None:
        return None
    name = type(encoder).__name__
    if (
        not isinstance(declared, Mapping)
        or not declared
        or not all(isinstance(bands, Sequence) and not isinstance(bands, str) for bands in declared.values())
    ):
        raise UserError(
            f"The backbone {name} has modalities={declared!r}; they are a mapping of names to lists of bands, such as "
            "{'optical': ['RED', 'NIR_NARROW'], 'sar': ['VV', 'VH']}."
        )
    bands = getattr(encoder, "bands", None)
    if not isinstance(bands, Sequence) or isinstance(bands, str):
        bands = list(dict.fromkeys(band for listed in declared.values() for band in listed))
    return {
        str(modality): positions(listed, bands, where=f"The image of the backbone {name}")
        for modality, listed in declared.items()
    }


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
        raise UserError(f"All modalities are on one grid; got {shown} pixels. Resample them to one grid first.")
