"""Which bands a run reads, from what data and backbone say."""

from collections.abc import Mapping, Sequence
from typing import Any

from geocompose.errors import UserError
from geocompose.imagery.bands import canonical, check_names
from geocompose.imagery.part_bands import bands_of_parts, joined
from geocompose.imagery.units import Values


def chosen_bands(config: Mapping[str, Any], available: Sequence[str]) -> list[str]:
    """Return the bands to read: those named, else those that the backbone was trained on if all are there, else all.

    config: a checked configuration. available: the data's bands.

    Raises:
        UserError: `data.bands` and `backbone.bands` name different bands, or a name is misspelt.
    """
    of_data, of_backbone = config["data"].get("bands"), config["backbone"].get("bands")
    parts = config["backbone"].get("parts")
    if parts and not of_backbone:  # backbones side by side, each with bands of its own
        check_names(of_data or [], known=available)
        if of_data:
            bands_of_parts(parts, of_data)
            return list(of_data)
        return joined(bands_of_parts(parts, available, other_sensors=True))
    for names in (of_data, of_backbone):
        check_names(names or [], known=available)
    if of_data and of_backbone and [*map(canonical, of_data)] != [*map(canonical, of_backbone)]:
        raise UserError(
            f"data.bands={of_data} and backbone.bands={of_backbone} are one list; give one of them, or the same."
        )
    if of_data or of_backbone:
        return list(of_data or of_backbone)
    trained_on = config["backbone"].get("pretrained_bands") or []
    there = {canonical(name) for name in available}
    if trained_on and all(canonical(name) in there for name in trained_on):
        return list(trained_on)
    check_names(
        available,
        advice=f"The data has the bands {', '.join(available)}. Name all of them in file order with "
        "'data.band_names=[BLUE,GREEN,RED,...]', or choose some with data.bands.",
    )
    return list(available)


def check_rasters_read(config: Mapping[str, Any], bands: Sequence[str], more: Mapping[str, Values] | None) -> None:
    """Refuse a further raster of the data's of which nothing would be read, unless the bands were chosen by name.

    config: a checked configuration. bands: those to read. more: the bands of further rasters, by the vocabulary's
    names; the group of each one's values is its raster's place in the configuration.

    Raises:
        UserError: names the raster, its bands, and what to write.
    """
    backbone = config["backbone"]
    if config["data"].get("bands") or backbone.get("bands"):
        return
    of_rasters: dict[str, list[str]] = {}
    for band, values in (more or {}).items():
        if values.group != "data":  # else a band of the first raster that differs from its others
            of_rasters.setdefault(values.group, []).append(band)
    read = {canonical(band) for band in bands}
    for raster, own in of_rasters.items():
        if read.isdisjoint(own):
            several = bool(backbone.get("parts"))
            why = "its parts name or were trained on" if several else "it was trained on"
            apart = (
                "name them in the bands of a part (backbone.parts)"
                if several
                else "write backbone=fusion (two backbones)"
            )
            error = UserError(
                f"{raster} has the bands {', '.join(own)}, and the backbone would read none of them: data.bands is "
                f"null, so that it reads what {why}, {', '.join(bands)}. Write "
                f"'data.bands=[{','.join([*bands, *own])}]' for one backbone that reads all of them, or {apart}, or "
                f"leave {raster} out."
            )
            error.part = "backbone"
            raise error
