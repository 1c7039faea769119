"""What is known of the values of all files of a data set: what is stated, and what is not stated and they all say."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from geocompose.data.conversion import Convertible, values_in
from geocompose.data.rasters.image import SceneImage
from geocompose.errors import counted
from geocompose.imagery.bands import canonical
from geocompose.imagery.file_values import completed
from geocompose.imagery.packing import Packing
from geocompose.imagery.units import Values

log = logging.getLogger("geocompose")


def known_values(images: Sequence[SceneImage], stated: Values, *, say: bool = False) -> Values:
    """Return what is known of the values of images, band by band.

    stated: of the first raster of each; further ones have statements of their own. A band of which the files say
    different things has what is stated, and is refused when it is chosen (`geocompose.data.conversion.convert`).
    say: whether to say which unit is taken from texts in the files alone; `Telling` tells of a scale or an offset.
    """
    stored: dict[str, set[Packing]] = {}
    own: dict[str, Values] = {}
    for image in images:
        for place, name in enumerate(image.band_names):
            raster, band = image.raster_of(place), canonical(name)
            stored.setdefault(band, set()).update(one.packing for one in image.stored(place))
            own.setdefault(band, raster.values if raster.is_further else stated.band(name))
    known = {band: _of_band(packings, band, own[band]) for band, packings in stored.items()}
    if say:
        taken: dict[str, list[str]] = {}
        for band, values in known.items():
            if values.unit is not None and own[band].unit is None and not any(one.is_given for one in stored[band]):
                taken.setdefault(values.unit, []).append(band)
        for unit, bands in taken.items():
            log.info("No unit is stated; the files give %s, which counts (%s).", unit, ", ".join(bands))
    # Most bands of the first raster are alike; of as many, those that the files complete count.
    first = [known[band] for band, values in own.items() if values is stated] or list(known.values())
    main = max(first, key=lambda one: (sum(one == other for other in first), one != stated))
    return replace(main, more={band: one for band, one in known.items() if one != main} or None)


def _of_band(packings: Collection[Packing], band: str, stated: Values) -> Values:
    if stated.unit is None and not any(packing.is_given or packing.named_unit for packing in packings):
        # So that a run's record says that it read no tags: those of other files would mean something else.
        return replace(stated, scale_tags="ignore")
    found = [completed(stated, packing, band) for packing in packings]
    return found[0] if all(one == found[0] for one in found) else stated


class Telling:
    """Says what the tags and units of files do to the values that are read, and where they are not read.

    What is of one kind is one line, whatever the number of files.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[str, bool], dict[str, str]] = {}

    def add(self, scene: Convertible, places: Sequence[int], values: Values) -> None:
        """Take in a scene. places: of the selected bands. values: what is known of all scenes."""
        for place in places:
            name = scene.band_names[place]
            for stored in scene.stored(place):
                for kind, text, warns in values_in(stored, values.band(name), name).told:
                    self._files.setdefault((kind, warns), {}).setdefault(stored.file, text)

    def say(self) -> None:
        """Say all that was taken in since the last time."""
        for (_, warns), told in self._files.items():
            first, text = next(iter(told.items()))
            others = f" and {counted(len(told) - 1, 'further file')}" if len(told) > 1 else ""
            differ = sum(own != text for own in told.values())
            besides = f" Other tags, taken likewise, are in {counted(differ, 'file')}." if differ else ""
            log.log(logging.WARNING if warns else logging.INFO, "%s%s: %s%s", first, others, text, besides)
        self._files.clear()


def tell(scenes: Sequence[Convertible], places: Sequence[Sequence[int]], values: Values) -> None:
    """Say what files' own tags do to the selected bands, see `Telling`.

    places: for each scene the places of the selected bands.
    """
    telling = Telling()
    for scene, own in zip(scenes, places, strict=True):
        telling.add(scene, own, values)
    telling.say()
