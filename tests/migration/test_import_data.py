"""Settings of TerraTorch's data become those of ours: names, bands, normalisation, labels."""

import numpy as np
import pytest

from geocompose.catalog.prithvi import V1_STATISTICS
from tests.kit.terratorch_runs import a_run, decided, fate, translated


def test_a_scale_of_the_images_is_in_the_normalisation():
    to = translated(a_run(data={"constant_scale": 0.0001}))
    assert to.mean == pytest.approx([10000.0, 20000.0, 30000.0])
    assert to.std == pytest.approx([40000.0, 50000.0, 60000.0])
    assert fate(to, "constant_scale").startswith("carried")


def test_statistics_of_their_own_are_carried_as_numbers():
    to = translated(a_run(data={"constant_scale": 0.5}))
    assert to.values["data"]["normalize"] == {"mean": [2.0, 4.0, 6.0], "std": [8.0, 10.0, 12.0]}
    assert fate(to, "data.init_args.means") == "carried: data.normalize"
    assert fate(to, "constant_scale") == "carried: in data.normalize"


def test_statistics_of_each_frame_are_carried():
    numbers = {"means": [[1.0, 2.0]] * 3, "stds": [[4.0, 5.0]] * 3}
    to = translated(a_run(data=numbers))
    assert to.values["data"]["normalize"] == {"mean": numbers["means"], "std": numbers["stds"]}


@pytest.mark.parametrize(
    ("scale", "unit"), [(None, "reflectance_1e4"), (10_000, "reflectance"), (39.216, None)], ids=str
)
def test_published_statistics_say_in_which_unit_the_files_are(scale, unit):
    mean, std = V1_STATISTICS[0][:3], V1_STATISTICS[1][:3]
    prithvi = {"backbone": "prithvi_eo_v1_100", "backbone_in_chans": None}
    numbers = {"means": list(mean), "stds": list(std), "constant_scale": scale}
    data = translated(a_run(model_args=prithvi, data=numbers)).values["data"]
    assert data.get("unit") == unit
    if unit is None:
        assert data["normalize"]["mean"] == pytest.approx([value / 39.216 for value in mean])
    else:
        assert data["normalize"] == "pretraining"


@pytest.mark.parametrize("name", ["stats.txt", "stats.yaml"])
def test_statistics_in_a_file_beside_the_configuration_are_read(name, tmp_path):
    (tmp_path / "stats.txt").write_text("1.0 2.5\n3\n")
    (tmp_path / "stats.yaml").write_text("[1.0, 2.5, 3]")
    to = translated(a_run(data={"means": name, "stds": name}), beside=tmp_path)
    assert to.values["data"]["normalize"] == {"mean": [1.0, 2.5, 3.0], "std": [1.0, 2.5, 3.0]}
    assert fate(to, "data.init_args.means") == "carried: data.normalize"
    assert f"data.normalize: means are the numbers that {name} has now." in to.ledger.remarks


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ({"means": "stats.txt", "stds": "stats.txt"}, "it names a file that is not here"),
        (
            {"means": {"S1": [1.0]}, "stds": {"S1": [1.0], "S2": [1.0]}},
            "there are several modalities, each with numbers",
        ),
        ({"means": ["a", 1.0, 1.0], "stds": [1.0] * 3}, "it is neither numbers nor a file of them"),
        ({"means": [1.0, 2.0, 3.0], "stds": [1.0, 0.0, 1.0]}, "deviations must be above 0"),
    ],
)
def test_statistics_that_can_not_be_read_are_listed(numbers, why):
    to = translated(a_run(data=numbers))
    assert "normalize" not in to.values["data"]
    (told, *_) = [line for line in to.ledger.told("not carried over") if "means" in line]
    assert why in told
    assert "write 'data.normalize=" in told
    assert told.endswith("; here data.normalize=dataset")


def test_without_means_images_are_taken_as_they_are():
    to = translated(a_run(data={"means": None, "stds": None}))
    assert to.values["data"]["normalize"] == "none"
    assert (to.mean, to.std) == ([0.0] * 3, [1.0] * 3)


def test_labels_to_ignore_in_regression_become_their_nodata():
    arguments = {"num_outputs": 1, "num_classes": None}
    tree = a_run(
        task="PixelwiseRegressionTask",
        module="GenericNonGeoPixelwiseRegressionDataModule",
        model_args=arguments,
        ignore_index=-9999,
        data={"num_classes": None, "no_data_replace": 0, "no_label_replace": -9999},
        loss="rmse",
    )
    to = translated(tree)
    assert to.choices["data"] == "geotiff_regression"
    assert to.values["data"]["label_nodata"] == -9999.0
    assert to.values["data"]["normalize_target"] == "none"
    assert np.isnan(to.values["data"]["nodata"])
    assert "the root of a batch's mean" in fate(to, "init_args.loss")
    assert fate(to, "no_label_replace").startswith("not needed")


def test_a_configuration_without_data_asks_for_files():
    tree = a_run()
    del tree["data"]
    to = translated(tree)
    assert to.choices["data"] == "geotiff"
    assert set(to.values["data"]) >= {"class_names", "ignore_index", "tile_px"}
    assert "root" not in to.values["data"]


RGB = ["BLUE", "GREEN", "RED"]


OF_FIVE = [f"band_{place}" for place in range(1, 6)]


@pytest.mark.parametrize(
    ("there", "read", "of_model", "band_names", "bands"),
    [
        ([0, 1, 2, 3], [1, 3, 0], RGB, ["RED", "BLUE", "band_3", "GREEN"], RGB),
        (["0", "1", "2"], ["0", "1", "2"], ["0", "1", "2"], ["band_1", "band_2", "band_3"], None),
        ([[0, 4]], [[1, 2], "[4, 4]"], [1, 2, 4], OF_FIVE, ["band_2", "band_3", "band_5"]),
        ([0, *RGB, 0, 1], RGB, RGB, ["band_1", *RGB, "band_5", "band_6"], RGB),
        (["HLSBands.RED", "terratorch.datasets.HLSBands.BLUE", "GREEN"], None, None, ["RED", "BLUE", "GREEN"], None),
        (["one", "two", "three"], ["three", "one", "two"], RGB, ["GREEN", "RED", "BLUE"], RGB),
    ],
    ids=["places", "numbers as texts", "intervals", "mixed", "enumeration", "texts of their own"],
)  # fmt: skip
def test_bands_keep_their_names_and_are_called_by_their_place_where_they_have_none(
    there, read, of_model, band_names, bands
):
    model_args = {"backbone_bands": of_model}
    to = translated(a_run(model_args=model_args, data={"dataset_bands": there, "output_bands": read}))
    assert to.values["data"]["band_names"] == band_names
    assert to.values["data"]["bands"] == (bands or band_names) == to.bands
    unnamed = any(name.startswith("band_") for name in band_names)
    assert ("are called by their place in the file" in decided(to)) is unnamed


def test_bands_that_are_called_otherwise_are_told_one_by_one():
    own = {"dataset_bands": ["one", "two", "three"], "output_bands": ["three", "one", "two"]}
    to = translated(a_run(model_args={"backbone_bands": RGB}, data=own))
    renamed = "bands are called as the model calls them: one is GREEN, two is RED, three is BLUE."
    assert f"data.band_names: {renamed}" in to.ledger.remarks
    assert "as the model calls them" not in decided(translated(a_run()))


@pytest.mark.parametrize(
    ("bands", "rgb", "told"),
    [
        (RGB, [2, 1, 0], "not needed: figures show RED, GREEN and BLUE"),
        (
            OF_FIVE[:3],
            [0, 1, 2],
            "not needed: figures show RED, GREEN and BLUE where bands are called so, else the first",
        ),
        (OF_FIVE[:3], [2, 1, 0], "not carried over: figures show the first three bands, as none are called RED"),
    ],
)
def test_which_bands_figures_show_is_told(bands, rgb, told):
    data = {"dataset_bands": bands, "output_bands": bands, "rgb_indices": rgb}
    assert fate(translated(a_run(model_args={"backbone_bands": None}, data=data)), "rgb_indices").startswith(told)


def test_bands_that_the_files_do_not_have_are_listed():
    to = translated(a_run(data={"dataset_bands": ["BLUE", "GREEN"], "output_bands": ["RED"], "means": None}))
    assert fate(to, "output_bands").startswith("not carried over: not a list of bands of dataset_bands")


def test_frames_that_lie_behind_each_other_in_a_file_are_carried():
    prithvi = {"backbone": "prithvi_eo_tiny", "backbone_in_chans": None, "backbone_num_frames": 3}
    to = translated(a_run(model_args=prithvi, data={"expand_temporal_dimension": True}))
    assert (to.values["data"]["num_frames"], to.values["backbone"]["num_frames"]) == (3, 3)
    assert "data.num_frames" in fate(to, "expand_temporal_dimension")
    untold = translated(a_run(data={"expand_temporal_dimension": True}))
    assert "no setting says how many frames" in fate(untold, "expand_temporal_dimension")
    single = translated(a_run(model_args=prithvi))
    assert "The model takes 3 frames, and the data has one" in decided(single)


def test_labels_from_1_on_are_shifted_and_0_is_none():
    to = translated(a_run(data={"reduce_zero_label": True}))
    assert (to.values["data"]["label_values"], to.values["data"]["label_nodata"]) == ([1, 2], 0.0)
    assert fate(to, "reduce_zero_label").startswith("carried")
