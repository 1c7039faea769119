"""The bands of a TerraTorch run's files, those that the model reads, and what they are called."""

from geocompose.imagery.bands import canonical
from geocompose.migration.bands import Band, band_list, named, unnamed
from geocompose.migration.data.modalities import of_data, of_several
from geocompose.migration.translation import DATA, Translation

_RGB = {"RED", "GREEN", "BLUE"}


def translate_bands(to: Translation) -> None:
    """Translate the names of the files' bands, and which of them the model reads."""
    ledger = to.ledger
    there, read = (of_data(ledger, key) for key in ("dataset_bands", "output_bands"))
    of_files, of_read = band_list(there), band_list(read)
    found = None if of_files is None else named(of_files, of_read if read is not None else None, to.model_bands)
    if found is not None:
        assert of_files is not None
        to.carry((*DATA, "dataset_bands"), "data.band_names", found[0])
        to.set("data.bands", found[1])
        to.bands = found[1]
        _tell_names(to, of_files, found[0])
    elif there is None and of_read is not None and (names := _texts(of_read)) is not None:
        to.set("data.bands", names)
        to.bands = names
    elif to.model_bands is not None:
        _bands_of_model(to)
    if to.bands is not None and "bands" in to.values.get("data", {}):
        ledger.carried((*DATA, "output_bands"), "data.bands")
    for key, value in (("dataset_bands", there), ("output_bands", read)):
        if of_several(value):
            ledger.lost((*DATA, key), "there are several modalities; write their bands one after the other, data.bands")
        elif value is not None:
            ledger.lost((*DATA, key), "not a list of bands of dataset_bands; write data.band_names and data.bands")
    if to.model_bands_place is not None:
        # In TerraTorch the names of the backbone only choose weights; the data's order is what the model sees.
        ledger.carried(to.model_bands_place, "data.bands, which the backbone is told")
    _figures(to)


def _tell_names(to: Translation, given: list[Band], names: list[str]) -> None:
    """Say which bands are called otherwise than in the configuration."""
    places = [name for place, name in enumerate(names) if name == unnamed(place) and name != given[place]]
    renamed = [(str(old), name) for old, name in zip(given, names, strict=True) if name not in (old, *places)]
    if places:
        to.ledger.remark(
            "data.band_names: bands without a name, or with one that stands there twice, are called by their place in "
            f"the file, from band_1: {', '.join(places)}."
        )
    if renamed:
        pairs = ", ".join(f"{old} is {name}" for old, name in renamed)
        to.ledger.remark(f"data.band_names: bands are called as the model calls them: {pairs}.")


def _figures(to: Translation) -> None:
    """Say which bands figures show; they can't be told."""
    named_so = to.bands is None or {canonical(name) for name in to.bands} >= _RGB
    if named_so or of_data(to.ledger, "rgb_indices") == [0, 1, 2]:
        which = "figures show RED, GREEN and BLUE where bands are called so, else the first three"
        to.ledger.needless((*DATA, "rgb_indices"), which)
    else:
        which = "figures show the first three bands, as none are called RED, GREEN and BLUE (data.band_names)"
        to.ledger.lost((*DATA, "rgb_indices"), which)


def _bands_of_model(to: Translation) -> None:
    """Take the bands that the model's arguments name, where the data names none."""
    assert to.model_bands is not None
    names = _texts(to.model_bands)
    if names is not None:
        to.set("backbone.bands", names)
        to.bands = names
        if to.model_bands_place is not None:
            to.ledger.carried(to.model_bands_place, "backbone.bands")
        return
    to.bands = [band if isinstance(band, str) else unnamed(place) for place, band in enumerate(to.model_bands)]
    if to.model_bands_place is not None:
        to.ledger.lost(to.model_bands_place, "places of bands say nothing without the data's; name them in data.bands")


def _texts(bands: list[Band]) -> list[str] | None:
    names = [band for band in bands if isinstance(band, str)]
    return names if len(names) == len(bands) else None
