"""What a file's own scale, offset and unit do to what is stated: used, agreed with, said or refused."""

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.imagery.file_values import completed, file_values
from geocompose.imagery.packing import Packing
from geocompose.imagery.units import Values

SENTINEL_2 = Packing(0.0001, -0.1)
BEFORE_2022 = Packing(0.0001, 0.0)
LANDSAT = Packing(0.0000275, -0.2)


def read(stated, packing, stored, unit=None, *, band="RED", added=None):
    """Return the unit, the value and the kinds of what is said of a stored number."""
    values = completed(stated, packing, band)
    found = file_values(values, packing, added, "a.tif")
    conversion = found.conversion(values.unit_for(unit))
    value = float(conversion.apply(np.array([[stored]], np.float64))[0, 0])
    return conversion.unit, pytest.approx(value, rel=1e-5), [(told.kind, told.warns) for told in found.told]


@pytest.mark.parametrize(
    ("stated", "packing", "unit", "expected"),
    [
        # Nothing is stated, and the meaning is plain.
        (Values(), SENTINEL_2, None, ("reflectance", 0.2, [("reflectance", False)])),
        (Values(), LANDSAT, "reflectance_1e4", ("reflectance_1e4", -1175, [("reflectance", False)])),
        (Values(), Packing(unit="Reflectance"), None, ("reflectance", 3000, [])),
        (Values(), Packing(0.01, 0, "dB"), None, ("db", 30, [("physical db", False)])),
        # It is not plain what it is; GDAL's tags still say how it is unpacked.
        (Values(), Packing(0.01, -5.0), None, (None, 25, [("physical None", False)])),
        (Values(), Packing(0.00341802, 149.0, "K"), None, (None, 159.25406, [("physical None", False)])),
        # The tags agree with what is stated: once, not twice.
        (Values("reflectance_1e4"), BEFORE_2022, None, ("reflectance_1e4", 3000, [])),
        (Values("reflectance_1e4", offset=1000.0), SENTINEL_2, None, ("reflectance_1e4", 2000, [])),
        (Values("dn", offset=1000.0), SENTINEL_2, None, ("reflectance_1e4", 2000, [])),
        (Values("reflectance", offset=0.1), SENTINEL_2, None, ("reflectance", 0.2, [("reflectance", False)])),
        # What is not stated is read.
        (Values("reflectance"), SENTINEL_2, "reflectance_1e4", ("reflectance_1e4", 2000, [("reflectance", False)])),
        (Values("reflectance_1e4"), SENTINEL_2, "reflectance", ("reflectance", 0.2, [("added", False)])),
        (Values("reflectance_1e4"), Packing(1.0, -1000.0), None, ("reflectance_1e4", 2000, [("added", False)])),
        (Values("dn"), SENTINEL_2, None, ("reflectance_1e4", 2000, [("added", False)])),
        (Values("dn"), LANDSAT, "reflectance", ("reflectance", -0.1175, [("added", False)])),
        (Values("db"), Packing(0.01, 0.0), "power", ("power", 1000, [("physical db", False)])),
        (Values("power"), Packing(0.5, 0.0), None, ("power", 1500, [("physical power", False)])),
        # They contradict, and the statement counts.
        (Values("reflectance_1e4", offset=0.0), SENTINEL_2, None, ("reflectance_1e4", 3000, [("offset", True)])),
        (Values("dn", offset=1e3, scale=5e3), SENTINEL_2, None, ("reflectance_1e4", 4000, [("scale", True)])),
        (Values("uint8"), Packing(0.5, 0.0), None, ("uint8", 3000, [("colours", True)])),
        (Values("power"), Packing(unit="dB"), None, ("power", 3000, [("unit db", True)])),
        (Values("reflectance"), Packing(unit="K"), None, ("reflectance", 3000, [("unit K", True)])),
        # They are not read.
        (Values("dn", scale_tags="ignore"), SENTINEL_2, None, ("dn", 3000, [("ignored", False)])),
        (Values(scale_tags="ignore"), SENTINEL_2, None, (None, 3000, [("ignored", False)])),
        # The training's offset yields to what the file says of itself.
        (Values("dn", offset=1000.0, presumed=True), BEFORE_2022, None, ("reflectance_1e4", 3000, [("added", True)])),
    ],
)  # fmt: skip
def test_tags_are_used_once_or_said_where_they_contradict(stated, packing, unit, expected):
    assert read(stated, packing, 3000, unit) == expected


def test_files_without_tags_are_read_as_stated():
    for stated in (Values(), Values("reflectance"), Values("dn"), Values("dn", offset=1000.0), Values("db")):
        values = completed(stated, Packing(), "RED")
        found = file_values(values, Packing(), None, "a.tif")
        assert (values, found.packing, found.told) == (stated, None, ())
        assert found.conversion(stated.unit_for(None)) == stated.conversion(None)


@pytest.mark.parametrize("band", ["NDVI", "DEM", "VV", "THERMAL_1"])
def test_a_scale_of_reflectance_is_no_reflectance_of_other_bands(band):
    assert read(Values(), BEFORE_2022, 3000, band=band)[0] is None


@pytest.mark.parametrize(
    ("stated", "packing", "message"),
    [
        (Values("reflectance_1e4"), LANDSAT, r"a.tif .*36363.* Write data.unit=reflectance .*scale_tags=ignore"),
        (Values("reflectance", offset=0.2), SENTINEL_2, r"a.tif .*1000 was added; data.offset=0.2 says otherwise"),
        (Values("dn", offset="tags"), Packing(), r"a.tif has no scale or offset .*data.offset=NUMBER"),
        (Values(), Packing(0.0, 1.0), r"a.tif has tags that no number .*scale_tags=ignore"),
        (Values("db"), Packing(float("nan"), 1.0), r"a.tif has tags that no number"),
    ],
)
def test_what_can_not_both_be_right_is_refused(stated, packing, message):
    with pytest.raises(UserError, match=message):
        file_values(completed(stated, packing, "RED"), packing, None, "a.tif")


def test_tags_of_float32_say_the_numbers_that_were_meant():
    packing = Packing.of_tags(float(np.float32(0.0001)), float(np.float32(-0.1)), None)
    assert (packing, packing.added) == (SENTINEL_2, 1000.0)
    assert read(Values("dn"), packing, 3000)[1] == 2000


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"unit": "dn", "offset": "tag"}, "data.offset has no 'tag'. .*tags"),
        ({"offset": "date"}, "data.offset=date is what was added .*data.unit is null"),
        ({"unit": "dn", "offset": "tags", "scale_tags": "ignore"}, "data.offset=tags .*data.scale_tags=ignore"),
        ({"unit": "dn", "scale_tags": "skip"}, "data.scale_tags has no 'skip'. .*read, ignore"),
    ],
)
def test_a_rule_that_can_not_be_is_refused(stated, message):
    with pytest.raises(UserError, match=message):
        Values(**stated)
