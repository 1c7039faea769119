"""Settings of a data module that TerraTorch gives for each modality, such as S2L2A; a lone one's are the image's."""

from collections.abc import Mapping
from typing import Any

from geocompose.migration.ledger import Ledger
from geocompose.migration.translation import DATA

_BY_MODALITY = (
    "means",
    "stds",
    "dataset_bands",
    "output_bands",
    "constant_scale",
    "rgb_indices",
    "img_grep",
    "image_grep",
)


def modalities(ledger: Ledger) -> list[str]:
    """Return the modalities that the settings of the data name; [] where they name none."""
    listed = ledger.get((*DATA, "modalities"))
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    for key in _BY_MODALITY:
        given = ledger.get((*DATA, key))
        names += [str(name) for name in given] if isinstance(given, Mapping) else []
    return list(dict.fromkeys(names))


def of_data(ledger: Ledger, key: str, default: Any = None) -> Any:
    """Return a setting of the data, of its only modality where it is given by modality; a mapping of several stays."""
    given = ledger.get((*DATA, key), default)
    if isinstance(given, Mapping) and len(modalities(ledger)) == 1:
        return next(iter(given.values()), default)
    return given


def of_several(value: object) -> bool:
    """Return whether a setting of the data, as `of_data` returns it, has a value for each of several modalities."""
    return isinstance(value, Mapping)
