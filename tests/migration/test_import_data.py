"""Settings of TerraTorch's data become those of ours: files, splits, bands, normalisation, transforms."""

from pathlib import Path

import numpy as np
import pytest

from geocompose.data.preflight import data_source, preflight
from geocompose.errors import UserError
from tests.kit.terratorch_runs import FOLDERS, a_raster, a_run, call, composed, conf, fate, translated, written

__all__ = ["conf"]


def test_a_scale_of_the_images_is_in_the_normalisation():
    to = translated(a_run(data={"constant_scale": 0.0001}))
    assert to.mean == pytest.approx([10000.0, 20000.0, 30000.0])
    assert to.std == pytest.approx([40000.0, 50000.0, 60000.0])
    assert fate(to, "constant_scale").startswith("carried")


def test_statistics_of_their_own_are_lost_to_new_runs_and_that_is_said():
    to = translated(a_run())
    assert to.values["data"]["normalize"] == "dataset"
    assert fate(to, "data.init_args.means").startswith("not carried over: a new run takes its training split's own")


def test_without_means_images_are_taken_as_they_are():
    to = translated(a_run(data={"means": None, "stds": None}))
    assert to.values["data"]["normalize"] == "none"
    assert (to.mean, to.std) == ([0.0] * 3, [1.0] * 3)


def test_transforms_are_carried_where_there_is_one_like_it():
    transforms = [
        {"class_path": "albumentations.D4"},
        {"class_path": "albumentations.RandomCrop", "init_args": {"height": 96, "width": 96}},
        {"class_path": "albumentations.GaussNoise"},
        {"class_path": "ToTensorV2"},
    ]
    to = translated(a_run(data={"train_transform": transforms}))
    assert to.values["data"]["dihedral"] is True
    assert to.values["data"]["random_crop"] is True
    assert to.values["data"]["tile_px"] == 96
    assert fate(to, "train_transform.2.class_path").startswith("not carried over: there is no transform GaussNoise")
    assert fate(to, "train_transform.3.class_path").startswith("not needed")
    assert translated(a_run()).values["data"]["dihedral"] is False  # ours would be true


def test_the_size_of_tiles_follows_from_the_files_or_is_given():
    assert translated(a_run(tiled_inference_parameters={"h_crop": 128, "w_crop": 128})).tile_px == 128
    assert translated(a_run()).tile_px == 224
    assert translated(a_run(), tile_px=48).values["data"]["tile_px"] == 48
    with pytest.raises(UserError, match="tile_px must be 1 or more; got -3"):
        translated(a_run(), tile_px=-3)


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
    assert "true root" in fate(to, "init_args.loss")
    assert fate(to, "no_label_replace").startswith("not needed")


def test_a_folder_for_each_split_becomes_one_root_with_lists(conf):
    for index, split in enumerate(("train", "train", "val", "test")):
        values = np.full((3, 8, 8), 1 + index)  # identical pixels in two splits are refused
        a_raster(Path(f"chips/{split}/images/c{index}_S2.tif"), values, ["BLUE", "GREEN", "RED"])
        a_raster(Path(f"chips/{split}/labels/c{index}_L.tif"), np.ones((1, 8, 8)))
    tree = a_run(data=FOLDERS)
    call(conf, config=written(tree))
    config = composed(conf, "experiment=imported/flood")
    assert (config["data"]["root"], config["data"]["images"], config["data"]["labels"]) == (
        "chips", "*/images/*_S2.tif", "*/labels/*_L.tif"
    )  # fmt: skip
    lists = config["data"]["split_files"]
    assert Path(lists["train"]).read_text() == "c0_S2.tif\nc1_S2.tif\n"
    assert preflight(data_source(config["data"]), list).inputs.bands == ("BLUE", "GREEN", "RED")


def test_splits_whose_folders_can_not_be_seen_are_listed():
    to = translated(a_run(data=FOLDERS))
    assert "split_files" not in to.values["data"]
    assert "not which split they belong to: the folders can't be seen from here" in fate(to, "train_data_root")


def test_lists_of_splits_are_carried():
    one = {f"{split}_data_root": "data/img" for split in ("train", "val", "test")}
    one |= {f"{split}_label_data_root": "data/lab" for split in ("train", "val", "test")}
    lists = {f"{split}_split": f"splits/{split}.txt" for split in ("train", "val", "test")}
    to = translated(a_run(data={**one, **lists}))
    assert to.values["data"]["split_files"] == {split: f"splits/{split}.txt" for split in ("train", "val", "test")}
    assert (to.values["data"]["root"], to.values["data"]["images"], to.values["data"]["labels"]) == (
        "data",
        "img/*",
        "lab/*",
    )
    assert fate(translated(a_run(data=one)), "test_data_root").endswith(
        "several splits read one folder; data.split draws images for each"
    )


def test_folders_of_different_depth_are_found_below_their_shared_one():
    uneven = {"train_data_root": "/d/a", "val_data_root": "/d/b/c", "test_data_root": "/d/e"}
    to = translated(a_run(data={**uneven, "img_grep": "*.tif", "label_grep": "*.png"}))
    assert (to.values["data"]["root"], to.values["data"]["images"]) == ("/d", "**/*.tif")


def test_settings_of_a_foreign_data_module_may_have_any_shape():
    by_modality = {"S1": "*_S1.tif"}
    data = {"img_grep": by_modality, "train_transform": None, "means": by_modality, "stds": by_modality}
    to = translated(a_run(module="GenericMultiModalDataModule", data=data))
    assert fate(to, "img_grep.S1").startswith("not carried over: GenericMultiModalDataModule has no counterpart")


@pytest.mark.parametrize(
    ("transform", "fit", "told"),
    [
        ({"train_transform": "RandomCrop"}, "crop", "carried: data.random_crop, data.tile_px, data.fit=crop"),
        ({"val_transform": "Resize"}, "resize", "not carried over: images larger than data.tile_px=96 are fitted"),
        ({"test_transform": "CenterCrop"}, "crop", "not carried over: images larger than data.tile_px=96 are fitted"),
    ],
)
def test_images_with_one_label_are_fitted_as_their_transforms_ask(transform, fit, told):
    ((split, name),) = transform.items()
    steps = [{"class_path": f"albumentations.{name}", "init_args": {"height": 96, "width": 96}}]
    arguments = {"decoder": "IdentityDecoder", "decoder_channels": None, "decoder_num_convs": None}
    to = translated(
        a_run(
            task="ClassificationTask",
            module="GenericNonGeoClassificationDataModule",
            model_args=arguments,
            data={split: steps},
        )
    )
    assert (to.values["data"]["fit"], to.values["data"]["tile_px"]) == (fit, 96)
    assert fate(to, f"{split}.0.class_path").startswith(told)


def test_a_configuration_without_data_asks_for_files():
    tree = a_run()
    del tree["data"]
    to = translated(tree)
    assert to.choices["data"] == "geotiff"
    assert set(to.values["data"]) >= {"class_names", "ignore_index", "tile_px"}
    assert "root" not in to.values["data"]


def test_bands_by_number_and_statistics_by_file_are_listed():
    to = translated(a_run(data={"dataset_bands": [0, 1, 2], "means": "stats.yaml", "stds": "stats.yaml"}))
    assert fate(to, "dataset_bands") == "not carried over: data.band_names takes names, not places of bands"
    assert fate(to, "data.init_args.means").startswith("not carried over: it names a file or a class")
    assert to.mean is None
