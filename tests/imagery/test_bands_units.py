"""The vocabulary of bands, units and their rules, and what of data and pretrained weights has to agree."""

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from torch import nn

from geocompose.actions import early, predict
from geocompose.actions.early import check_early
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.contracts.backbone import contract_of
from geocompose.data.geotiff import GeoTiffData
from geocompose.data.synthetic_segmentation import SyntheticData
from geocompose.errors import UserError
from geocompose.imagery.agreement import (
    check_convertible,
    consents,
    mismatches,
    taken_for,
    units_read,
    with_consent,
)
from geocompose.imagery.bands import BANDS, HLS_BANDS, band, canonical, check_names, wavelength_um
from geocompose.imagery.pretraining import Pretraining
from geocompose.imagery.sensors import SENSORS
from geocompose.imagery.units import UNITS, Conversion, Values, converted
from geocompose.training.session import read_alike
from tests.kit.data_rasters import BANDS as FIVE
from tests.kit.data_rasters import arguments, image, label, pair, write
from tests.kit.places import CONF

HLS = Pretraining(HLS_BANDS, "reflectance_1e4", "BOA", (1.0,) * 6, (2.0,) * 6)
BOA = Values("reflectance_1e4", "BOA")


# Bands


def test_no_name_stands_for_two_bands():
    names = [name.casefold() for each in BANDS.values() for name in {each.name, *each.aliases}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("B8A", "NIR_NARROW"), ("b08", "NIR_BROAD"), ("nir", "NIR_BROAD"), ("nir08", "NIR_NARROW"), ("SR_B5", "NIR_NARROW"),
        ("B5", "RED_EDGE_1"), ("swir16", "SWIR_1"), ("SWIR2", "SWIR_2"), ("L8_B10", "THERMAL_1"), ("lwir12", "THERMAL_2"),
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
    data = GeoTiffData(**arguments(tmp_path, band_names=["B2", "B3", "B4", "B8A", "x"]))
    with pytest.raises(
        UserError,
        match=r"data\.bands: a_img\.tif has no band 'BLEU'\. Did you mean 'BLUE'\? It has: B2 \(BLUE\), B3 \(GREEN\), B4 \(RED\), "
        r"B8A \(NIR_NARROW\), x\.",
    ):
        data.use_bands(["BLEU"])


# Units


@pytest.mark.parametrize(
    ("values", "unit", "raw", "expected"),
    [
        (Values("dn", offset=1000), "reflectance", 3000, 0.2),
        (Values("dn", offset=1000), "reflectance_1e4", 3000, 2000),
        (Values("dn", offset=0), "reflectance_1e4", 3000, 3000),
        # Landsat Collection 2: 0.0000275 x DN - 0.2
        (Values("dn", offset=0.2 / 0.0000275, scale=1 / 0.0000275), "reflectance", 20000, 0.35),
        (Values("reflectance"), "reflectance_1e4", 0.25, 2500),
        (Values("reflectance_1e4"), "reflectance", 2500, 0.25),
        (Values("reflectance_1e4", offset=1000), "reflectance_1e4", 3000, 2000),
        (Values("db"), "power", -10, 0.1),
        (Values("power"), "db", 0.01, -20),
        (Values("uint8"), "uint8", 200, 200),
        (Values("db"), "db", -12, -12),
        # Nobody says what to reach: only what the producer added goes.
        (Values("dn", offset=1000), None, 3000, 2000),
        (Values("reflectance", offset=0.1), None, 0.25, 0.15),
        (Values("dn"), None, 3000, 3000),
        (Values(), None, 7, 7),
    ],
)
def test_values_become_the_unit_that_is_read(values, unit, raw, expected):
    conversion = values.conversion(unit)
    found = conversion.apply(np.array([[raw]], dtype=np.float64))
    assert found.dtype == np.float32
    assert found[0, 0] == pytest.approx(expected, rel=1e-6)
    assert conversion.changes == (raw != expected)


def test_there_is_no_rule_between_what_differs_in_kind():
    for unit in UNITS:
        assert Values().conversion(unit) is None
    for unit, other in [
        ("dn", "reflectance"),
        ("uint8", "reflectance"),
        ("db", "reflectance_1e4"),
        ("reflectance", "uint8"),
    ]:
        assert Values(unit).conversion(other) is None
        assert Values("reflectance").conversion("power") is None


def test_a_conversion_of_digital_numbers_is_exact():
    numbers = np.arange(1, 20001, dtype=np.uint16)[None, None]
    back = Values("dn", offset=1000).conversion("reflectance_1e4").apply(numbers + np.uint16(1000))
    assert np.array_equal(back, numbers.astype(np.float32))
    reflectance = (numbers / 10_000).astype(np.float32)
    scaled = Values("reflectance").conversion("reflectance_1e4").apply(reflectance)
    assert np.abs(scaled / numbers - 1).max() < 2e-7


def test_values_without_conversion_stay_bit_for_bit():
    raw = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    same = converted(raw, [2, 0, 1], [Conversion("reflectance")] * 3)
    assert np.array_equal(same, raw)
    assert np.array_equal(converted(raw, [0, 1, 2], None), raw)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"unit": "reflectanc"}, "data.unit has no 'reflectanc'. Did you mean 'reflectance'"),
        ({"level": "SR"}, "data.level has no 'SR'. .*TOA, BOA"),
        ({"allow_mismatch": ["levels"]}, "data.allow_mismatch has no 'levels'. Did you mean 'level'"),
        ({"offset": 1000.0}, "data.offset=1000 .*; here data.unit is null. Write data.unit=dn"),
        ({"unit": "db", "offset": 3.0}, "data.offset=3 .*; here data.unit is db"),
        ({"unit": "reflectance", "scale": 2.0}, "data.scale=2 is for digital numbers; here data.unit is reflectance"),
        ({"unit": "dn", "scale": 0.0}, "data.scale=0 must be above 0"),
    ],
)
def test_a_statement_that_can_not_be_is_refused(stated, message, tmp_path):
    with pytest.raises(UserError, match=message):
        Values(**stated)
    pair(tmp_path)
    with pytest.raises(UserError, match=message):
        GeoTiffData(**arguments(tmp_path, **stated))


# Reading


def test_values_are_converted_before_statistics_and_normalisation(tmp_path):
    raw = image()
    write(tmp_path / "a_img.tif", raw + 1000, FIVE)
    write(tmp_path / "a_lab.tif", label())
    data = GeoTiffData(**arguments(tmp_path, unit="dn", offset=1000.0, level="TOA"))
    data.read_as(["reflectance"] * 5)
    data.setup()
    assert data.mean == pytest.approx((raw[:, :, : data.regions["train"][0].window.width] / 1e4).mean((1, 2)), rel=1e-5)
    assert data.units == ["reflectance"] * 5
    described = data.describe()
    assert {key: described[key] for key in ("unit", "level", "offset", "scale")} == {
        "unit": "dn", "level": "TOA", "offset": 1000.0, "scale": None,
    }  # fmt: skip
    assert described["read_as"] == ["reflectance"] * 5
    values, _ = data.pixels("train", bands=["SWIR_1"])
    assert values.min() >= 0


def test_further_rasters_have_values_of_their_own(tmp_path):
    optical, radar = image(), np.log(image(seed=5, bands=2))
    write(tmp_path / "a_img.tif", optical, FIVE)
    write(tmp_path / "a_sar.tif", radar, ["VV", "VH"])
    write(tmp_path / "a_lab.tif", label())
    more = [{"images": "*_sar.tif", "unit": "db"}]
    stated = {"unit": "reflectance_1e4", "level": "TOA", "more_images": more}
    data = GeoTiffData(**arguments(tmp_path, bands=["VV", "RED"], **stated))
    assert (data.values.band("B4").unit, data.values.band("VH").unit) == ("reflectance_1e4", "db")
    data.read_as(["power", "reflectance"])
    window = data.regions["train"][0].window
    found, _ = data.scenes[0].read_image(window, data.selected_places(0))
    assert np.allclose(found[0], 10 ** (radar[0, :, : found.shape[2]] / 10), rtol=1e-6)
    assert np.allclose(found[1], optical[2, :, : found.shape[2]] / 1e4)
    data.setup()
    assert Values.of(data.describe()).band("VV") == Values("db")
    with pytest.raises(UserError, match=r"data.more_images\[0\].offset=3 .*; here data.more_images\[0\].unit is db"):
        GeoTiffData(**arguments(tmp_path, more_images=[{"images": "*_sar.tif", "unit": "db", "offset": 3}]))
    with pytest.raises(UserError, match=r"data.more_images\[0\].scale is a number, or null; got 'x'"):
        GeoTiffData(**arguments(tmp_path, more_images=[{"images": "*_sar.tif", "unit": "dn", "scale": "x"}]))


def test_a_band_that_the_model_does_not_read_has_the_unit_of_those_that_it_reads(tmp_path):
    # Else a water index of one selected band and another would be one of reflectance x 10000 and reflectance.
    write(tmp_path / "a_img.tif", image() / np.float32(1e4), FIVE)
    write(tmp_path / "a_sar.tif", image(seed=5, bands=2), ["VV", "VH"])
    write(tmp_path / "a_lab.tif", label())
    more = [{"images": "*_sar.tif", "unit": "power"}]
    data = GeoTiffData(**arguments(tmp_path, bands=["VV", "GREEN"], unit="reflectance", more_images=more))
    data.read_as(["db", "reflectance_1e4"])
    window = data.regions["train"][0].window
    found, _ = data.scenes[0].read_image(window, range(7))
    optical, radar = image()[:, :, : found.shape[2]], image(seed=5, bands=2)[:, :, : found.shape[2]]
    assert np.allclose(found[:5], optical)
    assert np.allclose(found[5:], 10 * np.log10(radar), rtol=1e-5)


def test_a_declared_offset_is_taken_off_whatever_the_backbone(tmp_path):
    raw = image()
    write(tmp_path / "a_img.tif", raw + 1000, FIVE)
    write(tmp_path / "a_lab.tif", label())
    data = GeoTiffData(**arguments(tmp_path, unit="dn", offset=1000.0))
    found, _ = data.scenes[0].read_image(data.regions["train"][0].window, [1, 4])
    assert np.array_equal(found, raw[[1, 4], :, : found.shape[2]])
    assert data.units == ["reflectance_1e4"] * 5


def test_nodata_is_a_value_of_the_file(tmp_path):
    raw = image() + 1000
    raw[:, 3, 5] = 0
    raw[:, 4, 6] = 1000  # 0 after conversion, and valid
    write(tmp_path / "a_img.tif", raw, FIVE, nodata=0)
    write(tmp_path / "a_lab.tif", label())
    data = GeoTiffData(**arguments(tmp_path, unit="dn", offset=1000.0))
    _, valid = data.scenes[0].read_image(data.regions["train"][0].window, [0, 1, 2, 3, 4])
    assert not valid[3, 5]
    assert valid.sum() == valid.size - 1


def test_power_that_has_no_db_is_told(tmp_path):
    raw = np.abs(image()) / 1e4
    raw[2, 3, 5] = 0
    write(tmp_path / "a_img.tif", raw, FIVE)
    write(tmp_path / "a_lab.tif", label())
    data = GeoTiffData(**arguments(tmp_path, unit="power"))
    data.read_as(["db"] * 5)
    with pytest.raises(UserError, match=r"has the value -inf \(after conversion to db\) at row 3, column 5"):
        data.setup()


def test_made_up_landscapes_state_what_they_are():
    data = SyntheticData(num_scenes=3, scene_px=32, tile_px=32, allow_mismatch=["unit"])
    assert (data.values.unit, data.values.level, data.values.allow_mismatch) == ("reflectance_1e4", "BOA", ["unit"])
    raw, _ = data.scenes[0].read_image(data.regions["train"][0].window, [0])
    data.read_as(["reflectance"] * 6)
    scaled, _ = data.scenes[0].read_image(data.regions["train"][0].window, [0])
    assert np.allclose(scaled, raw / 1e4)


# Matching


class Weighted(nn.Module):
    """A backbone that declares what its weights have seen."""

    def __init__(self, seen, published=None):
        super().__init__()
        self.pretraining, self.published = seen, published


class Fused(nn.Module):
    """Backbones side by side, which says which of them reads which bands, as late fusion does."""

    def __init__(self, *readers):
        super().__init__()
        self.readers = list(readers)


def unit_of_each(backbone, bands):
    return units_read(contract_of(backbone).known_of(bands), bands)


def differing(values, bands=HLS_BANDS, seen=HLS, allowed=()):
    return mismatches(contract_of(Weighted(seen)).seen(bands), values, allowed=set(allowed))


def test_data_that_the_weights_have_seen_passes():
    assert differing(BOA) == []
    assert differing(Values("reflectance", "BOA"), ["B8A", "B4"]) == []
    assert differing(Values("dn", "BOA", offset=0)) == []


def test_random_weights_ask_nothing():
    assert mismatches(contract_of(Weighted(None, HLS)).seen(["VV"]), Values(), allowed=set()) == []
    assert mismatches(contract_of(nn.Identity()).seen(["VV"]), Values(), allowed=set()) == []


@pytest.mark.parametrize(
    ("values", "bands", "allow", "message"),
    [
        (Values(level="BOA"), HLS_BANDS, "unit", r"unit: they saw reflectance_1e4 \(reflectance x 10000\), and data.unit is null. Write what the files hold: data.unit=reflectance_1e4, or reflectance, dn"),
        (Values("dn", "BOA"), HLS_BANDS, "unit", r"the data is dn .*, and its data.offset is null. Write data.offset=0, or what was added: 1000"),
        (Values("db", "BOA"), HLS_BANDS, "unit", r"the data is db .*, and no rule turns one into the other. Take other data or weights"),
        (Values("reflectance_1e4", "TOA"), HLS_BANDS, "level", r"level: they saw BOA \(surface, .*\), and the data is TOA \(top of atmosphere\). Take data of the level BOA"),
        (Values("reflectance_1e4"), HLS_BANDS, "level", r"level: they saw BOA .*, and data.level is null. Write what the files hold: data.level=TOA or BOA"),
        (BOA, ["B4", "B8"], "band", r"band: they have no B8; they have BLUE, .*. B8 \(NIR_BROAD\) is not B8A \(NIR_NARROW\). Write 'data.bands=\[B4\]'"),
        (BOA, ["VV"], "band", r"band: they have no VV; they have BLUE, .* Take other data or weights"),
    ],
)  # fmt: skip
def test_a_mismatch_is_refused_unless_it_is_stated(values, bands, allow, message):
    with pytest.raises(UserError, match=message) as error:
        differing(values, bands)
    assert f"'data.allow_mismatch=[{allow}]'" in str(error.value)
    (intended,) = differing(values, bands, allowed=[allow])
    assert intended.startswith(f"{allow}: they ")
    for other in {"unit", "level", "band"} - {allow}:
        with pytest.raises(UserError, match=message):
            differing(values, bands, allowed=[other])


def test_all_that_differs_is_told_at_once():
    with pytest.raises(UserError, match=r"unit: .*level: .*band: .*'data.allow_mismatch=\[unit,level,band\]'"):
        differing(Values(), ["B4", "VV"])


def test_weights_of_which_nothing_is_known_ask_for_their_bands_alone():
    assert differing(Values(), ["RED"], Pretraining(("RED", None))) == []
    with pytest.raises(UserError, match=r"band: they have no VV; they have RED\."):
        differing(Values(), ["RED", "VV"], Pretraining(("RED", None)))


def test_photographs_have_no_level_and_no_rule_to_reflectance():
    photographs = Pretraining(("RED", "GREEN", "BLUE"), "uint8", None, (1.0, 2.0, 3.0), (1.0, 1.0, 1.0))
    assert differing(Values("uint8"), ["BLUE", "RED"], photographs) == []
    assert photographs.statistics(["BLUE", "RED"]) == ([3.0, 1.0], [1.0, 1.0])
    with pytest.raises(UserError, match="unit: they saw uint8"):
        differing(BOA, ["BLUE", "RED"], photographs)


def test_each_part_of_a_fusion_is_matched_with_its_own_bands():
    optical = Weighted(HLS)
    fused = Fused((optical, ["RED", "SWIR_1"]), (Weighted(None), ["VV"]))
    assert mismatches(contract_of(fused).seen(["RED", "SWIR_1", "VV"]), BOA, allowed=set()) == []
    assert unit_of_each(fused, ["VV", "RED", "SWIR_1"]) == [None, "reflectance_1e4", "reflectance_1e4"]
    swapped = Fused((optical, ["RED", "VV"]), (Weighted(None), ["VV"]))
    with pytest.raises(UserError, match="band: they have no VV"):
        mismatches(contract_of(swapped).seen(["RED", "VV"]), BOA, allowed=set())
    both = Fused((optical, ["RED"]), (Weighted(Pretraining(("RED",), "uint8")), ["RED"]))
    with pytest.raises(UserError, match="read the band RED in reflectance_1e4 and in uint8"):
        unit_of_each(both, ["RED"])


def test_weights_for_radar_are_matched_with_the_radar_alone():
    radar = Pretraining(("VV", "VH"), "db")
    values = Values("reflectance_1e4", "TOA", more={"VV": Values("power"), "VH": Values("power")})
    assert differing(values, ["VH"], radar) == []
    unstated = Values("reflectance_1e4", more={"VV": Values(group="data.more_images[0]")})
    with pytest.raises(UserError, match=r"unit: they saw db .*, and data.more_images\[0\].unit is null"):
        differing(unstated, ["VV"], radar)


def test_the_published_unit_is_read_with_random_weights_too():
    assert unit_of_each(Weighted(None, HLS), ["RED"]) == ["reflectance_1e4"]
    assert unit_of_each(nn.Identity(), ["RED"]) == [None]
    with pytest.raises(UserError, match=r"The model reads RED in reflectance_1e4 .*; the data is db"):
        check_convertible(Values("db"), ["RED"], ["reflectance_1e4"])
    check_convertible(Values("db", allow_mismatch=["unit"]), ["RED"], ["reflectance_1e4"])
    check_convertible(Values(), ["RED"], ["reflectance_1e4"])


@pytest.mark.parametrize(
    ("stated", "published", "said"),
    [
        ({}, "reflectance_1e4", ["data.unit is null: with data.normalize=pretraining, values are taken for reflectance_1e4 (reflectance x 10000)."]),
        ({}, None, ["data.unit is null: with data.normalize=pretraining, values are taken for the published numbers' unit, which is not known."]),
        ({"unit": "reflectance"}, "reflectance_1e4", ["Values are converted as they are read: reflectance becomes reflectance_1e4 (BLUE, GREEN, RED, NIR_NARROW, SWIR_1)."]),
        ({"normalize": "dataset"}, "reflectance_1e4", []),
    ],
)  # fmt: skip
def test_numbers_published_for_a_unit_are_not_applied_to_values_of_none_without_a_word(
    tmp_path, caplog, stated, published, said
):
    pair(tmp_path)
    names = [canonical(name) for name in FIVE]
    seen = Pretraining(tuple(names), published, None, (1.0,) * 5, (2.0,) * 5)
    data = GeoTiffData(**{**arguments(tmp_path), "normalize": "pretraining", **stated})
    with caplog.at_level("INFO", logger="geocompose"):
        read_alike(data, Weighted(None, seen), {"backbone": {}, "data": {}})
    assert [record.getMessage() for record in caplog.records if record.name == "geocompose"] == said


def test_further_rasters_of_no_stated_unit_are_named_by_their_key():
    values = Values("dn", more={"VV": Values(group="data.more_images[0]")})
    assert taken_for(values, ["RED", "VV"], ["reflectance_1e4", "db"]) == {"data.more_images[0].unit": "db"}
    assert taken_for(Values(), ["RED"], [None]) == {"data.unit": None}


def test_one_consent_is_for_bands_wherever_it_is_written():
    backbone = {"allow_random_bands": False, "parts": {"s2": {"allow_random_bands": False}, "s1": {"name": "resnet18"}}}
    assert consents({"data": {"allow_mismatch": ["level"]}, "backbone": backbone}) == {"level"}
    assert consents({"backbone": {"allow_random_bands": True}}) == {"band"}
    told = with_consent(backbone, consented=True)
    assert told["allow_random_bands"]
    assert told["parts"]["s2"]["allow_random_bands"]
    assert not backbone["parts"]["s2"]["allow_random_bands"]


def test_what_is_said_without_torch_is_what_the_backbone_declares(monkeypatch):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=["backbone.pretrained=true"]), groups(CONF))
    messages = []
    for target in ("geocompose.backbones.prithvi.builder.build_prithvi", "another"):
        monkeypatch.setattr(early, "PRITHVI", target)
        for values in (Values(), Values("db", "TOA"), BOA):
            with pytest.raises(UserError) as error:
                check_early(config, ["B4", "B8"], values)
            messages.append(str(error.value))
    assert messages[:3] == messages[3:]
    assert len(set(messages)) == 3


@pytest.mark.parametrize("backbone", ["prithvi", "timm"])
def test_random_weights_are_not_asked_what_they_have_seen(backbone, monkeypatch):
    monkeypatch.setattr(early, "mismatches", None)
    config = {"backbone": {"_target_": f"geocompose.backbones.{backbone}", "pretrained": False, "ckpt_path": None}}
    check_early(config, ["VV"], Values())
    foreign = {"backbone": {"_target_": "somebody.Backbone", "pretrained": True}}
    check_early(foreign, ["VV"], Values())


# Prediction


TRAINED = {"unit": "dn", "offset": 1000.0, "scale": None, "bands": ["RED", "VV"], "read_as": ["reflectance_1e4", "db"]}


RAW = {"unit": "dn", "offset": None, "scale": None, "bands": ["RED"], "read_as": ["dn"]}


def test_an_input_is_read_as_the_training_data_unless_told_otherwise():
    recorded = TRAINED | {"more_values": {"VV": {"unit": "db"}}}
    same = predict._values(recorded, None, None, None)
    assert same.in_words() == "dn, offset 1000"
    assert [conversion.offset for conversion in predict._conversions(recorded, same)] == [1000.0, 0.0]
    older = predict._values(recorded, None, 0.0, None)
    assert predict._conversions(recorded, older)[0].changes is False
    assert predict._conversions(recorded, predict._values(recorded, "reflectance", None, None))[0].factor == 1e4
    assert predict._values({"bands": ["RED"]}, None, None, None) is None
    assert not predict._conversions(RAW, predict._values(RAW, None, None, None))[0].changes


@pytest.mark.parametrize(
    ("recorded", "asked", "message"),
    [
        ({"bands": ["RED"]}, ("dn", None, None), "action.unit=dn says what .* the run's data never said"),
        ({"unit": None}, (None, 1000.0, None), "action.offset=1000.0 says what"),
        (TRAINED, ("db", 5.0, None), "action.offset=5 .*; here action.unit is db. Write action.unit=dn"),
        (TRAINED, ("reflectance", None, 3.0), "action.scale=3 is for digital numbers; here action.unit is reflectance"),
        (TRAINED, ("uint8", None, None), r"reads reflectance_1e4 .*, and no rule turns action.unit=uint8 into that"),
        (TRAINED, ("dn", None, None), r"it isn't known what was added. Write action.offset=0, or what was added: 1000"),
        (
            RAW,
            (None, 1000.0, None),
            r"action.offset=1000, and the run was trained with data.offset=null.* would change nothing",
        ),
        (RAW, (None, None, 5000.0), r"action.scale=5000, .* Write action.scale=null"),
    ],
)
def test_an_input_that_can_not_be_converted_is_refused(recorded, asked, message):
    with pytest.raises(UserError, match=message):
        predict._conversions(recorded, predict._values(recorded, *asked))
