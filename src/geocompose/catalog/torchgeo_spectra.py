"""The wavelength of each channel, for models that make their first layer from it."""

from collections.abc import Mapping, Sequence

from geocompose.errors import UserError, choices
from geocompose.imagery.bands import BANDS, canonical

RADAR = ("VV", "VH", "HH", "HV")

# What the models were pretrained with, in um; it stands before the vocabulary's, since a few nm are much to their
# encodings. Radar's are the authors' convention: DOFA's is Sentinel-1's frequency in GHz, Copernicus-FM's is 5 cm.
# Source: README of zhu-xlab/DOFA; Copernicus-Bench/src/configs/dataset of zhu-xlab/Copernicus-FM.
DOFA_UM: Mapping[str, float] = {
    "BLUE": 0.49, "GREEN": 0.56, "RED": 0.665, "RED_EDGE_1": 0.705, "RED_EDGE_2": 0.74, "RED_EDGE_3": 0.783,
    "NIR_BROAD": 0.842, "SWIR_1": 1.61, "SWIR_2": 2.19, **dict.fromkeys(RADAR, 5.405),
}  # fmt: skip
COPERNICUS_UM: Mapping[str, float] = {
    "COASTAL_AEROSOL": 0.44, "BLUE": 0.49, "GREEN": 0.56, "RED": 0.665, "RED_EDGE_1": 0.705, "RED_EDGE_2": 0.74,
    "RED_EDGE_3": 0.783, "NIR_BROAD": 0.842, "NIR_NARROW": 0.86, "WATER_VAPOR": 0.94, "CIRRUS": 1.37, "SWIR_1": 1.61,
    "SWIR_2": 2.19, **dict.fromkeys(RADAR, 5e4),
}  # fmt: skip
COPERNICUS_WIDTH_UM: Mapping[str, float] = {
    "COASTAL_AEROSOL": 0.02, "BLUE": 0.065, "GREEN": 0.035, "RED": 0.03, "RED_EDGE_1": 0.015, "RED_EDGE_2": 0.015,
    "RED_EDGE_3": 0.02, "NIR_BROAD": 0.115, "NIR_NARROW": 0.02, "WATER_VAPOR": 0.02, "CIRRUS": 0.03, "SWIR_1": 0.09,
    "SWIR_2": 0.18, **dict.fromkeys(RADAR, 1e6),
}  # fmt: skip


def wavelengths_um(model: str, bands: Sequence[str] | None, given: object, own: Mapping[str, float]) -> list[float]:
    """Return the centre wavelength of each channel in um: the user's, else the model's own, else the vocabulary's.

    given: `backbone.kwargs.wavelengths_um`: null, one number per channel, or a mapping of bands to numbers.
    own: what the model was pretrained with, by the vocabulary's names.

    Raises:
        UserError: a band has no wavelength, or `given` is not a list or mapping of positive numbers for these bands.
    """
    known = {name: row.wavelength_um for name, row in BANDS.items() if row.wavelength_um is not None}
    return _numbers(model, "wavelengths_um", bands, given, {**known, **own})


def bandwidths_um(model: str, bands: Sequence[str] | None, given: object, own: Mapping[str, float]) -> list[float]:
    """Return the width of each channel in um, as `wavelengths_um` does its centre."""
    known = {name: row.bandwidth_um for name, row in BANDS.items() if row.bandwidth_um is not None}
    return _numbers(model, "bandwidths_um", bands, given, {**known, **own})


def _numbers(
    model: str, argument: str, bands: Sequence[str] | None, given: object, known: Mapping[str, float]
) -> list[float]:
    key = f"backbone.kwargs.{argument}"
    if isinstance(given, Sequence) and not isinstance(given, str):
        if bands is not None and len(given) != len(bands):
            raise UserError(
                f"{key} has {len(given)} numbers for {len(bands)} bands ({', '.join(bands)}): give one per band."
            )
        return [_positive(key, value) for value in given]
    if given is not None and not isinstance(given, Mapping):
        raise UserError(
            f"{key} must be one number per band, such as [0.49, 0.56], or a mapping, such as {{NDVI: 0.7}}; got "
            f"{given!r}."
        )
    if bands is None:
        raise UserError(
            f"{model} makes its first layer from each band's wavelength: name the bands in backbone.bands, or write "
            f"{key}=[0.665, 0.56, 0.49] (um, one per channel)."
        )
    own = {canonical(str(name)): _positive(key, value) for name, value in (given or {}).items()}
    for name in own:
        if name not in map(canonical, bands):
            raise UserError(f"{key} names {name!r}, which is not one of backbone.bands. {choices(name, bands)}")
    numbers = {**known, **own}
    missing = [name for name in bands if canonical(name) not in numbers]
    if missing:
        raise UserError(
            f"{model} makes its first layer from each band's "
            f"{'width' if argument == 'bandwidths_um' else 'wavelength'}, and the vocabulary has none for "
            f"{', '.join(missing)}. Write it in um, such as {key}={{{missing[0]}: 0.65}}, or leave the band out."
        )
    return [numbers[canonical(name)] for name in bands]


def _positive(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UserError(f"{key} must be numbers above 0, in um; got {value!r}.")
    return float(value)
