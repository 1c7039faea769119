"""Data modules without counterpart: what of them comes along nevertheless, and what is said of the rest."""

import pytest

from tests.kit.terratorch_runs import a_run, call, composed, conf, decided, fate, translated, written

__all__ = ["conf"]

RGB = ["BLUE", "GREEN", "RED"]
OF_ONE = {
    "modalities": ["S2L2A"],
    "dataset_bands": {"S2L2A": [0, *RGB, 1]},
    "output_bands": {"S2L2A": RGB},
    "means": {"S2L2A": [1.0, 2.0, 3.0]},
    "stds": {"S2L2A": [4.0, 5.0, 6.0]},
    "constant_scale": {"S2L2A": 0.5},
    "rgb_indices": {"S2L2A": [2, 1, 0]},
    "image_grep": {"S2L2A": "*_S2.tif"},
    "data_root": "chips",
    "train_transform": [{"class_path": "ToTensorV2"}],
}


def test_numbers_bands_and_transforms_of_a_module_without_counterpart_come_along(conf):
    tree = a_run(module="GenericMultiModalDataModule", data={"batch_size": 2, "num_workers": 3, **OF_ONE})
    to = translated(tree)
    assert to.values["data"] | {
        "batch_size": 2, "num_workers": 3, "dihedral": False, "root": "chips", "bands": RGB,
        "band_names": ["band_1", *RGB, "band_5"],
        "normalize": {"mean": [2.0, 4.0, 6.0], "std": [8.0, 10.0, 12.0]},
    } == to.values["data"]  # fmt: skip
    for key in ("batch_size", "means.S2L2A", "stds.S2L2A", "dataset_bands.S2L2A", "constant_scale.S2L2A", "data_root"):
        assert fate(to, key).startswith("carried"), key
    assert fate(to, "train_transform.0.class_path") == "not needed: done by the loader"
    assert fate(to, "image_grep.S2L2A").startswith("not carried over: GenericMultiModalDataModule has no counterpart")
    call(conf, config=written(tree))
    paths = ("data.root=.", "data.images=i*.tif", "data.labels=l*.tif")
    assert composed(conf, "experiment=imported/flood", *paths)["data"]["dihedral"] is False


@pytest.mark.parametrize("key", ["means", "dataset_bands", "constant_scale", "image_grep"])
def test_of_several_modalities_the_reason_is_told(key):
    of_two = {name: {**value, "S1GRD": [1.0]} if isinstance(value, dict) else value for name, value in OF_ONE.items()}
    to = translated(a_run(module="GenericMultiModalDataModule", data=of_two))
    told = fate(to, f"{key}.S1GRD")
    assert told.startswith("not carried over")
    assert ("several modalities" in told) is (key != "image_grep")
    assert to.values["data"].get("normalize") is None


def test_a_module_that_may_have_numbers_and_transforms_of_its_own_is_told():
    to = translated(a_run(module="MultiTemporalCropClassificationDataModule", data={"means": None, "stds": None}))
    assert "data.normalize=dataset, as the data has no means and stds" in decided(to)
    assert "data.dihedral=false, as the data has no train_transform" in decided(to)
    assert to.values["data"]["dihedral"] is False
    silent = decided(
        translated(a_run(module="MultiTemporalCropClassificationDataModule", data={"train_transform": []}))
    )
    assert "data.dihedral" not in silent


def test_a_generic_module_of_another_task_is_not_called_unknown():
    told = fate(translated(a_run(module="GenericNonGeoPixelwiseRegressionDataModule")), "data.class_path")
    assert "has no counterpart" not in told
    assert "is for task=regression or reconstruction, not for segmentation" in told


def test_settings_of_a_foreign_data_module_may_have_any_shape():
    steps = [{"class_path": "D4", "init_args": 3}]
    odd = {"img_grep": {"S1": "*_S1.tif", "S2": 3}, "train_transform": steps, "constant_scale": "x", "means": 1}
    to = translated(a_run(module="GenericMultiModalDataModule", data={**odd, "stds": {"S1": "*"}, "batch_size": [1]}))
    assert fate(to, "batch_size") == "not carried over: [1] is no whole number; here data.batch_size=8"
    assert fate(to, "train_transform.0.class_path") == "carried: data.dihedral"
    for key in ("img_grep.S1", "img_grep.S2"):
        assert fate(to, key).startswith("not carried over: GenericMultiModalDataModule has no counterpart")
