"""Data read in the units that a backbone's weights know, and normalised as they were."""

import logging
from collections.abc import Mapping
from typing import Any

import torch

from geocompose.contracts.backbone import BackboneContract, contract_of
from geocompose.data.module import SceneData
from geocompose.errors import UserError
from geocompose.imagery.agreement import check_convertible, consents, mismatches, taken_for, units_read
from geocompose.imagery.units import UNITS

log = logging.getLogger("geocompose")


def read_alike(data: SceneData, encoder: torch.nn.Module, config: Mapping[str, Any]) -> None:
    """Have data read in the unit that a backbone knows and normalised as asked; tell what differs and is intended.

    Raises:
        UserError: the data is not what the backbone's weights have seen, or there are no numbers to normalise it with.
    """
    contract = contract_of(encoder)
    data.mismatches = mismatches(contract.seen(data.bands), data.values, allowed=consents(config))
    for difference in data.mismatches:
        log.warning(
            "The data differs from what the pretrained weights have seen, as data.allow_mismatch allows: %s", difference
        )
    data.read_as(units_read(contract.known_of(data.bands), data.bands))
    _tell_conversions(data)
    _normalize(data, contract)


def _tell_conversions(data: SceneData) -> None:
    """Say in a line which values become others as they are read, and of which bands."""
    found: dict[str, list[str]] = {}
    for place, (band, unit) in enumerate(zip(data.bands, data.units, strict=True)):
        stated = data.values.band(band)
        changes = any(conversions[place].changes for conversions in data.conversions)
        # What files' own tags change was said when their headers were read.
        if changes and (stated.unit != unit or stated.offset):
            found.setdefault(f"{stated.in_words()} becomes {unit}", []).append(band)
    for words, bands in found.items():
        log.info("Values are converted as they are read: %s (%s).", words, ", ".join(bands))


def _normalize(data: SceneData, contract: BackboneContract) -> None:
    if data.normalize != "pretraining":
        return
    published = None if contract.known is None else contract.known.statistics(data.bands)
    if published is None:
        raise UserError(
            "data.normalize=pretraining needs the backbone's published statistics of these bands, and there are none "
            f"for {data.bands}. Use data.normalize=dataset."
        )
    units = units_read(contract.known_of(data.bands), data.bands)
    check_convertible(data.values, data.bands, units)
    for key, unit in taken_for(data.values, data.bands, units).items():
        said = "the published numbers' unit, which is not known" if unit is None else f"{unit} ({UNITS[unit]})"
        log.info("%s is null: data.normalize=pretraining assumes values in %s.", key, said)
    data.set_normalization(*published)
