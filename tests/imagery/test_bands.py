"""The vocabulary of bands: names, what sensors measure, and what it lacks."""

import pytest

from geocompose.errors import UserError
from geocompose.imagery.bands import BANDS, band, canonical, check_names, wavelength_um
from geocompose.imagery.sensors import SENSORS
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import arguments, pair

# Bands


def test_no_name_stands_for_two_bands():
    names = [name.casefold() for each in BANDS.values() for name in {each.name, *each.aliases}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("B8A", "NIR_NARROW"), ("b08", "NIR_BROAD"), ("nir", "NIR_BROAD"), ("nir08", "NIR_NARROW"), ("SR_B5",
            "NIR_NARROW"),
        ("B5", "RED_EDGE_1"), ("swir16", "SWIR_1"), ("SWIR2", "SWIR_2"), ("L8_B10", "THERMAL_1"), ("lwir12",
            "THERMAL_2"),
        ("coastal", "COASTAL_AEROSOL"), ("THEMRAL_INFRARED_1", "THERMAL_1"), ("my_index", "my_index"),
    ],
)  # fmt: skip
def test_a_band_is_found_by_any_of_its_names(name, expected):
    assert canonical(name) == expected


def test_a_band_says_what_it_measures():
    found = band("B8A")
    assert (found.name, found.common_name, found.wavelength_um, found.gsd_m) == ("NIR_NARROW", "nir08", 0.8647, 20.0)
    assert set(found.sensors) == {"sentinel2", "landsat8", "landsat9", "hls"}
    assert found.sensors["landsat8"].label == "B5"
    assert wavelength_um("RED") == 0.6646
    assert wavelength_um("RED", "naip") == 0.635
    assert wavelength_um("VV") == pytest.approx(299_792.458 / 5.405)
    assert band("VV").bandwidth_um is None
    assert wavelength_um("DEM") is None


def test_wavelengths_rise_from_band_to_band_of_an_optical_sensor():
    for sensor in ("sentinel2", "naip"):
        centres = [measured.wavelength_um for measured in SENSORS[sensor].values()]
        assert centres == sorted(centres)
    assert all(0.4 < measured.wavelength_um < 13 for name in ("landsat8", "hls") for measured in SENSORS[name].values())


@pytest.mark.parametrize(
    ("name", "sensor", "message"),
    [
        ("NIR_NAROW", None, "no band 'NIR_NAROW'. Did you mean 'NIR_NARROW'"),
        ("RED", "sentinel3", "no sensor 'sentinel3'. Did you mean 'sentinel2'"),
        ("PAN", "sentinel2", "sentinel2 has no band PAN; it has COASTAL_AEROSOL"),
    ],
)
def test_what_the_vocabulary_lacks_is_refused(name, sensor, message):
    with pytest.raises(UserError, match=message):
        wavelength_um(name, sensor)
    check_names(["my_index", "B8A", "swir22"])


def test_a_band_that_data_lack_is_told_with_both_names_of_those_it_has(tmp_path):
    pair(tmp_path)
    data = geotiff(**arguments(tmp_path, band_names=["B2", "B3", "B4", "B8A", "x"]))
    with pytest.raises(
        UserError,
        match=r"data\.bands: a_img\.tif has no band 'BLEU'\. Did you mean 'BLUE'\? It has: B2 \(BLUE\), B3 \(GREEN\), "
        r"B4 \(RED\), "
        r"B8A \(NIR_NARROW\), x\.",
    ):
        data.use_bands(["BLEU"])
