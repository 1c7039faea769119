"""None"""

import numpy as np
import pytest
import torch
from rasterio.transform import from_origin

from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, pair, write
from tests.kit.loaded import loaded


def test_construction_reads_headers_alone(tmp_path):
    path = write(pair(tmp_path) / "a_img.tif", image(), BANDS, compress="deflate")
    content = bytearray(path.read_bytes())
    # The header, at both ends of the file, stays; compressed pixels are spoilt.
    content[4000:12000] = bytes(8000)
    path.write_bytes(content)
    data = geotiff(**arguments(tmp_path))
    assert data.band_names == data.bands == BANDS
    assert (data.num_classes, data.ignore_index, data.tile_px, data.name) == (2, -1, 16, "geotiff")
    with pytest.raises(UserError, match=r"a_img\.tif can't be read; is it complete"):
        data.setup()


def test_reading_by_windows_equals_reading_the_whole(tmp_path):
    pair(tmp_path)
    kept, windowed = loaded(tmp_path), loaded(tmp_path, cache_mb=0)
    assert kept.scenes[0].keep_decoded
    assert not windowed.scenes[0].keep_decoded
    whole = image()
    for window in (Window(0, 0, 40, 60), Window(3, 7, 16, 16), Window(39, 59, 1, 1)):
        for data in (kept, windowed):
            got, valid = data.scenes[0].read_image(window, [3, 0])
            assert np.array_equal(got, whole[[3, 0]][:, *window.slices])
            assert got.dtype == np.float32
            assert valid.all()
            assert np.array_equal(data.scenes[0].read_label(window), label()[window.slices])
    assert kept.mean == windowed.mean


def test_statistics_are_those_of_the_training_columns(tmp_path):
    data = loaded(pair(tmp_path), split=[0.5, 0.25, 0.25], bands=["RED", "BLUE"])
    training = image()[[2, 0], :, :30].reshape(2, -1).astype(np.float64)
    assert data.mean == pytest.approx(training.mean(1))
    assert data.std == pytest.approx(training.std(1))
    assert data.statistics.class_counts["test"] == np.bincount(label()[:, 45:].ravel()).tolist()


def test_statistics_merge_over_cells_and_scenes(tmp_path, monkeypatch):
    for i in range(5):
        pair(tmp_path, f"k{i}", seed=i)
    plain = loaded(tmp_path)
    monkeypatch.setattr("geocompose.data.statistics.CELL_PX", 7)
    cut = loaded(tmp_path)
    assert cut.mean == pytest.approx(plain.mean)
    assert cut.std == pytest.approx(plain.std)
    assert cut.statistics.class_counts == plain.statistics.class_counts


def test_bands_are_chosen_and_ordered_by_name_or_alias(tmp_path):
    data = loaded(pair(tmp_path), bands=["B8A", "GREEN"], normalize="none")
    batch = next(iter(data.val_dataloader()))
    first = data.tile_windows("val")[0].window
    got = batch["image"][0, :, : first.height, : first.width].numpy()
    assert np.array_equal(got, image()[[3, 1]][:, *first.slices])
    assert data.bands == ["B8A", "GREEN"]


def test_use_bands_changes_the_selection_before_setup(tmp_path):
    data = geotiff(**arguments(pair(tmp_path)))
    data.use_bands(["RED"])
    data.setup()
    assert data.bands == ["RED"]
    assert len(data.mean) == 1
    with pytest.raises(AssertionError, match="before setup"):
        data.use_bands(["BLUE"])


def test_a_band_that_is_not_there_is_named_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"a_img\.tif has no band 'GREN'. Did you mean 'GREEN'"):
        geotiff(**arguments(pair(tmp_path), bands=["RED", "GREN"]))
    with pytest.raises(UserError, match="asked for twice"):
        geotiff(**arguments(tmp_path, bands=["RED", "B4"]))
    with pytest.raises(UserError, match=r"data\.bands=\[\] reads nothing"):
        geotiff(**arguments(tmp_path, bands=[]))


def test_band_names_of_the_config_replace_those_of_the_file(tmp_path):
    pair(tmp_path)
    assert geotiff(**arguments(tmp_path, band_names=list("VWXYZ"))).band_names == list("VWXYZ")
    with pytest.raises(UserError, match=r"has 5 bands, but data\.band_names has 2 names"):
        geotiff(**arguments(tmp_path, band_names=["V", "W"]))
    with pytest.raises(UserError, match="the band 'B4' more than once"):
        geotiff(**arguments(tmp_path, band_names=["RED", "B4", "X", "Y", "Z"]))


def test_a_raster_without_band_names_asks_for_them(tmp_path):
    write(pair(tmp_path) / "a_img.tif", image(), ["BLUE"])
    with pytest.raises(UserError, match=r"has 5 bands and 4 of them have no name .*data\.band_names="):
        geotiff(**arguments(tmp_path))


@pytest.mark.parametrize(("declared", "given", "value"), [(0, None, 0), (None, 0.0, 0), (4000, 0.0, 0)])
def test_nodata_is_ignored_whether_declared_by_the_file_or_the_config(tmp_path, declared, given, value):
    pair(tmp_path)
    pixels = image()
    pixels[2, 5, 4] = value
    write(tmp_path / "a_img.tif", pixels, BANDS, nodata=declared)
    data = loaded(tmp_path, nodata=given)
    sample = next(iter(data.train_dataloader()))
    assert data.statistics.num_labelled("train") == 36 * 40 - 1
    valid = data.scenes[0].read_image(Window(0, 0, 40, 60), [0, 1, 2])[1]
    assert np.argwhere(~valid).tolist() == [[5, 4]]
    assert data.scenes[0].read_image(Window(0, 0, 40, 60), [0, 1])[1].all(), "another band's nodata doesn't count"
    assert torch.isfinite(sample["image"]).all()


@pytest.mark.parametrize("nodata", [float("nan"), -3.4028234663852886e38, -9999.0])
def test_declared_nan_and_large_nodata_are_filled_and_ignored(tmp_path, nodata):
    pair(tmp_path)
    pixels = image()
    pixels[:, :, 50:] = nodata
    write(tmp_path / "a_img.tif", pixels, BANDS, nodata=nodata)
    data = loaded(tmp_path)
    batch = list(data.test_dataloader())
    assert all(torch.isfinite(part["image"]).all() for part in batch)
    assert sum(int((part["mask"] >= 0).sum()) for part in batch) == 2 * 40


@pytest.mark.parametrize("column", [3, 40, 59], ids=["train", "val", "test"])
@pytest.mark.parametrize(
    ("value", "advice"), [(float("nan"), r"data\.nodata=nan"), (float("inf"), r"data\.nodata=inf")]
)
def test_undeclared_nan_stops_in_every_split_and_names_the_pixel(tmp_path, column, value, advice):
    pair(tmp_path)
    pixels = image()
    pixels[1, 7, column] = value
    write(tmp_path / "a_img.tif", pixels, BANDS)
    data = geotiff(**arguments(tmp_path))
    with pytest.raises(
        UserError, match=rf"a_img\.tif has the value {value} in band 'GREEN' at row 7, column {column} .*{advice}"
    ):
        data.setup()
    other = geotiff(**arguments(tmp_path, bands=["RED"]))
    other.setup()


def test_a_label_of_another_size_is_refused_with_both_sizes(tmp_path):
    write(pair(tmp_path) / "a_lab.tif", label(height=38))
    with pytest.raises(UserError, match=r"a_lab\.tif has 38 x 60 pixels .*a_img\.tif 40 x 60"):
        geotiff(**arguments(tmp_path))


def test_a_label_beside_its_image_is_refused(tmp_path):
    write(pair(tmp_path) / "a_lab.tif", label(), transform=from_origin(500_060, 5_000_000, 30, 30))
    with pytest.raises(UserError, match="lies up to 2 pixels beside its image"):
        geotiff(**arguments(tmp_path))
    write(tmp_path / "b" / "a_img.tif", image(), BANDS)
    write(tmp_path / "b" / "a_lab.tif", label(), crs="EPSG:32634")
    with pytest.raises(UserError, match=r"is in EPSG:32634, its image .* in EPSG:32633"):
        geotiff(**arguments(tmp_path / "b"))


@pytest.mark.parametrize(
    "georeference", [{"transform": from_origin(500_000.5, 5_000_000, 30, 30)}, {"crs": None, "transform": None}]
)
def test_a_label_a_hair_beside_or_without_georeference_is_accepted(tmp_path, georeference):
    write(pair(tmp_path) / "a_lab.tif", label(), **georeference)
    loaded(tmp_path)


def test_a_label_with_several_bands_is_refused(tmp_path):
    write(pair(tmp_path) / "a_lab.tif", np.stack([label(), label()]))
    with pytest.raises(UserError, match="has 2 bands; a label has one"):
        geotiff(**arguments(tmp_path))


@pytest.mark.parametrize("column", [3, 40, 59], ids=["train", "val", "test"])
@pytest.mark.parametrize("value", [2, -2])
def test_a_label_value_outside_the_classes_stops_in_every_split(tmp_path, value, column):
    classes = label()
    classes[6, column] = value
    write(pair(tmp_path) / "a_lab.tif", classes)
    data = geotiff(**arguments(tmp_path))
    with pytest.raises(
        UserError, match=rf"a_img\.tif has the value {value} at row 6.* 0 \(land\), 1 \(water\), and -1"
    ):
        data.setup()


def test_a_labels_nodata_and_the_ignore_index_are_unlabelled(tmp_path):
    classes = label()
    classes[:, 0], classes[:, 1] = 99, -1
    write(pair(tmp_path) / "a_lab.tif", classes, nodata=99)
    assert loaded(tmp_path).statistics.num_labelled("train") == 34 * 40
    write(tmp_path / "c" / "a_img.tif", image(), BANDS)
    write(tmp_path / "c" / "a_lab.tif", classes)
    assert loaded(tmp_path / "c", label_nodata=99).statistics.num_labelled("train") == 34 * 40


def test_a_labels_nodata_that_is_a_class_must_be_explained(tmp_path):
    write(pair(tmp_path) / "a_lab.tif", label(), nodata=0)
    with pytest.raises(UserError, match=r"declares nodata 0, which is also the class 'land'.*label_nodata=-1"):
        geotiff(**arguments(tmp_path))
    counts = loaded(tmp_path, label_nodata=-1).statistics.class_counts["train"]
    assert min(counts) > 0
    assert loaded(tmp_path, label_nodata=0).statistics.class_counts["train"] == [0, counts[1]]


def test_a_float_label_is_read_and_must_hold_whole_numbers(tmp_path):
    classes = label().astype(np.float32)
    classes[0, 0] = np.nan
    write(pair(tmp_path) / "a_lab.tif", classes, nodata=float("nan"))
    assert loaded(tmp_path).statistics.num_labelled("train") == 36 * 40 - 1
    classes[2, 3] = 0.5
    write(tmp_path / "d" / "a_img.tif", image(), BANDS)
    write(tmp_path / "d" / "a_lab.tif", classes, nodata=float("nan"))
    with pytest.raises(UserError, match=r"a_lab\.tif has the value 0\.5 at row 2, column 3"):
        loaded(tmp_path / "d")


def test_a_split_without_a_label_is_refused(tmp_path):
    classes = label()
    classes[:, 48:] = -1
    write(pair(tmp_path) / "a_lab.tif", classes)
    with pytest.raises(UserError, match=r"The test split has no labelled pixel .*a_img\.tif"):
        loaded(tmp_path)


def test_a_constant_band_is_refused_where_its_deviation_is_needed(tmp_path):
    pixels = image()
    pixels[3] = 1000
    write(pair(tmp_path) / "a_img.tif", pixels, BANDS)
    with pytest.raises(UserError, match="The band NIR_NARROW has one value in all training pixels"):
        loaded(tmp_path)
    assert loaded(tmp_path, normalize="none").std == [1.0] * 5


def test_a_file_that_is_no_raster_is_named(tmp_path):
    (pair(tmp_path) / "a_img.tif").write_text("not a raster")
    with pytest.raises(UserError, match=r"a_img\.tif can't be read as a raster"):
        geotiff(**arguments(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normalize": "datset"}, "no 'datset'. Did you mean 'dataset'"),
        ({"tile_px": 0}, r"data\.tile_px=0 must be 1 or more"),
        ({"batch_size": 0}, r"data\.batch_size=0"),
        ({"num_workers": -1}, r"data\.num_workers=-1"),
        ({"rotation_deg": 200.0}, "between 0 .off. and 180"),
        ({"cache_mb": -1}, r"data\.cache_mb=-1"),
        ({"class_names": ["land"]}, "two or more different names"),
        ({"class_names": ["land", "macro"]}, "macro and micro are taken"),
        ({"ignore_index": 1}, "is also the class 'water'"),
        ({"baselines": ["mdnwi"]}, "no 'mdnwi' for segmentation. Did you mean 'mndwi'"),
        ({"split": [0.6, 0.2, 0.2], "split_files": {"train": "a", "val": "b", "test": "c"}}, "exclude each other"),
        ({"split_buffer_px": 4, "split_files": {"train": "a", "val": "b", "test": "c"}}, "split_buffer_px=4 is for"),
        ({"root": "/nowhere"}, r"data\.root=/nowhere does not exist"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        geotiff(**(arguments(pair(tmp_path)) | change))


def test_a_file_that_was_replaced_since_is_read_anew(tmp_path):
    before = loaded(pair(tmp_path)).mean
    write(tmp_path / "a_img.tif", image(seed=8) * 2, BANDS)
    assert loaded(tmp_path).mean != before
