"""What torchgeo's weights have seen: bands under the vocabulary's names, unit and level.

torchgeo names the bands of each weight file as its sensor does, where B5 is red edge in one and near infrared in the
next, and gives transforms, but neither unit nor level. Those are of the weights' own documents; None where they don't
say.

Sources: torchgeo 0.8.1, the weights' meta and transforms; README of zhu-xlab/SSL4EO-S12 (Sentinel-2 L1C); torchgeo's
experiments/ssl4eo/landsat (float32 compressed to uint8; TOA and SR); Normalization.md of allenai/satlas (L1C; colours
from the 8-bit TCI file); README of antofuller/CROMA (12 bands, without cirrus).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from geocompose.imagery.pretraining import Level, Pretraining

Sensor = Literal["sentinel1", "sentinel2", "tm", "etm", "oli", "colours"]
COLOURS = ("RED", "GREEN", "BLUE")
# CROMA's channels; its file doesn't say.
CROMA_BANDS: Mapping[str, tuple[str, ...]] = {
    "sar": ("VV", "VH"),
    "optical": (
        *(
            "COASTAL_AEROSOL",
            "BLUE",
            "GREEN",
            "RED",
            "RED_EDGE_1",
            "RED_EDGE_2",
            "RED_EDGE_3",
            "NIR_BROAD",
            "NIR_NARROW",
        ),
        *("WATER_VAPOR", "SWIR_1", "SWIR_2"),
    ),
}

# A sensor's name for a band -> the vocabulary's; TM's and ETM+'s thermal bands are none of the vocabulary's.
_SENTINEL_2 = {
    "B1": "COASTAL_AEROSOL", "B2": "BLUE", "B3": "GREEN", "B4": "RED", "B5": "RED_EDGE_1", "B6": "RED_EDGE_2",
    "B7": "RED_EDGE_3", "B8": "NIR_BROAD", "B8A": "NIR_NARROW", "B9": "WATER_VAPOR", "B10": "CIRRUS", "B11": "SWIR_1",
    "B12": "SWIR_2", "NDVI": "NDVI",
}  # fmt: skip
_TM = {"B1": "BLUE", "B2": "GREEN", "B3": "RED", "B4": "NIR_BROAD", "B5": "SWIR_1", "B6": "TM_B6", "B7": "SWIR_2"}
_ETM = {
    **{name: band for name, band in _TM.items() if name != "B6"},
    "B6_VCID_1": "ETM_B6_VCID_1", "B6_VCID_2": "ETM_B6_VCID_2", "B8": "PAN",
}  # fmt: skip
_OLI = {
    "B1": "COASTAL_AEROSOL", "B2": "BLUE", "B3": "GREEN", "B4": "RED", "B5": "NIR_NARROW", "B6": "SWIR_1",
    "B7": "SWIR_2", "B8": "PAN", "B9": "CIRRUS", "B10": "THERMAL_1", "B11": "THERMAL_2",
}  # fmt: skip
SENSORS: Mapping[Sensor, Mapping[str, str]] = {
    "sentinel1": {"VV": "VV", "VH": "VH"},
    "sentinel2": _SENTINEL_2,
    "tm": _TM,
    "etm": _ETM,
    "oli": _OLI,
    "colours": {"R": "RED", "G": "GREEN", "B": "BLUE"},
}


@dataclass(frozen=True)
class Provenance:
    """Sensor, unit (`geocompose.imagery.units.UNITS`) and level of the weights whose name a pattern fits."""

    sensor: Sensor
    unit: str | None = None
    level: Level | None = None


# The first pattern that fits. `Enumeration.MEMBER`.
PROVENANCES: Mapping[str, Provenance] = {
    "*.LANDSAT_TM_TOA_*": Provenance("tm", "uint8", "TOA"),
    "*.LANDSAT_ETM_TOA_*": Provenance("etm", "uint8", "TOA"),
    "*.LANDSAT_ETM_SR_*": Provenance("etm", "uint8", "BOA"),
    "*.LANDSAT_OLI_TIRS_TOA_*": Provenance("oli", "uint8", "TOA"),
    "*.LANDSAT_OLI_SR_*": Provenance("oli", "uint8", "BOA"),
    # Level-1 digital numbers minus 4000 over 16320.
    "*.LANDSAT_*_SATLAS": Provenance("oli", "dn", "TOA"),
    "*.SENTINEL2_*_RGB_SATLAS": Provenance("sentinel2", "uint8", "TOA"),
    # Colours of 8 bits beside digital numbers of 16: no one unit.
    "*.SENTINEL2_*_MS_SATLAS": Provenance("sentinel2", None, "TOA"),
    "*.SENTINEL2_RGB_SECO": Provenance("sentinel2", "uint8"),
    # An index beside reflectance: no one unit.
    "*.SENTINEL2_ALL_NDVI_SECO_ECO": Provenance("sentinel2"),
    "*.SENTINEL2_ALL_SECO_ECO": Provenance("sentinel2", "reflectance_1e4"),
    "*.SENTINEL2_*CLOSP": Provenance("sentinel2", "reflectance_1e4"),
    "EarthLoc_Weights.*": Provenance("sentinel2", "uint8"),
    # SSL4EO-S12, Level-1C: MoCo, DINO, DeCUR, MAE, FG-MAE, SoftCon.
    "*.SENTINEL2_*": Provenance("sentinel2", "reflectance_1e4", "TOA"),
    "*.SENTINEL1_*_SATLAS": Provenance("sentinel1"),
    "*.SENTINEL1_*CLOSP": Provenance("sentinel1"),
    "*.SENTINEL1_*": Provenance("sentinel1", "db"),
    "*.NAIP_RGB_*": Provenance("colours", "uint8"),
    "*.FMOW_RGB*": Provenance("colours", "uint8"),
    "*.CITYSCAPES_*": Provenance("colours", "uint8"),
}
# Weights whose transforms expect 8-bit colours divided by 255 before.
_OF_ONE = ("*.CITYSCAPES_*",)


def pretraining_of(weights: Any) -> Pretraining:
    """Return what weights have seen: a member of torchgeo's enumerations that names bands or has three colours."""
    name = str(weights)
    provenance = next((row for pattern, row in PROVENANCES.items() if fnmatchcase(name, pattern)), None)
    assert provenance is not None, f"{name} is in no row of PROVENANCES"
    labels = weights.meta.get("bands")
    names = SENSORS[provenance.sensor]
    bands = COLOURS if labels is None else tuple(names[_plain(label)] for label in labels)
    assert len(bands) == weights.meta["in_chans"], name
    numbers = normalization(weights.transforms, len(bands))
    if numbers is None:
        return Pretraining(bands, provenance.unit, provenance.level)
    per_one = 255.0 if any(fnmatchcase(name, pattern) for pattern in _OF_ONE) else 1.0
    mean, std = (tuple(per_one * value for value in values) for values in numbers)
    return Pretraining(bands, provenance.unit, provenance.level, mean, std)


def _plain(label: str) -> str:
    """Return a band's label without an archive's prefix or zero: B08 and SR_B8 are B8."""
    plain = label.upper().removeprefix("SR_")
    return f"B{plain[2:]}" if plain.startswith("B0") else plain


def normalization(transforms: Any, channels: int) -> tuple[list[float], list[float]] | None:
    """Return mean and deviation per channel: of all normalisations one after the other; None without any."""
    steps = transforms.children() if type(transforms).__name__ == "Sequential" else [transforms]
    found = [step for step in steps if type(step).__name__ == "Normalize"]
    if not found:
        return None
    mean, std = [0.0] * channels, [1.0] * channels
    for step in found:
        # ((x - mean) / std - m) / s is (x - (mean + m std)) / (std s).
        shift, scale = _each(step.mean, channels), _each(step.std, channels)
        mean = [before + m * s for before, m, s in zip(mean, shift, std, strict=True)]
        std = [before * s for before, s in zip(std, scale, strict=True)]
    return mean, std


def _each(values: Sequence[float], channels: int) -> list[float]:
    numbers = [float(value) for value in values]
    return numbers * channels if len(numbers) == 1 else numbers
