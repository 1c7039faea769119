"""A landscape whose classes are told by texture, shape and arrangement: each spectrum belongs to two of them."""

from typing import NamedTuple

import numpy as np

from geocompose.data.synthetic.fields import evened, random_field, smooth, stripes
from geocompose.data.synthetic.measured import measured

# Water in a basin or in a course; trees grown wild or planted; green and clay-coloured ground in strips or strewn.
CLASS_NAMES = ("lake", "river", "forest", "plantation", "fields", "village")
LAKE, RIVER, FOREST, PLANTATION, FIELDS, VILLAGE = range(6)

# What a class is mixed from, and of which spectrum: one for both classes of a pair, so that no pixel tells them apart.
# Typical surface reflectance x 10000 in BLUE GREEN RED NIR_NARROW SWIR_1 SWIR_2.
_CLEAR, _TURBID = [560, 720, 560, 380, 250, 180], [720, 860, 720, 520, 330, 230]
_CANOPY, _CLEARING = [400, 620, 500, 2900, 1450, 700], [760, 1010, 1080, 2150, 2350, 1500]
_GREEN, _CLAY = [520, 860, 680, 2950, 1850, 1000], [1120, 1420, 1680, 2250, 2850, 2350]
_MIXED_OF = np.array([(_CLEAR, _TURBID)] * 2 + [(_CANOPY, _CLEARING)] * 2 + [(_GREEN, _CLAY)] * 2, dtype=np.float64)
_HAZE = np.array([420, 300, 200, 90, 40, 20])
_NOISE = np.array([70, 75, 85, 160, 140, 120])
_UNLABELLED_SHARE = 0.01

# Sizes in pixels of 30 m.
_REGION_PX = 50.0  # of forests, farmland, lakes
_PARCEL_PX = 28.0  # of a field or a plantation
_STRIPS_PX = (7.0, 8.5, 10.0)  # from a field's strip to the next but one, as strip cropping has them
_GROVES_PX = 6.0  # between the tracks of a plantation
_GRAIN_PX = (5.0, 14.0)  # crowns and clearings of a young forest and of an old one
_ROOFS_PX = 3.0
_RIVER_PX = (4.0, 5.5)  # half the width

# Above-ground biomass in t/ha. That of a forest grows with its age, which its grain alone shows.
_BIOMASS = np.array([0.0, 0.0, 60.0, 90.0, 8.0, 20.0])
_BIOMASS_OF_AGE = 240.0


class Parcels(NamedTuple):
    """A land register: square parcels in a grid that is turned as a whole.

    across, along: each pixel's place in the grid, in pixels (size, size). number: its parcel (size, size), of `total`.
    """

    across: np.ndarray
    along: np.ndarray
    number: np.ndarray
    total: int

    def mean(self, field: np.ndarray) -> np.ndarray:
        """Return at each pixel the mean of a field over the pixel's parcel (size, size)."""
        number = self.number.ravel()
        sums = np.bincount(number, weights=field.ravel(), minlength=self.total)
        return np.asarray((sums / np.maximum(np.bincount(number, minlength=self.total), 1))[self.number])


class Landscape(NamedTuple):
    """A made-up landscape of size x size pixels.

    image: uint16 (6, size, size). label: the class of each pixel, int8 (size, size). unknown: where it is unknown,
    bool (size, size), about 1 % of the pixels, in patches.
    shares: how much of each class a pixel shows (6, size, size). age: of the forest, 0 to 1 (size, size).
    """

    image: np.ndarray
    label: np.ndarray
    unknown: np.ndarray
    shares: np.ndarray
    age: np.ndarray


def make_landscape(seed: int, index: int, size_px: int, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return image, uint16 (6, size, size), and label, int8 (size, size), of landscape number `index` of a seed.

    About 1 % of the pixels, in patches, are labelled `ignore_index`.
    """
    land = compose_landscape(seed, index, size_px)
    land.label[land.unknown] = ignore_index
    return land.image, land.label


def make_biomass(seed: int, index: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the same image, and the above-ground biomass in t/ha, float32 (1, size, size), NaN where it is unknown.

    A plantation carries less than an old forest and more than a young one. A tenth is noise that no image shows.
    """
    land = compose_landscape(seed, index, size_px)
    biomass = np.tensordot(_BIOMASS, land.shares, 1) + _BIOMASS_OF_AGE * land.age * land.shares[FOREST]
    return land.image, measured(biomass, land.unknown, seed, index)


def compose_landscape(seed: int, index: int, size_px: int) -> Landscape:
    """Return landscape number `index` of a seed."""
    random = np.random.default_rng([seed, index])
    parcels = _parcels(random, size_px)
    label = _classes(random, size_px, parcels)
    age = evened(random_field(random, size_px, _region_px(size_px)))
    patterns = _patterns(random, size_px, parcels, age)

    # A sensor sees some of the neighbourhood in each pixel: classes mix at their edges.
    shares = np.stack([smooth(label == i, 0.9) for i in range(len(CLASS_NAMES))])
    second = patterns * patterns * (3 - 2 * patterns)  # nearer to 0 and 1, alike for all classes
    amounts = np.stack([shares * (1 - second), shares * second], axis=1)
    image = np.tensordot(_MIXED_OF, amounts, axes=([0, 1], [0, 1]))

    brightness = np.exp(0.08 * random_field(random, size_px, 6, roughness=0.5))
    illumination = np.exp(0.10 * random.standard_normal() + 0.12 * random_field(random, size_px, size_px / 2))
    haze = np.exp(0.5 * random_field(random, size_px, size_px / 2)) * random.uniform(0.2, 1.0)
    noise = _NOISE[:, None, None] * random.standard_normal(image.shape)
    image = image * (brightness * illumination) + _HAZE[:, None, None] * haze + noise

    unknown = random_field(random, size_px, size_px / 24)
    return Landscape(
        np.clip(np.rint(image), 1, 12000).astype(np.uint16),
        label,
        unknown > np.quantile(unknown, 1 - _UNLABELLED_SHARE),
        shares,
        age,
    )


def _region_px(size_px: int) -> float:
    """Return how wide regions are, so that a small landscape has several too."""
    return min(_REGION_PX, size_px / 5)


def _parcels(random: np.random.Generator, size_px: int) -> Parcels:
    y, x = np.mgrid[:size_px, :size_px].astype(np.float64)
    angle = random.uniform(0, np.pi / 2)
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    columns, rows = (
        np.floor((place - place.min() + random.uniform(0, _PARCEL_PX)) / _PARCEL_PX).astype(np.int64)
        for place in (across, along)
    )
    wide = int(columns.max()) + 1
    return Parcels(across, along, rows * wide + columns, wide * (int(rows.max()) + 1))


def _classes(random: np.random.Generator, size_px: int, parcels: Parcels) -> np.ndarray:
    """Return the class of each pixel, int8 (size, size)."""
    region_px = _region_px(size_px)
    label = np.full((size_px, size_px), FOREST, dtype=np.int8)
    farmed = parcels.mean(random_field(random, size_px, region_px, roughness=0.8))
    label[farmed > np.quantile(farmed, 0.55)] = FIELDS
    planted = parcels.mean(random_field(random, size_px, region_px, roughness=0.8))
    label[planted > np.quantile(planted, 0.74)] = PLANTATION
    settled = random_field(random, size_px, 0.8 * region_px, roughness=0.8)
    label[settled > np.quantile(settled, 0.80)] = VILLAGE
    depth = random_field(random, size_px, region_px, roughness=1.2)
    # A river follows a level line of a field that rises from one side to the other, its width in pixels divided by
    # the field's slope.
    towards = random.uniform(0, 2 * np.pi)
    rise = (parcels.across * np.cos(towards) + parcels.along * np.sin(towards)) / (0.2 * size_px)
    course = random_field(random, size_px, 1.5 * region_px, roughness=1.2) + rise - np.median(rise)
    river = np.abs(course) < random.uniform(*_RIVER_PX) * np.hypot(*np.gradient(course))
    label[river] = RIVER
    label[depth > np.quantile(depth, 0.88)] = LAKE
    return label


def _patterns(random: np.random.Generator, size_px: int, parcels: Parcels, age: np.ndarray) -> np.ndarray:
    """Return of each class where it shows the second of its two spectra, and how much of it (6, size, size).

    All numbers from 0 to 1 are about equally frequent in each pattern: only their arrangement differs.
    """
    young, old = (random_field(random, size_px, grain_px, roughness=1.0) for grain_px in _GRAIN_PX)
    mean, deviation = 0.0, np.sqrt((1 - age) ** 2 + age**2)
    grain = ((1 - age) * young + age * old - mean) / deviation
    tracks = np.maximum(*(stripes(place / _GROVES_PX + random.random()) for place in (parcels.across, parcels.along)))
    ways, strips_px, starts = (
        draw[parcels.number]
        for draw in (
            random.random(parcels.total) < 0.5,
            random.choice(_STRIPS_PX, parcels.total),
            random.random(parcels.total),
        )
    )
    strips = stripes(np.where(ways, parcels.across, parcels.along) / strips_px + starts)
    turbid = evened(random_field(random, size_px, _region_px(size_px)))
    roofs = evened(random_field(random, size_px, _ROOFS_PX, roughness=1.0))
    # The larger of two numbers from 0 to 1, squared, is again as often near 0 as near 1.
    return np.stack([turbid, turbid, evened(grain), tracks**2, strips, roofs])
