"""Whether two splits show the same ground or the same pixels, so that a score would say what a model remembers."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.warp import transform

from geocompose.data.coordinates.dates import date_in_name
from geocompose.data.scene import Scene
from geocompose.data.split import SPLITS
from geocompose.data.window import Region
from geocompose.errors import UserError

MEANT = "data.allow_overlap=true says that this is meant."
SCORED = "It matters for these scores where the model was trained on one of them."
log = logging.getLogger("geocompose")

_SHOWN = 3
# Chips cut side by side share a border by rounding: less of a chip than this is not an overlap.
_LEAST_SHARE = 0.01
_GEOGRAPHIC = "EPSG:4326"


class _Place(NamedTuple):
    """A region on the ground: its split and scene, and its corners in its own coordinates, float64 (4, 2)."""

    split: str
    scene: int
    crs: str
    corners: np.ndarray


class Overlap(NamedTuple):
    """Two regions of different splits that show the same. share: of the smaller one."""

    first: tuple[str, str]
    second: tuple[str, str]
    share: float

    @property
    def in_words(self) -> str:
        """Return which two files these are."""
        part = f" ({self.share:.0%})" if self.share < 0.995 else ""
        return f"{self.first[1]} in {self.first[0]} and {self.second[1]} in {self.second[0]}{part}"


def ground_overlaps(scenes: Sequence[Scene], regions: Mapping[str, Sequence[Region]]) -> list[Overlap]:
    """Return which regions of different splits overlap on the ground, whatever their coordinate reference systems.

    Scenes without a georeference have no place. Regions of one scene share no pixel, so that they are not compared.
    """
    places = _distinct(_places(scenes, regions))
    if len({place.split for place in places}) < 2:
        return []
    import shapely  # where there is something to compare

    common = _common(places)
    there = np.isfinite(common).all((1, 2))
    places, common = [place for place, known in zip(places, there, strict=True) if known], common[there]
    shapes = shapely.polygons(common)
    tree = shapely.STRtree(shapes)
    # Quicker than to intersect all: those whose borders alone touch come out here.
    pairs = tree.query(shapes, predicate="intersects").T
    found: dict[tuple[int, str], Overlap] = {}
    for one, other in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        first, second = places[one], places[other]
        if first.split == second.split or first.scene == second.scene or (one, second.split) in found:
            continue
        a, b = shapes[one], shapes[other]
        if first.crs == second.crs:  # exact there; an axis of degrees bends long borders
            a, b = shapely.polygons(first.corners), shapely.polygons(second.corners)
        share = float(shapely.area(shapely.intersection(a, b)) / min(shapely.area(a), shapely.area(b)))
        if share >= _LEAST_SHARE:
            names = scenes[first.scene].name, scenes[second.scene].name
            found[one, second.split] = Overlap((first.split, names[0]), (second.split, names[1]), share)
    return list(found.values())


def check_ground(scenes: Sequence[Scene], regions: Mapping[str, Sequence[Region]], *, excuse: str | None) -> None:
    """Refuse splits that overlap on the ground; with an excuse, or where all are in one place and not dated, say it.

    excuse: why it is no fault here, a sentence; None where it is one.

    Raises:
        UserError: names files of both splits.
    """
    found = ground_overlaps(scenes, regions)
    if not found:
        return
    says = f"Splits overlap on the ground: {_in_words(found)}."
    if excuse:
        log.warning("%s %s", says, excuse)
    elif _in_one_place(scenes) and not _are_dated(scenes):
        # Dates of one place, or chips that were all given the same georeference: the files can't say which.
        log.warning(
            "%s All %d images begin at the same place, as dates of one scene do, or chips without a georeference of "
            "their own. Their scores are not those of another place.",
            says,
            len(scenes),
        )
    else:
        raise UserError(f"{says} {_advice()}")


def check_pixels(
    scenes: Sequence[Scene],
    regions: Mapping[str, Sequence[Region]],
    hashes: Mapping[str, Sequence[tuple[bytes, ...]]],
    *,
    excuse: str | None,
) -> None:
    """Refuse splits that hold the same image twice; with an excuse, say it.

    excuse: see `check_ground`.
    hashes: of each region's image, any of which two copies share; none where it shows nothing.

    Raises:
        UserError: names files of both splits.
    """
    owner: dict[bytes, tuple[str, str]] = {}
    found = []
    for split in SPLITS:
        for region, values in zip(regions[split], hashes.get(split, ()), strict=False):
            here = split, scenes[region.scene].name
            elsewhere = [there for value in values if (there := owner.setdefault(value, here))[0] != split]
            if elsewhere:
                found.append(Overlap(elsewhere[0], here, 1.0))
    if not found:
        return
    says = f"Splits hold identical pixels: {_in_words(found)}."
    if not excuse:
        raise UserError(f"{says} {_advice()}")
    log.warning("%s %s", says, excuse)


def _in_words(found: Sequence[Overlap]) -> str:
    shown = "; ".join(one.in_words for one in found[:_SHOWN])
    return shown if len(found) <= _SHOWN else f"{shown}; and {len(found) - _SHOWN} more"


def _advice() -> str:
    return (
        "A model would be scored on what it was trained on. Keep such images in one split (data.groups or "
        "data.split_files), or say that it is meant with data.allow_overlap=true."
    )


def _places(scenes: Sequence[Scene], regions: Mapping[str, Sequence[Region]]) -> list[_Place]:
    places = []
    for split in SPLITS:
        for scene, window in regions[split]:
            at, crs = scenes[scene].transform, scenes[scene].crs
            if at is None or crs is None:
                continue
            columns = np.array([window.column, window.column + window.width] * 2)[[0, 1, 3, 2]]
            rows = np.array([window.row] * 2 + [window.row + window.height] * 2)
            x, y = at.a * columns + at.b * rows + at.c, at.d * columns + at.e * rows + at.f
            places.append(_Place(split, scene, crs, np.stack([x, y], 1)))
    return places


def _distinct(places: Sequence[_Place]) -> list[_Place]:
    """Return one of the places of each split that are equal: a series may have a thousand dates of one."""
    return list({(place.split, place.crs, place.corners.tobytes()): place for place in reversed(places)}.values())[::-1]


def _common(places: Sequence[_Place]) -> np.ndarray:
    """Return the corners of all places in one reference system, (n, 4, 2); those that have no place there are NaN."""
    corners = np.stack([place.corners for place in places])
    systems = sorted({place.crs for place in places})
    if len(systems) == 1:
        return corners
    common = np.full_like(corners, np.nan)
    for crs in systems:
        own = [i for i, place in enumerate(places) if place.crs == crs]
        try:
            flat = corners[own].reshape(-1, 2)
            x, y = transform(rasterio.CRS.from_user_input(crs), _GEOGRAPHIC, flat[:, 0], flat[:, 1])
        except RasterioError:  # a local system: it leads to no place on Earth
            continue
        common[own] = np.stack([x, y], 1).reshape(len(own), 4, 2)
    # Across the 180th meridian a box would reach around the Earth.
    wide = np.ptp(common[..., 0], axis=1) > 180
    common[wide, :, 0] = common[wide, :, 0] % 360
    return common


def _in_one_place(scenes: Sequence[Scene]) -> bool:
    origins = {(scene.crs, scene.transform.c, scene.transform.f) for scene in scenes if scene.transform is not None}
    return len(origins) == 1


def _are_dated(scenes: Sequence[Scene]) -> bool:
    """Return whether the names of all images hold dates, and not all the same: they are a series of one place."""
    try:
        return len({date_in_name(scene.name, None, advice="") for scene in scenes}) > 1
    except UserError:
        return False
