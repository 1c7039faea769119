"""What sensors measure: centre and width of each band and its ground sampling distance, as their operators publish it.

Sources:
    Sentinel-2: ESA, Sentinel-2 MSI spatial and spectral resolutions (SentiWiki); the values of Sentinel-2A, those of 2B
        and 2C differ by 17 nm in SWIR_2 and by less than 4 nm elsewhere.
    Landsat 8: Barsi et al. 2014, The Spectral Response of the Landsat-8 Operational Land Imager, Remote Sensing 6,
        10232; thermal bands: Barsi et al. 2014, Landsat-8 Thermal Infrared Sensor (TIRS) Vicarious Radiometric
        Calibration, Remote Sensing 6, 11607. Landsat 9 carries copies of both.
    HLS: Harmonized Landsat Sentinel-2 User Guide 2.0 (NASA); the bands of both sensors at 30 m, adjusted to Landsat's.
    NAIP: USDA, flown with Leica ADS cameras: Leica Geosystems, ADS80 data sheet. Other aerial cameras differ by tens of
    nm. Sentinel-1: ESA, Sentinel-1 SAR instrument: 5.405 GHz; ground range detected images have pixels of 10 m.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One band of one sensor.

    label: the sensor's own name for it. wavelength_um, bandwidth_um: centre and full width at half maximum; None where
    a band has no width to speak of. gsd_m: ground sampling distance.
    """

    label: str
    wavelength_um: float
    bandwidth_um: float | None
    gsd_m: float


def _hls(band: Measurement, label: str) -> Measurement:
    return Measurement(label, band.wavelength_um, band.bandwidth_um, 30.0)


_SENTINEL_2 = {
    "COASTAL_AEROSOL": Measurement("B1", 0.4427, 0.020, 60.0),
    "BLUE": Measurement("B2", 0.4927, 0.065, 10.0),
    "GREEN": Measurement("B3", 0.5598, 0.035, 10.0),
    "RED": Measurement("B4", 0.6646, 0.030, 10.0),
    "RED_EDGE_1": Measurement("B5", 0.7041, 0.014, 20.0),
    "RED_EDGE_2": Measurement("B6", 0.7405, 0.014, 20.0),
    "RED_EDGE_3": Measurement("B7", 0.7828, 0.019, 20.0),
    "NIR_BROAD": Measurement("B8", 0.8328, 0.105, 10.0),
    "NIR_NARROW": Measurement("B8A", 0.8647, 0.021, 20.0),
    "WATER_VAPOR": Measurement("B9", 0.9451, 0.019, 60.0),
    "CIRRUS": Measurement("B10", 1.3735, 0.029, 60.0),
    "SWIR_1": Measurement("B11", 1.6137, 0.090, 20.0),
    "SWIR_2": Measurement("B12", 2.2024, 0.174, 20.0),
}
_LANDSAT_8 = {
    "COASTAL_AEROSOL": Measurement("B1", 0.44296, 0.01598, 30.0),
    "BLUE": Measurement("B2", 0.48204, 0.06004, 30.0),
    "GREEN": Measurement("B3", 0.56141, 0.05733, 30.0),
    "RED": Measurement("B4", 0.65459, 0.03747, 30.0),
    "NIR_NARROW": Measurement("B5", 0.86467, 0.02825, 30.0),
    "SWIR_1": Measurement("B6", 1.60886, 0.08472, 30.0),
    "SWIR_2": Measurement("B7", 2.20073, 0.18666, 30.0),
    "PAN": Measurement("B8", 0.58950, 0.17240, 15.0),
    "CIRRUS": Measurement("B9", 1.37343, 0.02039, 30.0),
    "THERMAL_1": Measurement("B10", 10.895, 0.59, 100.0),
    "THERMAL_2": Measurement("B11", 12.005, 1.01, 100.0),
}
_HLS = {
    **{name: _hls(band, f"L30 {band.label}") for name, band in _LANDSAT_8.items() if name != "PAN"},
    **{
        name: _hls(_SENTINEL_2[name], f"S30 {_SENTINEL_2[name].label}")
        for name in ("RED_EDGE_1", "RED_EDGE_2", "RED_EDGE_3", "NIR_BROAD", "WATER_VAPOR")
    },
}
_NAIP = {
    "BLUE": Measurement("B", 0.460, 0.064, 1.0),
    "GREEN": Measurement("G", 0.560, 0.054, 1.0),
    "RED": Measurement("R", 0.635, 0.054, 1.0),
    "NIR_BROAD": Measurement("N", 0.860, 0.054, 1.0),
}
# 299792.458 km/s / 5.405 GHz = 5.5466 cm
_SENTINEL_1 = {name: Measurement(name, 55465.8, None, 10.0) for name in ("VV", "VH", "HH", "HV")}

# Sensor -> the vocabulary's name of a band -> what the sensor measures. The first sensor that has a band stands for it
# where none is named.
SENSORS: Mapping[str, Mapping[str, Measurement]] = {
    "sentinel2": _SENTINEL_2,
    "sentinel1": _SENTINEL_1,
    "landsat8": _LANDSAT_8,
    "landsat9": _LANDSAT_8,
    "hls": _HLS,
    "naip": _NAIP,
}
