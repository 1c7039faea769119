"""Scale, offset and unit tags of a data set's files, and an offset that differs from file to file."""

import logging
from functools import partial

import numpy as np
import pytest
import rasterio

from geocompose.data.preflight import preflight
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.errors import UserError
from geocompose.imagery.units import Values
from tests.kit.data_modules import geotiff, geotiff_classification, geotiff_regression
from tests.kit.data_rasters import BANDS, arguments, image, label, tag, write

alike = partial(arguments, allow_overlap=True)  # equal images stand in all splits, to be compared
KEYS = ("20200101", "20211231", "20220125", "20230101")
ADDED = (0, 0, 1000, 1000)


def folder(root, added=ADDED, *, tags=None, names=BANDS, dtype="uint16"):
    """Write the same scene once per date, with what was added to it; tags: of each file, (scale, offset) or None."""
    for key, offset, own in zip(KEYS, added, tags or [None] * len(added), strict=True):
        path = write(root / f"{key}_img.tif", image(dtype=dtype) + np.asarray(offset, dtype), names)
        if own is not None:
            tag(path, *own)
        write(root / f"{key}_lab.tif", label())
    return root


def first_values(data, scene):
    return data.scenes[scene].read_image(data.regions["train"][0].window, data.selected_places(scene))[0]


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "geocompose"]


TAGS = [(0.0001, -offset / 1e4) for offset in ADDED]


@pytest.mark.parametrize(
    ("stated", "tags"),
    [
        ({"unit": "dn", "offset": "tags"}, TAGS),
        ({"unit": "dn"}, TAGS),
        ({"unit": "reflectance_1e4"}, [None, None, *TAGS[2:]]),
        ({"unit": "reflectance"}, TAGS),
        ({}, TAGS),
        ({"unit": "dn", "offset": "date"}, None),
        ({"unit": "reflectance_1e4", "offset": "date"}, TAGS),
        ({"unit": "dn", "offset": "offsets.csv"}, None),
    ],
)
def test_an_offset_of_each_file_gives_equal_values_of_equal_scenes(tmp_path, stated, tags):
    folder(tmp_path, tags=tags)
    rows = [f"{key}_img,{offset}" for key, offset in zip(KEYS, ADDED, strict=True)]
    (tmp_path / "offsets.csv").write_text("\n".join(["file,offset", *rows]))
    data = geotiff(**alike(tmp_path, **stated))
    data.read_as(["reflectance_1e4"] * 5)
    data.setup()
    values = [first_values(data, scene) for scene in range(4)]
    assert np.allclose(values[0], image()[..., : values[0].shape[-1]], rtol=1e-6)
    for other in values[1:]:
        assert np.array_equal(other, values[0])
    # Statistics and baselines see them too.
    assert data.mean == pytest.approx(image().mean((1, 2)), rel=1e-5)
    assert data.pixels("train")[0].max() < 3001
    window = data.regions["train"][0].window
    green = [scene.read_image(window, [1])[0] for scene in data.scenes]
    assert np.array_equal(green[0], green[3])
    found = Values.of(data.describe())
    assert (found.unit, found.scale_tags) == (stated.get("unit", "reflectance"), "read")
    if "offset" in stated:
        assert found.offset == stated["offset"]


def test_the_frames_of_a_series_have_offsets_of_their_own(tmp_path):
    for key in "abc":
        first, second = image(), image(seed=1)
        write(tmp_path / f"{key}_img.tif", np.concatenate([first, second + 1000]), BANDS * 2)
        write(tmp_path / f"{key}_lab.tif", label())
    (tmp_path / "o.csv").write_text("file,offset_1,offset_2\na_img,0,1000\nb_img,0,1000\nc_img,0,1000\n")
    data = geotiff(**alike(tmp_path, unit="dn", offset="o.csv", num_frames=2, bands=["RED", "BLUE"]))
    found = first_values(data, 0)
    assert np.array_equal(found[0], np.stack([image()[2], image(seed=1)[2]])[:, : found.shape[2], : found.shape[3]])
    (tmp_path / "dates.csv").write_text(
        "file,date_1,date_2\n" + "".join(f"{key}_img,2021-01-01,2022-06-01\n" for key in "abc")
    )
    dated = geotiff(**alike(tmp_path, unit="dn", offset="date", dates="dates.csv", num_frames=2, bands=["RED"]))
    assert np.array_equal(first_values(dated, 0)[0], found[0])


def test_what_tags_do_is_said_once_for_all_files(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="geocompose"):
        geotiff(**alike(folder(tmp_path, tags=TAGS)))
    (line,) = said(caplog)
    assert "20200101_img.tif and 3 further files: the tags (scale 0.0001, offset 0)" in line
    assert "in 2 files" in line


def test_a_stated_offset_that_tags_contradict_is_warned_of_and_counts(tmp_path, caplog):
    data = geotiff(**alike(folder(tmp_path, tags=TAGS), unit="dn", offset=0.0))
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "20220125_img.tif and 1 further file: data.offset=0 counts" in warning.getMessage()
    assert "1000 was added" in warning.getMessage()
    assert first_values(data, 3).min() >= 1000


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({}, r"2022.*_img.tif has tags .* by which BLUE is reflectance, and other files say nothing .*data.unit="),
        ({"unit": "dn"}, r"2022.*_img.tif has tags .*digital numbers, and other files don't. .*data.offset=NUMBER"),
        ({"unit": "dn", "offset": "tags"}, r"20200101_img.tif has no scale or offset among its tags"),
        ({"unit": "dn", "offset": "none.csv"}, r"data.offset=none.csv does not exist"),
        ({"unit": "dn", "offset": "half.csv"}, r"half.csv has no row for 20211231_img.tif"),
        ({"unit": "dn", "offset": "text.csv"}, r"text.csv, line 2: offset is ''. data.offset takes .* a number"),
    ],
)
def test_what_only_some_files_say_is_refused_before_a_pixel_is_read(tmp_path, stated, message):
    folder(tmp_path, tags=[None, None, *TAGS[2:]])
    (tmp_path / "half.csv").write_text("file,offset\n20200101_img,0\n")
    (tmp_path / "text.csv").write_text("file,offset\n" + "".join(f"{key}_img,\n" for key in KEYS))
    with pytest.raises(UserError, match=message):
        preflight(GeoTiffSegmentation(**alike(tmp_path, **stated)), list)


def test_a_band_that_is_not_read_may_lack_tags(tmp_path):
    import rasterio

    folder(tmp_path, tags=[(0.0001, -0.1)] * 4, names=[*BANDS[:4], "SCL"])
    for path in tmp_path.glob("*_img.tif"):
        with rasterio.open(path, "r+") as to:
            to.scales, to.offsets = [0.0001] * 4 + [1.0], [-0.1] * 4 + [0.0]
    data = geotiff(**alike(tmp_path, unit="dn", offset="tags", bands=BANDS[:4]))
    assert data.units == ["reflectance_1e4"] * 4
    with pytest.raises(UserError, match="no scale or offset among its tags"):
        data.scenes[0].read_image(data.regions["train"][0].window, [4])
    with pytest.raises(UserError, match="no scale or offset among its tags"):
        data.use_bands(["SCL"])
    # Nothing is stated: the bands of reflectance are, the other is what it was.
    free = geotiff(**alike(tmp_path))
    assert [free.values.band(name).unit for name in ("RED", "SCL")] == ["reflectance", None]


def test_further_rasters_have_tags_and_offsets_of_their_own(tmp_path):
    for number, key in enumerate(KEYS):
        write(tmp_path / f"{key}_img.tif", image(dtype="uint16"), BANDS)
        tag(write(tmp_path / f"{key}_sar.tif", image(seed=3, bands=2, dtype="int16"), ["VV", "VH"]), 0.01, -40.0, "dB")
        write(tmp_path / f"{key}_l2a.tif", image(seed=4, bands=1, dtype="uint16") + ADDED[number], ["NIR_BROAD"])
        write(tmp_path / f"{key}_lab.tif", label())
    more = [{"images": "*_sar.tif"}, {"images": "*_l2a.tif", "unit": "dn", "offset": "date"}]
    data = geotiff(**alike(tmp_path, more_images=more))
    assert [data.values.band(name).unit for name in ("RED", "VV", "NIR_BROAD")] == [None, "db", "dn"]
    found = first_values(data, 3)
    assert np.allclose(found[5:7], image(seed=3, bands=2)[..., : found.shape[-1]] * 0.01 - 40, atol=1e-4)
    assert np.array_equal(found[7], image(seed=4, bands=1)[0][:, : found.shape[-1]])


def test_labels_that_are_numbers_are_unpacked_and_those_that_are_classes_refused(tmp_path, caplog):
    for key in "abc":
        write(tmp_path / f"{key}_img.tif", image(), BANDS)
        path = write(tmp_path / f"{key}_lab.tif", image(seed=9, bands=1, dtype="int16"), nodata=7)
        tag(path, 0.1, -40.0)
    given = {key: value for key, value in alike(tmp_path).items() if key != "class_names"}
    data = geotiff_regression(**given, variables=["height"])
    window = data.regions["train"][0].window
    found = data.scenes[0].read_label(window)
    stored = image(seed=9, bands=1)[:, :, : window.width]
    assert np.allclose(found, np.where(stored == 7, np.nan, stored * 0.1 - 40), atol=1e-4, equal_nan=True)
    assert "3 files" in caplog.text or "further file" in caplog.text
    assert "its tags (scale 0.1, offset -40) make the numbers of what it holds" in caplog.text
    raw = geotiff_regression(**given, variables=["height"], scale_tags="ignore")
    assert np.array_equal(raw.scenes[0].read_label(window)[stored != 7], stored[stored != 7])
    with pytest.raises(UserError, match=r"a_lab.tif has tags .*no classes.*data.scale_tags=ignore"):
        geotiff(**alike(tmp_path))


def test_images_with_one_label_take_their_offset_from_their_own_table(tmp_path):
    folder(tmp_path)
    rows = [f"{key}_img.tif,{'ab'[place % 2]},{ADDED[place]},train" for place, key in enumerate(KEYS)]
    (tmp_path / "table.csv").write_text("\n".join(["image,label,offset,split", *rows]))
    data = geotiff_classification(
        root=str(tmp_path), images="*_img.tif", table="table.csv", file_column="image", tile_px=64, unit="dn",
        offset="table.csv", split=[0.5, 0.25, 0.25], allow_overlap=True,
    )  # fmt: skip
    values = [data.scenes[scene].read_image(data.regions["train"][0].window, [0])[0] for scene in range(4)]
    assert np.array_equal(values[0], values[3])


@pytest.mark.parametrize("given", ["reflectance", "dB"])
def test_a_unit_that_only_the_files_name_is_said_once(tmp_path, caplog, given):
    caplog.set_level(logging.INFO, "geocompose")
    for key in KEYS:
        path = write(tmp_path / f"{key}_img.tif", image(dtype="float32"), BANDS)
        with rasterio.open(path, "r+") as raster:
            raster.units = [given] * raster.count
        write(tmp_path / f"{key}_lab.tif", label())
    data = geotiff(**alike(tmp_path))
    assert data.values.unit == given.lower()
    (line,) = [text for text in said(caplog) if "No unit is stated" in text]
    assert f"the files give {given.lower()}, which counts (" in line
    caplog.clear()
    geotiff(**alike(tmp_path, unit=given.lower()))
    assert not [text for text in said(caplog) if "No unit is stated" in text]
