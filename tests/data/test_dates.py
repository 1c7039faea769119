"""When an image was taken: by its name and by its tags."""

from datetime import date

import numpy as np
import pytest
import rasterio

from geocompose.data.coordinates.coordinates import CoordinateRules
from geocompose.data.coordinates.dates import date_in_name, date_in_tags, parse_date, year_and_day
from geocompose.errors import UserError
from tests.kit.dated import coordinates, scenes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scene_20220115.tif", date(2022, 1, 15)),
        ("scene_20220115T103401_B02.tif", date(2022, 1, 15)),
        ("2022-01-15_scene.tif", date(2022, 1, 15)),
        ("HLS.S30.T32TQM.2022015T103401.v2.0.B04.tif", date(2022, 1, 15)),
        ("subsetted_512x512_HLS.S30.T10SDH.2020248.v1.4_merged.tif", date(2020, 9, 4)),
        ("MCD43A4.A2022015.h18v04.061.tif", date(2022, 1, 15)),
        ("S2A_MSIL2A_20220115T103401_N0301_R108_T32TQM_20220116T134501.tif", date(2022, 1, 15)),
        ("S1A_IW_GRDH_1SDV_20220115T235950_20220116T000015_041472_04EE95_0D19.tif", date(2022, 1, 15)),
        ("LC08_L2SP_193024_20220115_20220123_02_T1.tif", date(2022, 1, 15)),
        ("20220115_and_again_20220115.tif", date(2022, 1, 15)),
        ("20220115_part_20229999.tif", date(2022, 1, 15)),  # a number that is not a date beside one that is
        ("folder_20200101/scene_20220115.tif", date(2022, 1, 15)),
    ],
)
def test_the_common_forms_of_a_date_in_a_name_are_read(name, expected):
    assert date_in_name(name, None, advice="") == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a_20220115_20220116.tif",
            r"a_20220115_20220116\.tif has several dates in its name: 2022-01-15 and 2022-01-16",
        ),
        ("Spain_7370579_S2Hand.tif", r"Spain_7370579_S2Hand\.tif has no date in its name: neither YYYYMMDD nor"),
        ("chip_2019123.tif", "has no date in its name"),  # seven digits are a date in a product's name alone
        ("a_120220115.tif", "has no date in its name"),
        ("a_20221301.tif", r"a_20221301\.tif: 20221301 is not a date: there is no month 13"),
        ("a_2022-02-30.tif", "month 2 of 2022 has no day 30"),
        ("a.2022366T1.tif", "the year 2022 has no day 366"),
    ],
)
def test_a_name_without_one_date_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        date_in_name(name, None, advice="")


def test_a_pattern_says_where_an_unusual_date_stands():
    assert date_in_name("/data/a/x_15012022_9.tif", "*_%d%m%Y_*", advice="") == date(2022, 1, 15)
    assert date_in_name("/data/2022-015/x.tif", "%Y-%j/*.tif", advice="") == date(2022, 1, 15)
    assert date_in_name("p7_2022.01.15.tif", "p?_%Y.%m.%d.tif", advice="") == date(2022, 1, 15)
    with pytest.raises(UserError, match=r"The name x\.tif does not match data\.date_pattern=\*_%d%m%Y_\*\. Do this\."):
        date_in_name("x.tif", "*_%d%m%Y_*", advice="Do this.")
    with pytest.raises(UserError, match="a_31022022_b: 2022-02-31 is not a date: month 2 of 2022 has no day 31"):
        date_in_name("a_31022022_b", "*_%d%m%Y_*", advice="")


@pytest.mark.parametrize("text", ["0000-01-01", "0000001"])
def test_a_year_before_the_first_is_refused_in_its_own_words(text):
    with pytest.raises(UserError, match=f"the tag DATE: {text} is not a date: years begin at 1"):
        parse_date(text, "the tag DATE")


@pytest.mark.parametrize("pattern", ["*_%Y%m_*", "%Y%m%d%j", "%Y%m%d%d", "*", "%H%Y%m%d"])
def test_a_pattern_that_says_no_date_is_refused(pattern):
    with pytest.raises(UserError, match=r"data\.date_pattern=.* must have %Y, %m and %d once each, or %Y and %j"):
        CoordinateRules("file_name", pattern)


def test_the_day_of_the_year_counts_from_zero():
    assert year_and_day(date(2022, 1, 1)) == (2022, 0)
    assert year_and_day(date(2020, 12, 31)) == (2020, 365)


def test_dates_are_read_from_file_names(tmp_path):
    root = scenes(tmp_path, "a_20220115", "b_20201231", "c_20220301")
    found = coordinates(root, dates="file_name")
    assert found["a_20220115_img.tif"]["temporal_coords"].tolist() == [[2022, 14]]
    assert found["b_20201231_img.tif"]["temporal_coords"].tolist() == [[2020, 365]]
    assert found["b_20201231_img.tif"]["temporal_coords"].dtype == np.float32
    assert "location_coords" not in found["a_20220115_img.tif"]
    with pytest.raises(
        UserError, match=r"If it has one, say where it stands with data\.date_pattern.*else write data\.dates=tags"
    ):
        coordinates(scenes(tmp_path / "none", "a", "b", "c"), dates="file_name")


def test_dates_are_read_from_tags_and_the_acquisition_comes_before_the_files_own(tmp_path):
    root = scenes(tmp_path, "a", "b", "c")
    with rasterio.open(root / "a_img.tif", "r+") as file:
        file.update_tags(TIFFTAG_DATETIME="2022:01:15 10:34:01")
    with rasterio.open(root / "b_img.tif", "r+") as file:
        file.update_tags(
            SENSING_TIME="2022-01-16T10:34:01.1Z; 2022-01-16T10:35:01.1Z", TIFFTAG_DATETIME="2023:05:05 01:01:01"
        )
    with rasterio.open(root / "c_img.tif", "r+") as file:
        file.update_tags(ns="IMAGERY", ACQUISITIONDATETIME="2022-01-17 00:00:00")
    found = coordinates(root, dates="tags")
    assert [value["temporal_coords"].tolist() for value in found.values()] == [[[2022, 14]], [[2022, 15]], [[2022, 16]]]


def test_a_raster_without_a_date_among_its_tags_says_which_were_looked_for(tmp_path):
    with pytest.raises(
        UserError,
        match=r"a_img\.tif has no tag with a date; looked for ACQUISITIONDATETIME, .*SENSING_TIME, "
        r".*TIFFTAG_DATETIME\. If",
    ):
        coordinates(scenes(tmp_path, "a", "b", "c"), dates="tags")


def test_a_tag_of_several_days_or_of_none_is_refused():
    with pytest.raises(UserError, match="the tag SENSING_TIME has several dates"):
        date_in_tags({"SENSING_TIME": "2022-01-15T23:59;2022-01-16T00:01"}, "x", advice="")
    with pytest.raises(
        UserError, match="x: the tag DATE_ACQUIRED is 'January', which is not a date; write it as 2022-01-15"
    ):
        date_in_tags({"date_acquired": "January"}, "x", advice="")


@pytest.mark.parametrize("text", ["2022-01-15", "20220115", "2022015", "2022-015", "2022:01:15 10:00:00", "2022/01/15"])
def test_a_date_is_written_in_several_ways(text):
    assert parse_date(text, "x") == date(2022, 1, 15)
