"""Values that can't be of the stated unit, and lone ones that mark pixels without data: counted while all are read."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from geocompose.data.drift import Seen
from geocompose.data.ends import Ends, Lone
from geocompose.data.rasters.valid import Origin
from geocompose.errors import UserError, counted
from geocompose.imagery.plausible import Range, range_of
from geocompose.imagery.units import UNITS, Conversion, Values, per_reflectance

log = logging.getLogger("geocompose")

LEAST_SHARE = 0.001  # of an image's valid pixels: fewer are glint, saturation and the noise of corrections
_MOST = 0.5  # from this share on, values are of another unit rather than outliers
_FAR = 100.0  # bright targets and clouds may be far from all else, but not as far


class Image(Protocol):
    """What is known of an image whose values are counted: a scene, or one that is predicted."""

    conversions: Sequence[Conversion] | None

    def origin_of(self, band: int) -> Origin:
        """Return where a band comes from."""


@dataclass
class _Counted:
    """One band of one scene: `factor` times values in `unit` are those that are read."""

    unit: str | None
    usual: Range | None
    factor: float
    ends: Ends
    total: float = 0.0
    below: int = 0
    above: int = 0

    def add(self, values: np.ndarray) -> None:
        self.ends.add(values)
        self.total += float(values.sum(dtype=np.float64))
        if self.usual is None:
            return
        low, high = self.usual.low * self.factor, self.usual.high * self.factor
        if self.ends.least < low:
            self.below += int(np.count_nonzero(values < low))
        if self.ends.greatest > high:
            self.above += int(np.count_nonzero(values > high))

    @property
    def least(self) -> float:
        return self.ends.least / self.factor

    @property
    def greatest(self) -> float:
        return self.ends.greatest / self.factor


class _Oddity(NamedTuple):
    """What is odd of a band in an image. looks: like what; None where that is open."""

    what: str
    looks: str | None
    share: float


class Plausibility:
    """Counts, for each band of each scene, the valid values that are odd in the unit in which they are stated.

    names: of the selected bands. scenes: all scenes; more may come later. places: for each the places of the selected
        bands. values: what is known of their values; None is what the scenes convert them to.
    """

    def __init__(
        self,
        names: Sequence[str],
        scenes: Sequence[Image],
        places: Sequence[Sequence[int]],
        values: Values | None = None,
    ) -> None:
        self._names, self._scenes, self._places, self._values = names, scenes, places, values
        self._counted: dict[int, list[_Counted]] = {}

    def add(self, scene: int, values: np.ndarray) -> None:
        """Take in valid values (bands, n) of a scene, as they are read."""
        if scene not in self._counted:
            self._counted[scene] = [self._begun(scene, band) for band in range(len(self._names))]
        if values.shape[1]:
            for own, counts in zip(values, self._counted[scene], strict=True):
                counts.add(own)

    def check(self) -> None:
        """Refuse values that are not possible in their unit.

        Raises:
            UserError: names the file, the band and what its unit has.
        """
        for scene, bands in self._counted.items():
            for band, counts in enumerate(bands):
                if counts.usual is not None and counts.usual.impossible and (counts.below or counts.above):
                    raise UserError(
                        f"{self._file(scene, band)} has values of {counts.least:g} to {counts.greatest:g} in band "
                        f"{self._names[band]!r}, but data.unit is {counts.unit}: {counts.usual.impossible}. Write what "
                        "the file holds, such as data.unit=reflectance_1e4 or dn, or null."
                    )

    def say(self) -> None:
        """Say what is odd, a line per kind: which bands, in how many images, in which most, and what it looks like."""
        lone = [self._lone(band) for band in range(len(self._names))]
        kinds: dict[tuple[str | None, str, str | None], list[tuple[float, int, int]]] = {}
        for scene, bands in self._counted.items():
            for band, counts in enumerate(bands):
                for what, looks, share in _odd(counts, lone[band]):
                    kinds.setdefault((counts.unit, what, looks), []).append((share, -scene, band))
        for (unit, what, looks), found in kinds.items():
            share, worst, band = max(found)  # of equal ones the first image
            bands_in = {place for _, _, place in found}
            counts = self._counted[-worst][band]
            log.warning(
                "Values of %s are %s in %s, but the unit is %s (%s). Most are in %s: %s of its valid pixels, which are "
                "%.4g to %.4g. %s Check %s.unit, offset and scale.",
                ", ".join(name for place, name in enumerate(self._names) if place in bands_in),
                *(what, counted(len({scene for _, scene, _ in found}), "image"), unit, UNITS[str(unit)]),
                *(self._file(-worst, band), percent(share), counts.least, counts.greatest),
                f"They look like {looks}." if looks else "Do some mark pixels without data (data.nodata)?",
                "data" if self._values is None else self._values.group,
            )
        self._say_lone(lone)

    def seen(self, scenes: Sequence[int] | None = None) -> list[Seen]:
        """Return the means and least values of scenes, in the unit in which they are read; None is all."""
        found = []
        for scene, bands in self._counted.items():
            number = bands[0].ends.count
            if number and (scenes is None or scene in scenes):
                mean = np.array([counts.total / number for counts in bands])
                least = np.array([counts.ends.least for counts in bands])
                found.append(Seen(self._file(scene, 0), mean, least, number))
        return found

    @property
    def least(self) -> list[float]:
        """The least value of each band in all scenes, in the unit in which they are read."""
        return [min(bands[band].ends.least for bands in self._counted.values()) for band in range(len(self._names))]

    def _begun(self, scene: int, band: int) -> _Counted:
        place, name = self._places[scene][band], self._names[band]
        read_as = unit = self._conversion(scene, place).unit
        own = None if self._values is None else self._values.band(name).unit_for(None)
        factor, grows_read, grows_own = 1.0, per_reflectance(read_as), per_reflectance(own)
        if grows_read is not None and grows_own is not None:
            unit, factor = own, grows_read / grows_own
        return _Counted(unit, range_of(unit, name), factor, Ends())

    def _lone(self, band: int) -> list[Lone]:
        """Return the values of a band that are far from all others, in the unit in which they are read."""
        every = Ends()
        for bands in self._counted.values():
            every = every.merged(bands[band].ends)
        return every.lone(lambda value: _stored(value, self._conversion_where(band, value)), far=_FAR)

    def _say_lone(self, lone: Sequence[Sequence[Lone]]) -> None:
        kinds: dict[str, list[tuple[float, int, Lone]]] = {}
        for band, several in enumerate(lone):
            for one in several:
                stored = _stored(one.value, self._conversion_where(band, one.value))
                kinds.setdefault(f"{stored:.7g}", []).append((one.share, -band, one))
        for value, found in kinds.items():
            _, place, one = max(found)
            band = -place
            counts, conversion = self._counts_of(band, one.value), self._conversion_where(band, one.value)
            worst = max(counts, key=lambda scene: counts[scene])
            in_file = [_stored(number, conversion) for number in (one.value, one.least, one.greatest)]
            told = one._replace(value=in_file[0], least=in_file[1], greatest=in_file[2])
            others = [self._names[-place] for _, place, _ in found if -place != band]
            log.warning(
                "%s%s Most are in %s. If it marks pixels without data, declare it (%s).",
                lone_in_words(told, f"the valid pixels of {self._names[band]}"),
                f" It is in {', '.join(others)} too." if others else "",
                self._file(worst, band),
                self._scenes[worst].origin_of(self._places[worst][band]).declare.format(value),
            )

    def _counts_of(self, band: int, value: float) -> dict[int, int]:
        return {scene: bands[band].ends.count_at(value) for scene, bands in self._counted.items()}

    def _conversion_where(self, band: int, value: float) -> Conversion:
        """Return the conversion of the image in which an end occurs most often."""
        counts = self._counts_of(band, value)
        worst = max(counts, key=lambda scene: counts[scene])
        return self._conversion(worst, self._places[worst][band])

    def _file(self, scene: int, band: int) -> str:
        return self._scenes[scene].origin_of(self._places[scene][band]).file

    def _conversion(self, scene: int, place: int) -> Conversion:
        conversions = self._scenes[scene].conversions
        return Conversion(None) if conversions is None else conversions[place]


def _odd(counts: _Counted, lone: Sequence[Lone]) -> list[_Oddity]:
    """Return what is odd beside lone values, of which another line tells."""
    usual, number = counts.usual, counts.ends.count
    if usual is None or not number:
        return []
    marks = {one.value / counts.factor: counts.ends.count_at(one.value) for one in lone}
    above = (counts.above - sum(of for value, of in marks.items() if value > usual.high)) / number
    below = (counts.below - sum(of for value, of in marks.items() if value < usual.low)) / number
    found = []
    if above >= LEAST_SHARE or (above and counts.greatest > usual.far_high and counts.greatest not in marks):
        found.append(_Oddity(f"above {usual.high:g}", usual.above if above > _MOST else None, above))
    if below >= LEAST_SHARE or (below and counts.least < usual.far_low and counts.least not in marks):
        found.append(_Oddity(f"below {usual.low:g}", usual.below if below > _MOST else None, below))
    if usual.tiny is not None and 0 < counts.greatest <= usual.tiny:
        found.append(_Oddity(f"all {usual.tiny:g} or less", usual.small, 1.0))
    return found


def percent(share: float) -> str:
    """Return a share as a person reads it, small ones to two digits."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def lone_in_words(lone: Lone, where: str) -> str:
    """Return how rare a lone value is, and what the others are."""
    value, least, greatest = (f"{number:.7g}" for number in (lone.value, lone.least, lone.greatest))
    others = f"all others are {least}" if least == greatest else f"all others are {least} to {greatest}"
    return f"The value {value} is in {percent(lone.share)} ({lone.number:,}) of {where}, and {others}."


def _stored(value: float, conversion: Conversion) -> float:
    """Return a value as its file holds it, where the way back is plain."""
    if conversion.between is not None or conversion.frames or conversion.refused is not None:
        return value
    return float(f"{value / conversion.factor + conversion.offset:.6g}") if conversion.changes else value
