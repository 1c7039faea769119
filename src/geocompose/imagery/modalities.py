"""Images of several modalities, such as radar beside optical: which channels of one stacked image belong to which."""

from collections.abc import Mapping, Sequence

from geocompose.imagery.bands import positions


def channel_places(
    modalities: Mapping[str, Sequence[str]], bands: Sequence[str] | None, *, backbone: str
) -> dict[str, list[int]]:
    """Return the channels of each modality in the stacked image of these bands.

    bands: those of the stacked image in their order; all of the modalities' one after the other where None.
    backbone: whose they are, for messages.

    Raises:
        UserError: a modality has a band that `bands` lacks.
    """
    if bands is None:
        bands = list(dict.fromkeys(band for listed in modalities.values() for band in listed))
    where = f"The image of the backbone {backbone}"
    return {modality: positions(listed, bands, where=where) for modality, listed in modalities.items()}
