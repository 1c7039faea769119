"""Dates and positions from tables and georeference; what is missing or wrong is refused by its place."""

import numpy as np
import pytest
from rasterio.transform import Affine, from_origin

from geocompose.data.coordinates.positions import Georeference, georeferenced
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.data_modules import geotiff, geotiff_classification
from tests.kit.data_rasters import BANDS, image, write
from tests.kit.dated import coordinates, scenes, table
from tests.kit.shared import CHIP, needs_chip


def test_dates_and_positions_are_read_from_a_table_and_an_empty_cell_is_unknown(tmp_path):
    root = scenes(tmp_path, "a", "b", "c")
    table(root / "t.csv", "file,date,latitude,longitude", "a_img.tif,2022-01-15,47.5,-8.25", "b_img,,,",
        "c_img.tif,20220201,1,2",
          "elsewhere.tif,2020-01-01,0,0")  # fmt: skip
    found = coordinates(root, dates="t.csv", positions="t.csv")
    assert found["a_img.tif"]["temporal_coords"].tolist() == [[2022, 14]]
    assert found["a_img.tif"]["location_coords"].tolist() == [47.5, -8.25]
    assert np.isnan(found["b_img.tif"]["temporal_coords"]).all()
    assert np.isnan(found["b_img.tif"]["location_coords"]).all()
    assert found["b_img.tif"]["location_coords"].shape == (2,)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("file,day", "a_img.tif,2022-01-15"), r"t\.csv has no column 'date'. It takes file, date; it has file, day"),
        (("file,date", "a_img.tif,2022-13-15", "b_img.tif,", "c_img.tif,"),
            r"t\.csv, line 2: date: 2022-13-15 is not a date: there is no month 13"),
        (("file,date", "a_img.tif,2022-02-30", "b_img.tif,", "c_img.tif,"),
            r"line 2: date: 2022-02-30 is not a date: month 2 of 2022 has no day 30"),
        (("file,date", "a_img.tif,soon", "b_img.tif,", "c_img.tif,"),
            r"line 2: date is 'soon', which is not a date; write it as 2022-01-15"),
        (("file,date", "a_img.tif,2022-01-15", "b_img.tif,", "c_imj.tif,"),
            r"t\.csv has no row for c_img\.tif\. The nearest name in it: 'c_imj\.tif'"),
        (("file,date", "b_img.tif,"),
            r"has no row for a_img\.tif and 1 more\..*an empty cell means that it is not known"),
        (("file,date", "a_img.tif,", "a_img,"), r"line 3: the image a_img\.tif has a row already \(.*line 2\)"),
    ],
)  # fmt: skip
def test_a_table_of_dates_with_a_mistake_is_refused_with_its_line(tmp_path, rows, message):
    root = scenes(tmp_path, "a", "b", "c")
    table(root / "t.csv", *rows)
    with pytest.raises(UserError, match=message):
        coordinates(root, dates="t.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a_img.tif,91,0", r"t\.csv, line 2: the latitude 91 is not between -90 and 90 degrees"),
        ("a_img.tif,0,200", "line 2: the longitude 200 is not between -180 and 180 degrees"),
        ("a_img.tif,47,", "line 2: latitude is '47' and longitude ''. Fill in both, or neither"),
        ("a_img.tif,47N,8E", "line 2: latitude '47N' and longitude '8E' must be numbers, in degrees such as -33.86"),
        ("a_img.tif,nan,8", "the latitude nan is not between"),
    ],
)
def test_a_position_that_is_nowhere_is_refused_with_its_line(tmp_path, row, message):
    root = scenes(tmp_path, "a", "b", "c")
    table(root / "t.csv", "file,latitude,longitude", row, "b_img.tif,,", "c_img.tif,,")
    with pytest.raises(UserError, match=message):
        coordinates(root, positions="t.csv")


def test_a_table_is_looked_for_where_lists_are(tmp_path, monkeypatch):
    root = scenes(tmp_path / "data", "a", "b", "c")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"data\.dates=t\.csv does not exist, neither under data\.root"):
        coordinates(root, dates="t.csv")
    table(tmp_path / "t.csv", "file,date", "a_img.tif,2022-01-15", "b_img.tif,", "c_img.tif,")
    assert coordinates(root, dates="t.csv")["a_img.tif"]["temporal_coords"].tolist() == [[2022, 14]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dates": "filename"},
            r"data\.dates has no 'filename'\. Did you mean 'file_name'\? Allowed: file_name, tags, a table"),
        ({"positions": "geo"}, r"data\.positions has no 'geo'\..*Allowed: georeference, a table FILE\.csv, null"),
        ({"dates": "tags", "date_pattern": "%Y%j"},
            r"data\.date_pattern=%Y%j would change nothing: it is for data\.dates=file_name"),
    ],
)  # fmt: skip
def test_a_rule_that_there_is_not_is_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        coordinates(scenes(tmp_path, "a", "b", "c"), **changes)


def test_images_with_one_label_name_their_column_of_files(tmp_path):
    rows = ["name,label,date"]
    for index in range(6):
        write(tmp_path / f"i{index}.tif", image(index), BANDS)
        rows.append(f"i{index},{'ab'[index % 2]},2022-01-0{index + 1}")
    table(tmp_path / "t.csv", *rows)
    data = geotiff_classification(
        root=str(tmp_path),
        images="*.tif",
        table="t.csv",
        file_column="name",
        tile_px=60,
        dates="t.csv",
        positions="georeference",
    )
    assert data.inputs.coordinates == ("time", "location")
    data.setup()
    sample = data.in_order("train").dataset[0]
    assert sample["temporal_coords"].shape == (1, 2)
    assert sample["location_coords"].shape == (2,)


def test_a_position_is_that_of_the_tiles_centre_not_of_the_scenes():
    place = Georeference("EPSG:4326", Affine(0.01, 0.0, 10.0, 0.0, -0.02, 50.0))
    assert place.at(Window(0, 0, 10, 20)) == pytest.approx((50 - 5 * 0.02, 10 + 10 * 0.01))
    assert place.at(Window(100, 50, 2, 2)) == pytest.approx((50 - 101 * 0.02, 10 + 51 * 0.01))


def test_a_projected_grid_is_given_in_degrees():
    # The central meridian of zone 33 is 15 degrees east; 5,000 km north of the equator lie at about 45.15 degrees.
    latitude, longitude = Georeference("EPSG:32633", from_origin(500_000 - 30, 5_000_000 + 30, 30, 30)).at(
        Window(0, 0, 2, 2)
    )
    assert longitude == pytest.approx(15.0, abs=1e-9)
    assert latitude == pytest.approx(45.1535, abs=1e-3)
    south, _ = Georeference("EPSG:32733", from_origin(500_000, 6_250_000, 30, 30)).at(Window(0, 0, 2, 2))
    assert south == pytest.approx(-33.89, abs=0.01)


def test_longitudes_counted_from_0_to_360_become_those_from_minus_180_to_180():
    place = Georeference("EPSG:4326", from_origin(179, 10, 1, 1))
    assert [place.at(Window(0, column, 1, 1))[1] for column in (0, 1, 100)] == pytest.approx([179.5, -179.5, -80.5])


def test_a_raster_without_georeference_has_no_position(tmp_path):
    root = scenes(tmp_path, "a", "b", "c", crs=None, transform=None)
    with pytest.raises(
        UserError, match=r"a_img\.tif has no georeference, so its position is not known\. Write the positions"
    ):
        coordinates(root, positions="georeference")


@pytest.mark.parametrize("crs", ['LOCAL_CS["x",UNIT["metre",1]]', "nonsense"])
def test_a_grid_of_no_system_on_earth_has_no_position(crs):
    with pytest.raises(
        UserError, match=r"x: its position can't be told from its coordinate reference system \(.*\)\. So\."
    ):
        georeferenced(crs, from_origin(5, 5, 1, 1), "x", advice="So.")


def test_a_grid_that_lies_nowhere_is_refused():
    with pytest.raises(
        UserError,
        match=r"x: its georeference \(EPSG:4326\) places its first pixel at latitude .*, which is nowhere\. So\.",
    ):
        georeferenced("EPSG:4326", from_origin(500_000, 5_000_000, 30, 30), "x", advice="So.")


@needs_chip
def test_the_real_chip_lies_in_spain():
    data = geotiff(
        root=str(CHIP), images="*_S2Hand.tif", labels="*_LabelHand.tif", class_names=["land", "water"],
            positions="georeference", tile_px=64,
        band_names=[f"b{i}" for i in range(13)], nodata=0.0, baselines=[],
    )  # fmt: skip
    data.setup()
    loader = data.in_order("test")
    first = next(iter(loader))["location_coords"]
    assert ((first[:, 0] > 36) & (first[:, 0] < 44)).all()
    assert ((first[:, 1] > -10) & (first[:, 1] < 4)).all()
    assert len(first.unique(dim=0)) == len(first)
