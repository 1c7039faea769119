"""Units of values: the rules between them, and what reading and prediction do with them."""

import numpy as np
import pytest

from geocompose.data.planes import Planes
from geocompose.errors import UserError
from geocompose.imagery.units import UNITS, Conversion, Values, conversions_of
from tests.kit.data_modules import geotiff, synthetic_segmentation
from tests.kit.data_rasters import BANDS as FIVE
from tests.kit.data_rasters import arguments, image, label, pair, write

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
    valid = np.ones((4, 5), dtype=bool)
    same = Planes(raw, conversions_of([2, 0, 1], [Conversion("reflectance")] * 3), valid).image()
    assert np.array_equal(same, raw)
    assert np.array_equal(Planes(raw, conversions_of([0, 1, 2], None), valid).image(), raw)


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
        geotiff(**arguments(tmp_path, **stated))


# Reading


def test_values_are_converted_before_statistics_and_normalisation(tmp_path):
    raw = image()
    write(tmp_path / "a_img.tif", raw + 1000, FIVE)
    write(tmp_path / "a_lab.tif", label())
    data = geotiff(**arguments(tmp_path, unit="dn", offset=1000.0, level="TOA"))
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
    data = geotiff(**arguments(tmp_path, bands=["VV", "RED"], **stated))
    assert (data.values.band("B4").unit, data.values.band("VH").unit) == ("reflectance_1e4", "db")
    data.read_as(["power", "reflectance"])
    window = data.regions["train"][0].window
    found, _ = data.scenes[0].read_image(window, data.selected_places(0))
    assert np.allclose(found[0], 10 ** (radar[0, :, : found.shape[2]] / 10), rtol=1e-6)
    assert np.allclose(found[1], optical[2, :, : found.shape[2]] / 1e4)
    data.setup()
    assert Values.of(data.describe()).band("VV") == Values("db")
    with pytest.raises(UserError, match=r"data.more_images\[0\].offset=3 .*; here data.more_images\[0\].unit is db"):
        geotiff(**arguments(tmp_path, more_images=[{"images": "*_sar.tif", "unit": "db", "offset": 3}]))
    with pytest.raises(UserError, match=r"data.more_images\[0\].scale is a number, or null; got 'x'"):
        geotiff(**arguments(tmp_path, more_images=[{"images": "*_sar.tif", "unit": "dn", "scale": "x"}]))


def test_a_band_that_the_model_does_not_read_has_the_unit_of_those_that_it_reads(tmp_path):
    # Else a water index of one selected band and another would be one of reflectance x 10000 and reflectance.
    write(tmp_path / "a_img.tif", image() / np.float32(1e4), FIVE)
    write(tmp_path / "a_sar.tif", image(seed=5, bands=2), ["VV", "VH"])
    write(tmp_path / "a_lab.tif", label())
    more = [{"images": "*_sar.tif", "unit": "power"}]
    data = geotiff(**arguments(tmp_path, bands=["VV", "GREEN"], unit="reflectance", more_images=more))
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
    data = geotiff(**arguments(tmp_path, unit="dn", offset=1000.0))
    found, _ = data.scenes[0].read_image(data.regions["train"][0].window, [1, 4])
    assert np.array_equal(found, raw[[1, 4], :, : found.shape[2]])
    assert data.units == ["reflectance_1e4"] * 5


def test_nodata_is_a_value_of_the_file(tmp_path):
    raw = image() + 1000
    raw[:, 3, 5] = 0
    raw[:, 4, 6] = 1000  # 0 after conversion, and valid
    write(tmp_path / "a_img.tif", raw, FIVE, nodata=0)
    write(tmp_path / "a_lab.tif", label())
    data = geotiff(**arguments(tmp_path, unit="dn", offset=1000.0))
    _, valid = data.scenes[0].read_image(data.regions["train"][0].window, [0, 1, 2, 3, 4])
    assert not valid[3, 5]
    assert valid.sum() == valid.size - 1


def test_power_that_has_no_db_is_told(tmp_path):
    raw = np.abs(image()) / 1e4
    raw[2, 3, 5] = 0
    write(tmp_path / "a_img.tif", raw, FIVE)
    write(tmp_path / "a_lab.tif", label())
    data = geotiff(**arguments(tmp_path, unit="power"))
    data.read_as(["db"] * 5)
    with pytest.raises(UserError, match=r"value -inf \(after conversion to db\) in band 'RED' at row 3, column 5"):
        data.setup()


def test_made_up_landscapes_state_what_they_are():
    data = synthetic_segmentation(num_scenes=3, scene_px=32, tile_px=32, allow_mismatch=["unit"])
    assert (data.values.unit, data.values.level, data.values.allow_mismatch) == ("reflectance_1e4", "BOA", ["unit"])
    raw, _ = data.scenes[0].read_image(data.regions["train"][0].window, [0])
    data.read_as(["reflectance"] * 6)
    scaled, _ = data.scenes[0].read_image(data.regions["train"][0].window, [0])
    assert np.allclose(scaled, raw / 1e4)
