"""What the account says: no value is converted, defaulted or decided without a line, and each line is true."""

import pytest

from geocompose.errors import UserError
from geocompose.migration.training.selection import selection_of
from geocompose.tasks.classification import ClassificationTask
from geocompose.tasks.multilabel import MultilabelTask
from geocompose.tasks.reconstruction import ReconstructionTask
from geocompose.tasks.regression import RegressionTask
from geocompose.tasks.scalar_regression import ScalarRegressionTask
from geocompose.tasks.segmentation import SegmentationTask
from tests.kit.terratorch_runs import FOLDERS, a_run, conf, decided, fate, translated

__all__ = ["conf"]

TASKS = {
    "segmentation": SegmentationTask,
    "regression": RegressionTask,
    "classification": ClassificationTask,
    "multilabel": MultilabelTask,
    "scalar_regression": ScalarRegressionTask,
    "reconstruction": ReconstructionTask,
}
TILED = {"h_crop": 56, "h_stride": 48, "w_crop": 56, "w_stride": 48, "average_patches": True}


@pytest.mark.parametrize(
    ("tree", "given", "px", "told"),
    [
        (a_run(), None, 224, "data.tile_px=224, as no size was found in the file"),
        (a_run(), 48, 48, None),
        (a_run(tiled_inference_parameters=TILED), None, 56, "data.tile_px=56, the size of tiled inference"),
        (a_run(tiled_inference_parameters={**TILED, "w_crop": 64}), None, 224, "as no size was found in the file"),
        (a_run(model_args={"backbone_img_size": 96}), None, 96, "data.tile_px=96, backbone_img_size"),
        (
            a_run(data={"train_transform": [{"class_path": "RandomCrop", "init_args": {"height": 32, "width": 32}}]}),
            None,
            32,
            "data.tile_px=32, the size in the transforms of the file",
        ),
    ],
)
def test_the_size_of_tiles_is_told_with_where_it_comes_from(tree, given, px, told):
    to = translated(tree, tile_px=given)
    assert to.values["data"]["tile_px"] == to.tile_px == px
    assert ("data.tile_px" in decided(to)) is (told is not None)
    assert (told or "") in decided(to)


def test_a_size_of_tiles_below_1_is_refused():
    with pytest.raises(UserError, match="tile_px must be 1 or more; got -3"):
        translated(a_run(), tile_px=-3)


def test_of_tiled_inference_the_size_is_carried_and_the_stride_is_lost():
    to = translated(a_run(tiled_inference_parameters=TILED))
    assert fate(to, "h_crop") == "carried: data.tile_px"
    assert (
        fate(to, "w_stride")
        == "not carried over: action=predict takes the overlap of windows, here action.overlap_px=8"
    )
    assert fate(to, "average_patches").startswith("not needed")
    to = translated(a_run(tiled_inference_parameters=TILED), tile_px=32)
    assert fate(to, "h_crop") == "not carried over: tiles are squares of data.tile_px=32"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": {"no_data_replace": 0}}, "data.nodata: pixels that are NaN become the band's mean"),
        ({"data": {"constant_scale": 0.5}}, "data.normalize: means and stds are divided by constant_scale=0.5"),
        ({"data": FOLDERS}, "data.labels: an image's label is the file in which * stands for the same text"),
        ({}, "data.class_names: the file has no names of them; they are called class_0, ..."),
        (
            {"model_args": {"backbone": "prithvi_vit_100"}},
            "prithvi_vit_100 is an earlier name of prithvi_eo_v1_100",
        ),
        (
            {
                "task": "PixelwiseRegressionTask",
                "module": "GenericNonGeoPixelwiseRegressionDataModule",
                "loss": ["rmse", "mae"],
            },
            "task.loss: rmse is the root of a batch's mean square; TerraTorch takes that root twice",
        ),
    ],
)
def test_what_carried_settings_mean_here_and_not_in_terratorch_is_told(changes, told):
    assert told in decided(translated(a_run(**changes)))


@pytest.mark.parametrize(
    ("sections", "changes", "key", "told"),
    [
        (
            {},
            {"loss": "my_lab.Own", "custom_loss": True, "custom_loss_kwargs": {"a": 1}},
            "init_args.loss",
            "task.loss=ce",
        ),
        ({}, {"loss": "hausdorff"}, "init_args.loss", "task.loss=ce"),
        ({}, {"loss": "dice", "class_weights": [1.0, 2.0]}, "class_weights", "task.class_weights=null"),
        ({}, {"optimizer": "Muon"}, "init_args.optimizer", "optimizer=adamw, optimizer.betas=[0.9, 0.999]"),
        ({}, {"scheduler": "CyclicLR"}, "init_args.scheduler", "scheduler=none"),
        ({"trainer": {"precision": "transformer-engine"}}, {}, "precision", "trainer.precision=32-true"),
        ({"trainer": {"max_epochs": -1}}, {}, "max_epochs", "trainer.max_epochs=1000"),
        ({}, {"data": {"means": "none.txt"}}, "means", "data.normalize=dataset"),
        ({}, {"model_args": {"peft_config": {"method": "VERA"}}}, "method", "peft=none"),
    ],
)
def test_of_what_is_lost_the_value_that_holds_in_its_place_is_told(sections, changes, key, told):
    said = fate(translated(a_run(sections, **changes)), key)
    assert said.startswith("not carried over")
    assert f"; here {told}" in said


def test_where_no_loss_is_named_terratorchs_own_counts():
    assert translated(a_run(class_weights=[1.0, 3.0])).values["task"]["class_weights"] == [1.0, 3.0]
    to = translated(a_run(task="MultiLabelClassificationTask", module="Own", model_args={"decoder": "IdentityDecoder"}))
    assert "task.loss=bce, as the file names none; TerraTorch's is ce." in decided(to)


@pytest.mark.parametrize(
    ("monitor", "task", "told"),
    [
        ("val/loss", "SemanticSegmentationTask", "By val/mIoU here, by val/loss in TerraTorch: the best epoch, early "),
        (
            "val/mIoU",
            "SemanticSegmentationTask",
            "By val/mIoU here, by val/loss in TerraTorch: the best epoch; task.sel",
        ),
        ("val/loss", "ReconstructionTask", None),
        ("val/RMSE", "ReconstructionTask", "By val/loss here, by val/RMSE in TerraTorch: early stopping, the rate."),
    ],
)
def test_by_which_metric_a_run_is_stopped_and_chosen_is_told_once(monitor, task, told):
    sections = {
        "optimizer": "Adam",
        "trainer": {"callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": monitor}}]},
        "lr_scheduler": {"class_path": "ReduceLROnPlateau", "init_args": {"monitor": monitor}},
    }
    to = translated(a_run(sections, task=task))
    assert ("in TerraTorch: " in decided(to)) is (told is not None)
    assert (told or "") in decided(to)


def test_the_metric_that_is_told_is_the_tasks():
    for kind, task in TASKS.items():
        to = translated(a_run(), kind=kind)
        to.kind, to.names = kind, ["one"]
        assert selection_of(to) == task.selection[0]


def test_terratorchs_own_checkpoints_are_needed_as_little_as_lightnings():
    callbacks = [
        {"class_path": "terratorch.cli_tools.StateDictAwareModelCheckpoint", "init_args": {"monitor": "val/RMSE"}},
    ]
    to = translated(a_run({"trainer": {"callbacks": callbacks}}))
    assert fate(to, "callbacks.0.init_args.monitor").startswith("not needed: the best epoch and the last")


def test_a_scale_of_images_without_means_is_their_normalisation():
    to = translated(a_run(data={"means": None, "stds": None, "constant_scale": 0.5}))
    assert to.values["data"]["normalize"] == {"mean": [0.0] * 3, "std": [2.0] * 3}
    assert fate(to, "constant_scale") == "carried: data.normalize"


def test_frames_in_another_order_are_told():
    data = {"expand_temporal_dimension": True, "temporal_channel_major": True}
    told = fate(translated(a_run(model_args={"backbone_num_frames": 3}, data=data)), "temporal_channel_major")
    assert told.startswith("not carried over: files have all bands of the first frame, then of the second")
