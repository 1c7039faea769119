"""A landscape whose classes are told by their spectra: water, vegetation, bare ground and towns in six HLS bands."""

from typing import NamedTuple

import numpy as np

from geocompose.data.synthetic.fields import random_field, smooth
from geocompose.data.synthetic.measured import measured

CLASS_NAMES = ("water", "vegetation", "bare", "built")
_WATER, _VEGETATION, _BARE, _BUILT = range(4)

# Typical surface reflectance x 10000 in BLUE GREEN RED NIR_NARROW SWIR_1 SWIR_2.
_SPECTRA = np.array(
    [
        [720, 850, 700, 520, 330, 230],
        [480, 760, 660, 2500, 1650, 850],
        [950, 1300, 1650, 2250, 2850, 2300],
        [1100, 1320, 1480, 2050, 2350, 1950],
    ]
)
# How much a class's own spatial pattern moves its brightness, as a share of it.
_TEXTURE = np.array([0.10, 0.22, 0.14, 0.24])
_HAZE = np.array([420, 300, 200, 90, 40, 20])
_NOISE = np.array([70, 75, 85, 160, 140, 120])
_UNLABELLED_SHARE = 0.01


class Landscape(NamedTuple):
    """A made-up landscape of size x size pixels.

    image: uint16 (6, size, size). label: the class of each pixel, int8 (size, size). unknown: where it is unknown,
    bool (size, size), about 1 % of the pixels, in patches.
    shares: how much of each class a pixel shows (4, size, size). textures: each class's own pattern, of mean 0 and
    deviation 1 (4, size, size). dryness: how dry vegetation is, 0 to 1 (size, size).
    """

    image: np.ndarray
    label: np.ndarray
    unknown: np.ndarray
    shares: np.ndarray
    textures: np.ndarray
    dryness: np.ndarray


def make_landscape(seed: int, index: int, size_px: int, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return image, uint16 (6, size, size), and label, int8 (size, size), of landscape number `index` of a seed.

    About 1 % of the pixels, in patches, are labelled `ignore_index`.
    """
    land = compose_landscape(seed, index, size_px)
    land.label[land.unknown] = ignore_index
    return land.image, land.label


def make_biomass(seed: int, index: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the same image, and the above-ground biomass in t/ha, float32 (1, size, size), NaN where it is unknown.

    Vegetation carries biomass: more where it is dense (and so darker), less where it is dry. Gardens in towns carry
    some. A tenth of it is noise that no image shows.
    """
    land = compose_landscape(seed, index, size_px)
    density = np.exp(-0.45 * land.textures[_VEGETATION]) * (1 - 0.6 * land.dryness)
    biomass = 140 * land.shares[_VEGETATION] * density + 20 * land.shares[_BUILT]
    return land.image, measured(biomass, land.unknown, seed, index)


def compose_landscape(seed: int, index: int, size_px: int) -> Landscape:
    """Return landscape number `index` of a seed.

    Brightness, haze and mixed pixels make the classes' spectra overlap, so that a pixel alone does not tell its class,
    but its surroundings say more.
    """
    random = np.random.default_rng([seed, index])
    label = _classes(random, size_px)

    # A sensor sees some of the neighbourhood in each pixel: classes mix at their edges.
    shares = np.stack([smooth(label == i, 0.9) for i in range(len(CLASS_NAMES))])
    textures = np.stack([random_field(random, size_px, 6, roughness=0.5) for _ in CLASS_NAMES])
    # Towns are roofs beside streets and gardens; fields and bare ground change more slowly.
    textures[_BUILT] = 0.75 * np.sign(random_field(random, size_px, 3, roughness=0.2)) + 0.6 * textures[_BUILT]
    brightness = np.exp(_TEXTURE[:, None, None] * textures)
    # Gardens in towns, dry patches in vegetation, growth on bare ground: each class holds some of another's
    # spectrum.
    patches = np.stack([random_field(random, size_px, 5, roughness=0.6) for _ in range(3)])
    blend = 1 / (1 + np.exp(-3.0 * (patches - 1.3)))
    spectra = np.broadcast_to(_SPECTRA[:, :, None, None], (*_SPECTRA.shape, size_px, size_px)).astype(np.float64)
    for amount, (own, other) in zip(blend, [(_BUILT, _VEGETATION), (_VEGETATION, _BARE), (_BARE, _BUILT)], strict=True):
        spectra[own] += 0.7 * amount * (_SPECTRA[other] - _SPECTRA[own])[:, None, None]
    image = np.einsum("cyx,cyx,cbyx->byx", shares, brightness, spectra)

    illumination = np.exp(0.10 * random.standard_normal() + 0.12 * random_field(random, size_px, size_px / 2))
    haze = np.exp(0.6 * random_field(random, size_px, size_px / 2)) * random.uniform(0.3, 1.2)
    noise = _NOISE[:, None, None] * random.standard_normal(image.shape)
    image = image * illumination + _HAZE[:, None, None] * haze + noise

    unknown = random_field(random, size_px, size_px / 24)
    return Landscape(
        np.clip(np.rint(image), 1, 12000).astype(np.uint16),
        label,
        unknown > np.quantile(unknown, 1 - _UNLABELLED_SHARE),
        shares,
        textures,
        blend[1],
    )


def _classes(random: np.random.Generator, size_px: int) -> np.ndarray:
    """Return the class of each pixel, int8 (size, size)."""
    height = random_field(random, size_px, size_px / 3, roughness=1.0)
    soil = random_field(random, size_px, size_px / 6, roughness=0.8)
    settlement = random_field(random, size_px, size_px / 8, roughness=0.6)
    label = np.full((size_px, size_px), _VEGETATION, dtype=np.int8)
    label[soil > np.quantile(soil, 0.70)] = _BARE
    # People settle in the plains.
    towns = settlement - 0.4 * height
    label[towns > np.quantile(towns, 0.80)] = _BUILT
    # A river follows a level line of a smooth field, its width in pixels divided by the field's slope.
    course = random_field(random, size_px, size_px / 2.5, roughness=1.2)
    slope = np.hypot(*np.gradient(course)) + 1e-6
    river = np.abs(course) / slope < random.uniform(2.0, 4.5)
    lakes = height < np.quantile(height, 0.12)
    label[river | lakes] = _WATER
    return label
