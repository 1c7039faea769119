"""Dates and positions on their way from names, tags, tables and georeferences to the backbone."""

import math
import pickle
from datetime import date

import numpy as np
import pytest
import rasterio
import torch
import yaml
from hydra import compose, initialize_config_dir
from rasterio.transform import Affine, from_origin

from geocompose.backbones.prithvi.encodings import CoordinateEncoding
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.data.coordinates.coordinates import CoordinateRules
from geocompose.data.coordinates.dates import date_in_name, date_in_tags, parse_date, year_and_day
from geocompose.data.coordinates.positions import Georeference, georeferenced
from geocompose.data.preflight import data_source
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.from_config import build_model
from geocompose.imagery.samples import Inputs, Target
from geocompose.training.precision import HalfPrecisionModel
from tests.kit.command import only_run, record_of, run
from tests.kit.data_modules import geotiff, geotiff_classification
from tests.kit.data_rasters import BANDS, GEOREFERENCE, arguments, image, label, write
from tests.kit.made_runs import trained
from tests.kit.places import CONF
from tests.kit.shared import CHIP, needs_chip

NAN = float("nan")
TINY = {"backbone_embed_dim": 48, "backbone_depth": 2, "backbone_num_heads": 4, "backbone_img_size": 32}


def scenes(root, *names, **profile):
    """Write an image and a label of 40 x 60 pixels for each name."""
    for seed, name in enumerate(names):
        write(root / f"{name}_img.tif", image(seed), BANDS, **profile)
        write(root / f"{name}_lab.tif", label(seed))
    return root


def table(path, *rows):
    path.write_text("\n".join(rows) + "\n")
    return path


def coordinates(root, **changes):
    data = geotiff(**arguments(root, **changes))
    return {scene.name: data._collection.coordinates.of(i, Window(0, 0, 40, 60)) for i, scene in enumerate(data.scenes)}


# --- dates in names ---------------------------------------------------------------------------------------------------


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
        ("20220115_part_20229999.tif", date(2022, 1, 15)),  # a number that is no date beside one that is
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
        ("a_20221301.tif", r"a_20221301\.tif: 20221301 is no date: there is no month 13"),
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
    with pytest.raises(UserError, match="a_31022022_b: 2022-02-31 is no date: month 2 of 2022 has no day 31"):
        date_in_name("a_31022022_b", "*_%d%m%Y_*", advice="")


@pytest.mark.parametrize("text", ["0000-01-01", "0000001"])
def test_a_year_before_the_first_is_refused_in_its_own_words(text):
    with pytest.raises(UserError, match=f"the tag DATE: {text} is no date: years begin at 1"):
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


# --- dates in tags ----------------------------------------------------------------------------------------------------


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
        UserError, match="x: the tag DATE_ACQUIRED is 'January', which is no date; write it as 2022-01-15"
    ):
        date_in_tags({"date_acquired": "January"}, "x", advice="")


@pytest.mark.parametrize("text", ["2022-01-15", "20220115", "2022015", "2022-015", "2022:01:15 10:00:00", "2022/01/15"])
def test_a_date_is_written_in_several_ways(text):
    assert parse_date(text, "x") == date(2022, 1, 15)


# --- tables -----------------------------------------------------------------------------------------------------------


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
            r"t\.csv, line 2: date: 2022-13-15 is no date: there is no month 13"),
        (("file,date", "a_img.tif,2022-02-30", "b_img.tif,", "c_img.tif,"),
            r"line 2: date: 2022-02-30 is no date: month 2 of 2022 has no day 30"),
        (("file,date", "a_img.tif,soon", "b_img.tif,", "c_img.tif,"),
            r"line 2: date is 'soon', which is no date; write it as 2022-01-15"),
        (("file,date", "a_img.tif,2022-01-15", "b_img.tif,", "c_imj.tif,"),
            r"t\.csv has no row for c_img\.tif\. The nearest name in it: 'c_imj\.tif'"),
        (("file,date", "b_img.tif,"),
            r"has no row for a_img\.tif and 1 more\..*an empty cell says that it is not known"),
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


# --- positions by georeference ----------------------------------------------------------------------------------------


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
        UserError, match=r"a_img\.tif has no georeference, so that its position is not known\. Write the positions"
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


# --- batches and backbones --------------------------------------------------------------------------------------------


def test_batches_carry_coordinates_in_named_fields_and_workers_get_them_too(tmp_path):
    root = scenes(tmp_path, "a_20220115", "b_20201231", "c_20220301")
    data = geotiff(**arguments(root, dates="file_name", positions="georeference", random_crop=True))
    assert data.inputs == Inputs(tuple(BANDS), 16, 1, ("time", "location"))
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["temporal_coords"].shape == (4, 1, 2)
    assert batch["temporal_coords"].dtype == batch["location_coords"].dtype == torch.float32
    assert batch["location_coords"].shape == (4, 2)
    assert len(batch["location_coords"].unique(dim=0)) > 1  # crops of one scene lie in several places
    assert data.describe()["coordinates"] == ["time", "location"]
    again = pickle.loads(pickle.dumps(data.in_order("val").dataset))
    torch.testing.assert_close(again[0]["location_coords"], data.in_order("val").dataset[0]["location_coords"])


def test_nothing_travels_where_nothing_was_asked_for(tmp_path):
    data = geotiff(**arguments(scenes(tmp_path, "a_20220115", "b", "c")))
    data.setup()
    assert set(next(iter(data.train_dataloader()))) == {"image", "mask", "tile"}
    assert data.inputs.coordinates == ()


def test_tables_count_for_what_the_data_is(tmp_path):
    root = scenes(tmp_path, "a", "b", "c")
    given = arguments(root, positions="georeference")
    path = table(root / "t.csv", "file,date", "a_img.tif,2022-01-15", "b_img.tif,", "c_img.tif,")
    assert path in GeoTiffSegmentation(**given, dates="t.csv").input_files
    assert path not in GeoTiffSegmentation(**given, dates="file_name").input_files


def test_an_unknown_coordinate_adds_nothing_and_leaves_gradients_finite():
    encoding = CoordinateEncoding(16, learn_scale=True)
    given = torch.tensor([[[2022.0, 14.0], [NAN, NAN]], [[2020.0, 365.0], [2021.0, NAN]]])
    out = encoding(given)
    assert out.dtype == torch.float32
    assert (out[0, 1] == 0).all()
    assert (out[1, 1] == 0).all()  # half of a coordinate is none
    torch.testing.assert_close(out[:, 0], encoding(given[:, 0]))
    out.sum().backward()
    assert torch.isfinite(encoding.scale.grad).all()


def _tiny(coordinates=None, **changes):
    torch.manual_seed(0)
    factory = EncoderDecoderFactory((32, 32), coordinates=coordinates)
    return factory.build_model(
        "segmentation", "prithvi_eo_v2_tiny_tl", "FCNDecoder", num_classes=2, necks="auto", decoder_channels=8, **TINY,
            **changes
    ).eval()  # fmt: skip


def test_a_sample_without_coordinates_is_as_if_none_were_given_and_its_neighbours_are_not():
    model, image_ = _tiny(), torch.randn(2, 6, 32, 32)
    dates, places = torch.tensor([[[2022.0, 14.0]], [[NAN, NAN]]]), torch.tensor([[47.0, 8.0], [NAN, NAN]])
    without, given = model(image_).output, model(image_, dates, places).output
    torch.testing.assert_close(given[1], without[1], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(given[0], without[0], atol=1e-4)


def test_an_exported_model_takes_known_and_unknown_coordinates():
    model, image_ = _tiny(), torch.randn(2, 6, 32, 32)
    known = torch.tensor([[[2022.0, 14.0]], [[2020.0, 3.0]]]), torch.tensor([[47.0, 8.0], [1.0, 2.0]])
    exported = torch.export.export(model, (image_, *known)).module()
    unknown = torch.tensor([[[2022.0, 14.0]], [[NAN, NAN]]]), torch.tensor([[NAN, NAN], [1.0, 2.0]])
    for given in (known, unknown):
        torch.testing.assert_close(exported(image_, *given).output, model(image_, *given).output, atol=1e-5, rtol=1e-5)


def test_what_only_the_missing_coordinate_uses_does_not_learn():
    learns = {
        names: {name for name, value in _tiny(names).named_parameters() if "embed_enc" in name and value.requires_grad}
        for names in ((), ("time",), ("time", "location"))
    }
    assert learns[()] == set()
    assert learns["time",] == {"encoder.temporal_embed_enc.scale"}
    assert learns["time", "location"] == {"encoder.temporal_embed_enc.scale", "encoder.location_embed_enc.scale"}


@pytest.mark.parametrize("method", ["LORA"])
def test_coordinates_reach_an_adapted_backbone(method):
    model = _tiny(
        ("time",), peft_config={"method": method, "replace_qkv": "qkv",
            "peft_config_kwargs": {"target_modules": ["qkv.q_linear", "qkv.v_linear"]}}
    )  # fmt: skip
    image_ = torch.randn(1, 6, 32, 32)
    dates = torch.tensor([[[2022.0, 14.0]]])
    assert not torch.allclose(model(image_, dates).output, model(image_).output, atol=1e-4)


def _config(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=list(overrides)), groups(CONF))


LAND = Target("segmentation", ("land", "water"))


def test_a_backbone_that_takes_no_dates_is_not_silently_left_without():
    config = _config("backbone=timm", "backbone.name=test_resnet", "decoder=fcn")
    with pytest.raises(
        UserError,
        match=r"The data gives dates \(data\.dates\), and the backbone .* takes none: it takes neither dates nor "
        r"positions\. Write "
        r"data\.dates=null, or choose a backbone that takes them",
    ):
        build_model(config, inputs=Inputs(tuple(BANDS), 32, 1, ("time",)), target=LAND)
    config = _config("backbone=prithvi", "backbone.coords_encoding=[time]", "decoder=fcn")
    with pytest.raises(
        UserError,
        match=r"gives positions \(data\.positions\).*it takes dates\. Write data\.positions=null, add location to",
    ):
        build_model(config, inputs=Inputs(("BLUE",), 32, 1, ("time", "location")), target=LAND)


def test_a_backbone_whose_dates_are_not_given_says_so_in_one_line(caplog):
    config = _config("backbone=prithvi", "decoder=fcn")
    with caplog.at_level("INFO", logger="geocompose"):
        build_model(config, inputs=Inputs(("BLUE",), 32, 1, ("location",)), target=LAND)
    said = [text for text in caplog.messages if "encoding is off" in text]
    assert said == ["The backbone takes dates, and the data gives none (data.dates): that encoding is off."]


def test_half_precision_rounds_images_and_no_date():
    batch = {
        "image": torch.ones(1, 2, 4, 4),
        "temporal_coords": torch.tensor([[[2018.0, 3.0]]]),
        "tile": torch.tensor([0]),
    }
    for precision in ("bf16-true", "16-true"):
        converted = HalfPrecisionModel(precision).convert_input(batch)
        assert converted["image"].dtype != torch.float32
        assert converted["temporal_coords"].dtype == torch.float32
        assert converted["temporal_coords"][0, 0, 0] == 2018


# --- from the command line --------------------------------------------------------------------------------------------

SMALL = (
    "backbone=prithvi", "backbone.embed_dim=48", "backbone.depth=2", "backbone.num_heads=4", "backbone.img_size=32",
    "decoder=fcn", "decoder.channels=8", "decoder.num_convs=1", "data=geotiff", "data.images=*_img.tif",
        "data.labels=*_lab.tif",
    "data.class_names=[land,water]", "data.tile_px=32", "trainer.max_epochs=1", "trainer.accelerator=cpu",
    "trainer.progress_bar=false", "data.baselines=[]", "logger=csv",
)  # fmt: skip


@pytest.fixture
def fit_run(tmp_path, monkeypatch):
    """Return a function that trains on three dated scenes and gives the run's folder."""
    monkeypatch.chdir(tmp_path)
    root = scenes(tmp_path / "data", "a_20220115", "b_20201231", "c_20220301")
    table(root / "t.csv", "file,date", *(f"{path.name},2021-07-01" for path in sorted(root.glob("*_img.tif"))))

    def fit(*overrides):
        run(*SMALL, f"data.root={root}", *overrides)
        return only_run("default")

    return fit


def test_a_run_with_dates_and_positions_is_trained_evaluated_and_predicted(fit_run, tmp_path):
    folder = fit_run("data.dates=file_name", "data.positions=georeference", "trainer.precision=bf16-true")
    record = record_of(folder)
    assert record["status"] == "completed"
    assert record["data"]["coordinates"] == ["time", "location"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["data"]["dates"] == "file_name"
    run("action=evaluate", f"action.run={folder}")
    (evaluation,) = (folder / "evaluations").iterdir()
    assert record["metrics"]["test/mIoU"] == pytest.approx(
        yaml.safe_load(evaluation.read_text())["metrics"]["mIoU"], abs=0.05
    )
    predict = ("action=predict", f"action.run={folder}", "action.kind=probabilities", "action.overlap_px=0")
    scene = tmp_path / "data" / "a_20220115_img.tif"
    run(*predict, f"action.input={scene}", "action.output=a.tif")
    with rasterio.open("a.tif") as made, rasterio.open(scene) as given:
        probabilities, pixels = made.read(), given.read()
    model = trained(folder).model
    mean, std = (np.array(record["data"]["normalization"][key])[:, None, None] for key in ("mean", "std"))
    window = Window(0, 0, 32, 32)
    place = Georeference(GEOREFERENCE["crs"], GEOREFERENCE["transform"]).at(window)
    batch = torch.from_numpy((pixels[:, :32, :32] - mean) / std).float()[None]
    with torch.inference_mode():
        expected = model(batch, torch.tensor([[[2022.0, 14.0]]]), torch.tensor([place])).output.softmax(1)[0]
        other = model(batch).output.softmax(1)[0]
    # The last windows are moved back, so that the first 8 rows and 28 columns are this window's for sure.
    np.testing.assert_allclose(probabilities[:, :8, :28], expected[:, :8, :28], atol=1e-5)
    assert not np.allclose(probabilities[:, :8, :28], other[:, :8, :28], atol=1e-5)
    undated = scene.rename(tmp_path / "undated.tif")
    with pytest.raises(
        UserError, match=r"undated\.tif has no date in its name.* Write action\.date=2022-01-15 .*or action\.date=none"
    ):
        run(*predict, f"action.input={undated}", "action.output=b.tif")
    run(*predict, f"action.input={undated}", "action.output=b.tif", "action.date=2022-01-15")
    with rasterio.open("b.tif") as made:
        assert np.array_equal(made.read(), probabilities)
    run(*predict, f"action.input={undated}", "action.output=c.tif", "action.date=none", "action.position=none")
    with rasterio.open("c.tif") as made:
        np.testing.assert_allclose(made.read()[:, :8, :28], other[:, :8, :28], atol=1e-5)


def test_a_run_with_a_table_of_dates_asks_for_the_date_of_what_it_predicts(fit_run, tmp_path):
    folder = fit_run("data.dates=t.csv")
    predict = ("action=predict", f"action.run={folder}", f"action.input={tmp_path}/data/a_20220115_img.tif")
    with pytest.raises(
        UserError,
        match=r"trained with dates out of a table \(data\.dates=t\.csv\), which says nothing of other images\. Write "
        r"action\.date=",
    ):
        run(*predict, "action.output=a.tif")
    with pytest.raises(
        UserError, match=r"action\.position=\[1\.0, 2\.0\] would change nothing: the run was trained without positions"
    ):
        run(*predict, "action.output=a.tif", "action.date=none", "action.position=[1,2]")
    with pytest.raises(UserError, match=r"action\.date: 2022-02-30 is no date"):
        run(*predict, "action.output=a.tif", "action.date=2022-02-30")
    with pytest.raises(
        UserError, match=r"action\.date=\[2022-01-01, 2022-02-02\] has 2 dates; an image of this run has 1"
    ):
        run(*predict, "action.output=a.tif", "action.date=[2022-01-01,2022-02-02]")
    with pytest.raises(UserError, match=r"action\.date=no\.csv: there is no such file"):
        run(*predict, "action.output=a.tif", "action.date=no.csv")
    maps = []
    for asked in ("2022-01-15", "file_name", "own.csv"):
        table(tmp_path / "own.csv", "file,date", "a_20220115_img.tif,2022-01-15")
        run(
            *predict,
            "action.output=a.tif",
            f"action.date={asked}",
            "action.overwrite=true",
            "action.kind=probabilities",
        )
        with rasterio.open("a.tif") as made:
            maps.append(made.read())
    assert np.array_equal(maps[0], maps[1])
    assert np.array_equal(maps[0], maps[2])
    with pytest.raises(
        UserError, match=r"The run was trained without positions; this data gives them \(data\.positions\)"
    ):
        run("action=evaluate", f"action.run={folder}", "action.data={positions: georeference}")


def test_evaluating_without_the_dates_of_the_training_says_that_they_are_off(fit_run, caplog):
    folder = fit_run("data.dates=t.csv")
    run("action=evaluate", f"action.run={folder}", "action.data={dates: null}")
    assert "The run was trained with dates; this data gives none (data.dates): that encoding is off." in caplog.text


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("[91,2]", r"action\.position: the latitude 91 is not between -90 and 90"),
        ("[1]", r"action\.position=\[1\.0\] is \[LATITUDE,LONGITUDE\] in degrees"),
        ("here", r"action\.position=here is \[LATITUDE,LONGITUDE\] in degrees"),
    ],
)
def test_a_position_of_a_prediction_that_is_none_is_refused(fit_run, tmp_path, asked, message):
    folder = fit_run("data.positions=georeference")
    with pytest.raises(UserError, match=message):
        run("action=predict", f"action.run={folder}", f"action.input={tmp_path}/data/a_20220115_img.tif",
            "action.output=a.tif", f"action.position={asked}")  # fmt: skip


def test_the_options_open_with_dates_and_positions(tmp_path):
    root = scenes(tmp_path, "a_20220115", "b_20201231", "c_20220301")
    config = _config(
        "data=geotiff", f"data.root={root}", "data.images=*_img.tif", "data.labels=*_lab.tif", "data.class_names=[a,b]",
        "data.dates=file_name", "data.date_pattern='*_%Y%m%d_img.tif'", "data.positions=georeference",
    )  # fmt: skip
    source = data_source(config["data"])
    assert source.collection.inputs(BANDS).coordinates == ("time", "location")
    assert math.isclose(source.collection.coordinates.of(0, Window(0, 0, 1, 1))["temporal_coords"][0, 1], 14)
