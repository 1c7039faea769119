"""Settings of a TerraTorch configuration that can't be understood are one message each."""

import pytest

from geocompose.errors import UserError
from tests.kit.terratorch_runs import a_run, translated


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "SemanticTask"}, "The TerraTorch task SemanticTask can't be imported.*SemanticSegmentationTask"),
        ({"model_factory": "MyFactory"}, "model_factory=MyFactory can't be imported: it is not known here"),
        (
            {"model_args": {"backbone": "prithvi_eo_v2_301"}},
            "model_args.backbone=prithvi_eo_v2_301: .*prithvi_eo_v2_300",
        ),
        ({"model_args": {"decoder": "UNetDecoderr"}}, "model_args.decoder=UNetDecoderr: .*'UNetDecoder'"),
        ({"model_args": {"decoder": None}}, "model_args have no decoder's name"),
        ({"model_args": {"num_classes": None}, "data": {"num_classes": None}}, "has no model_args.num_classes"),
        ({"data": {"means": [1.0]}}, "There are 3 bands, but 1 means and 3 stds"),
        (
            {"sections": {"trainer": {"callbacks": [{"class_path": "EarlyStopping", "init_args": {"patience": "x"}}]}}},
            "patience='x'",
        ),
    ],
)
def test_settings_that_can_not_be_understood_are_one_message(changes, message):
    with pytest.raises(UserError, match=message):
        translated(a_run(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_args": {"num_classes": "2"}}, "model_args.num_classes .* must be a whole number, 1 or more; got '2'"),
        ({"model_args": {"peft_config": "LORA"}}, "model_args.peft_config .* must be a mapping; got 'LORA'"),
        ({"aux_heads": ["fcn"]}, "aux_heads.0 .* must be a mapping; got 'fcn'"),
        ({"aux_heads": [None]}, "aux_heads.0 .* must be a mapping; got None"),
        ({"class_names": "water"}, "class_names .* must be a list; got 'water'"),
        ({"ignore_index": "none"}, "ignore_index .* must be a whole number; got 'none'"),
        ({"loss": 3}, "loss .* must be a loss's name, a list of names, or a mapping of names to numbers; got 3"),
        ({"optimizer": ["Adam"]}, "model.init_args.optimizer .* must be text"),
        ({"lr_overrides": {"decoder": "slow"}}, "lr_overrides.decoder .* must be a number; got 'slow'"),
        ({"sections": {"optimizer": {"class_path": "Adam", "init_args": {"lr": "fast"}}}}, "optimizer.init_args.lr"),
        ({"sections": {"optimizer": [{"class_path": "Adam"}]}}, "optimizer .* must be a class's name, or a mapping"),
        ({"sections": {"lr_scheduler": {"class_path": "StepLR", "init_args": [1]}}}, "lr_scheduler.init_args"),
        ({"sections": {"trainer": {"callbacks": "EarlyStopping"}}}, "trainer.callbacks .* must be a list or a mapping"),
        ({"loss": [{"ce": 1}]}, "loss .* must be a loss's name, a list of names, or a mapping of names to numbers"),
        ({"model_args": {"decoder": ["FCNDecoder"]}}, "model_args.decoder .* must be text"),
        ({"model_args": {"necks": [{"name": "x"}, "y"]}}, "model_args.necks.1 .* must be a mapping; got 'y'"),
        ({"tiled_inference_parameters": [224]}, r"tiled_inference_parameters .* must be a mapping; got \[224\]"),
        ({"tiled_inference_parameters": {"h_crop": -5}}, "h_crop .* must be a whole number, 1 or more; got -5"),
        ({"data": {"constant_scale": 0}}, "data.init_args.constant_scale .* must be a number above 0; got 0"),
        ({"data": {"img_grep": 3}}, "data.init_args.img_grep .* must be text that is not empty; got 3"),
        ({"data": {"label_grep": ""}}, "data.init_args.label_grep .* must be text that is not empty; got ''"),
        ({"data": {"data_root": 5}}, "data.init_args.data_root .* must be text; got 5"),
        ({"data": {"train_transform": 3}}, "data.init_args.train_transform .* must be a list or a mapping; got 3"),
        (
            {"data": {"train_transform": [{"class_path": "RandomCrop", "init_args": [224]}]}},
            r"train_transform.0.init_args .* must be a mapping; got \[224\]",
        ),
    ],
)
def test_settings_of_another_shape_than_terratorchs_are_one_message(changes, message):
    with pytest.raises(UserError, match=message):
        translated(a_run(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "WxCTask"}, "WxCTask is weather forecasting, which has no counterpart here"),
        ({"task": "ObjectDetectionTask"}, "ObjectDetectionTask is object detection, which has no counterpart here"),
        ({"task": "MyTask"}, "The TerraTorch task MyTask can't be imported"),
        ({"model_factory": "WxCModelFactory"}, "model_factory=WxCModelFactory can't be imported: it builds weather"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_its_name_whatever_the_shape_of_its_settings(changes, message):
    odd = {"aux_decoders": "unetpincer", "num_classes": "two", "peft_config": []}
    with pytest.raises(UserError, match=message):
        translated(a_run({"lr_scheduler": [1]}, lr="fast", model_args=odd, data={"img_grep": 3}, **changes))
