"""What an input's values are said to be, and how they become what the model reads."""

import pytest

from geocompose.errors import UserError
from geocompose.inference.values import check_reaches_model, input_values

TRAINED = {"unit": "dn", "offset": 1000.0, "scale": None, "bands": ["RED", "VV"], "read_as": ["reflectance_1e4", "db"]}


RAW = {"unit": "dn", "offset": None, "scale": None, "bands": ["RED"], "read_as": ["dn"]}


def conversions(recorded, values):
    check_reaches_model(recorded["bands"], recorded["read_as"], values)
    return [
        values.band(band).conversion(unit) for band, unit in zip(recorded["bands"], recorded["read_as"], strict=True)
    ]


def test_an_input_is_read_as_the_training_data_unless_told_otherwise():
    recorded = TRAINED | {"more_values": {"VV": {"unit": "db"}}}
    same = input_values(recorded, None, None, None)
    assert same.in_words() == "dn, offset 1000"
    assert [conversion.offset for conversion in conversions(recorded, same)] == [1000.0, 0.0]
    older = input_values(recorded, None, 0.0, None)
    assert conversions(recorded, older)[0].changes is False
    assert conversions(recorded, input_values(recorded, "reflectance", None, None))[0].factor == 1e4
    assert not input_values({"bands": ["RED"]}, None, None, None).conversion(None).changes
    assert not conversions(RAW, input_values(RAW, None, None, None))[0].changes


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
        conversions(recorded, input_values(recorded, *asked))
