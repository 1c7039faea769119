"""What each of TerraTorch's model factories becomes, and what of it makes another model, so that weights don't load."""

import pytest
import torch

from geocompose.errors import UserError
from tests.kit.terratorch_runs import a_checkpoint, a_run, call, composed, conf, decided, fate, translated, written
from tests.kit.terratorch_trees import FROM_SCRATCH, HLS, NUMBERED, UNET, of_regression, of_segmentation, of_smp

__all__ = ["conf"]


def without_arguments() -> str:
    """Write a checkpoint that does not say what its model was built with, so that the YAML does."""
    file, _ = a_checkpoint(a_run())
    content = torch.load(file, weights_only=True)
    torch.save({key: value for key, value in content.items() if key != "hyper_parameters"}, file)
    return file


@pytest.mark.parametrize(
    ("given", "variant"), [("prithvi_vit_100", "prithvi_eo_v1_100"), ("prithvi_vit_300", "prithvi_eo_v2_300")]
)
def test_earlier_names_of_prithvi_are_todays(given, variant):
    to = translated(of_regression({"backbone": given, "decoder": "MLPDecoder"}))
    assert to.values["backbone"]["variant"] == variant
    assert f"{given} is an earlier name of {variant}" in fate(to, "model_args.backbone")
    assert fate(to, "model_args.in_channels") == "not needed: as many as the bands"
    assert fate(to, "model_args.pretrained") == "carried: backbone.pretrained"
    assert to.ledger.model_changes == []


def test_smps_whole_model_is_its_parts_with_their_arguments():
    arguments = {
        "smp_encoder_depth": 4, "smp_decoder_channels": [64, 32, 16, 8], "smp_decoder_attention_type": "scse",
        "smp_activation": "sigmoid", "aux_pooling": "avg",
    }  # fmt: skip
    to = translated(of_smp(**arguments))
    assert to.choices["decoder"] == "smp_unet"
    assert to.values["decoder"]["kwargs"] == {"decoder_channels": [64, 32, 16, 8], "attention_type": "scse"}
    assert {key: to.values["backbone"][key] for key in ("name", "weights", "depth")} == {
        "name": "resnet34", "weights": "imagenet", "depth": 4,
    }  # fmt: skip
    assert "kernel_size" not in to.values.get("head", {})  # smp's own
    assert fate(to, "smp_activation") == "not carried over: nothing here corresponds to it"
    assert fate(to, "aux_pooling").startswith("not needed")


def test_a_classifier_of_timm_is_its_features_and_a_head():
    arguments = {"backbone": "test_resnet", "pretrained": "weights.pth", "in_channels": 3, "num_classes": 4}
    tree = a_run(task="ClassificationTask", module="GenericNonGeoClassificationDataModule")
    tree["model"]["init_args"] |= {"model_factory": "TimmModelFactory", "model_args": arguments}
    to = translated(tree)
    assert (to.choices["backbone"], to.choices["decoder"], to.choices["head"]) == ("timm", "identity", "classification")
    assert to.values["backbone"]["ckpt_path"] == "weights.pth"
    assert "pretrained" not in to.values["backbone"]
    assert (len(to.names), "class_names" in to.values["data"]) == (4, False)  # which are folders


def test_a_unet_of_terratorch_hands_its_finest_map_on():
    arguments = {
        "backbone": "UNet", "backbone_base_channels": 4, "backbone_num_stages": 3, "decoder": "ASPPSegmentationHead",
        "decoder_channels": 8, "decoder_num_classes": 3, "num_classes": 2, "regression_relu": True,
    }  # fmt: skip
    to = translated(of_segmentation(arguments, factory="GenericUnetModelFactory"))
    assert to.values["backbone"] == {"out_indices": [0], "out_channels": 4, "num_stages": 3}
    assert (to.choices["decoder"], to.values["decoder"]) == ("aspp", {"channels": 8})
    assert to.values["head"]["dropout"] == 0.3  # its own of ASPP
    assert fate(to, "decoder_num_classes") == "carried: length of data.class_names"
    assert to.names == ["class_0", "class_1", "class_2"]  # TerraTorch's num_classes does not reach the decoder
    assert "does not hand it to the decoder, whose decoder_num_classes counts" in fate(to, "model_args.num_classes")
    assert fate(to, "head_dropout") == "not needed: GenericUnetModelFactory makes nothing of it"
    assert "TerraTorch 1.2.11 stops at backbone_base_channels and at ASPPSegmentationHead" in decided(to)


def test_a_unet_of_terratorch_for_numbers_may_end_in_a_relu():
    arguments = {"backbone": "UNet", "decoder": "ASPPRegressionHead", "decoder_channels": 8, "regression_relu": True}
    tree = of_segmentation(arguments, factory="GenericUnetModelFactory")
    tree["model"]["class_path"] = "PixelwiseRegressionTask"
    to = translated(tree)
    assert to.values["head"]["final_act"] == "torch.nn.ReLU"
    assert fate(to, "regression_relu").startswith("carried: head.final_act")


def test_swins_maps_are_turned_as_terratorch_does_and_its_weights_stay_out():
    arguments = {**FROM_SCRATCH, "backbone": "prithvi_swin_B", "pretrained": True, "bands": NUMBERED, **UNET}
    to = translated(of_segmentation(arguments, factory="PrithviModelFactory", freeze_backbone=True))
    assert to.values["neck"]["necks"] == [{"name": "PermuteDims", "new_order": [0, 3, 1, 2]}]
    assert to.values["backbone"]["name"] == "swin_base_patch4_window7_224"
    assert "pretrained" not in to.values["backbone"]
    assert "has no weights of prithvi_swin_B but a file's" in fate(to, "model_args.pretrained")
    assert "without a LayerNorm on each output" in decided(to)
    frozen = "task.freeze_backbone=true would keep these random weights"
    assert frozen not in decided(to)  # TerraTorch's would be random, too
    of_file = {**arguments, "backbone_pretrained_cfg_overlay": {"file": "swin.pt"}}
    to = translated(of_segmentation(of_file, factory="PrithviModelFactory", freeze_backbone=True))
    assert frozen in decided(to)
    for key in ("model_args.pretrained", "pretrained_cfg_overlay.file"):
        assert "don't fit timm's Swin" in fate(to, key)
    of_file["pretrained"] = False
    to = translated(of_segmentation(of_file, factory="PrithviModelFactory", freeze_backbone=True))
    assert frozen not in decided(to)
    del of_file["pretrained"]
    to = translated(of_segmentation(of_file, factory="PrithviModelFactory"))
    assert "pretrained" not in to.values["backbone"]
    assert "Pretrained weights are asked for, as PrithviModelFactory does" in decided(to)


def test_earlier_factories_ask_for_weights_where_nothing_is_said():
    arguments = {"backbone": "prithvi_eo_tiny", "decoder": "FCNDecoder", "bands": HLS}
    to = translated(of_segmentation(arguments, factory="PrithviModelFactory"))
    assert to.values["backbone"]["pretrained"] is True
    assert "Pretrained weights are asked for" in decided(to)
    assert "pretrained" not in translated(of_segmentation({**arguments, "bands": None})).values["backbone"]


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("pretrained", "; backbone_pretrained is what it takes"),
        ("num_frames", "; backbone_num_frames is what it takes"),
        ("bands", "; backbone_bands is what it takes"),
        ("padding", ""),
    ],
)
def test_arguments_at_which_terratorchs_factory_stops_are_told_with_what_it_takes(key, instead):
    arguments = {"backbone": "prithvi_eo_tiny", "decoder": "FCNDecoder", key: 1}
    told = fate(translated(of_segmentation(arguments)), f"model_args.{key}")
    assert told == f"not carried over: EncoderDecoderFactory takes no {key} and stops at it in TerraTorch{instead}"


@pytest.mark.parametrize("key", ["backbone_drop_path_rate", "backbone_band_patch_size"])
def test_what_terratorchs_prithvi_ignores_is_not_called_lost(key):
    told = fate(translated(of_regression({"backbone": "prithvi_eo_tiny", "decoder": "FCNDecoder", key: 2})), key)
    assert told == "not needed: it has no effect on Prithvi in TerraTorch either, which ignores it"
    adapter = {"backbone": "prithvi_eo_v1_100", "decoder": "FCNDecoder", key: 2, "backbone_vit_adapter": True}
    assert fate(translated(of_regression(adapter)), key).startswith("not carried over")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"backbone": "UNet"}, "that one enlarges maps by transposed convolutions of 4 x 4 with batch norm"),
        (
            {"backbone": "UNet", "backbone_upsample_cfg": {"scale_factor": 2}},
            "by interpolation and a 3 x 3 convolution",
        ),
        ({"decoder": "ASPPSegmentationHead"}, "The model has 2 outputs, as ASPPSegmentationHead has where the file"),
    ],
)
def test_how_a_unet_of_terratorch_is_another_network_is_told(arguments, told):
    given = {"num_classes": 5, **arguments}
    to = translated(of_segmentation(given, factory="GenericUnetModelFactory"))
    assert told in decided(to)
    assert len(to.names) == (2 if "decoder" in arguments else 5)


def test_outputs_of_a_decoder_with_numbers_are_its_own():
    arguments = {"backbone": "UNet", "decoder": "ASPPRegressionHead", "decoder_out_channels": 3, "num_classes": 2}
    to = translated(of_regression(arguments, factory="GenericUnetModelFactory"))
    assert len(to.values["data"]["variables"]) == 3
    assert fate(to, "model_args.num_classes").startswith("not needed")


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        (of_smp(pretrained=False), "SMPModelFactory's whole model"),
        (of_regression({"backbone": "prithvi_swin_B", "decoder": "FCNDecoder"}), "takes its place"),
    ],
    ids=["smp", "swin"],
)
def test_weights_of_another_model_are_refused(tree, why, conf):
    file = without_arguments()
    with pytest.raises(UserError, match=f"the model would be another one: .*{why}"):
        call(conf, config=written(tree), ckpt=file)
    assert not (conf / "experiment/imported").exists()


def test_necks_that_a_decoder_can_not_do_without_are_added_and_told(conf, capsys):
    """TerraTorch runs them at the wrong scale, or with channels last, without a word."""
    prithvi = {"backbone": "prithvi_eo_tiny", "backbone_bands": HLS, "decoder": "UperNetDecoder", "decoder_channels": 8}
    selected = [{"name": "SelectIndices", "indices": [0, 1, 2, 3]}, {"name": "ReshapeTokensToImage"}]
    for necks, settled in ((None, "neck=auto plans necks"), (selected, "LearnedInterpolateToPyramidal is added")):
        call(conf, config=written(of_segmentation({**prithvi, "necks": necks})), overwrite=True)
        told = " ".join(capsys.readouterr().out.split())
        assert "UperNetDecoder needs a pyramid" in told
        assert settled in told
    config = composed(conf, "experiment=imported/flood", "data.root=.")
    assert [neck["name"] for neck in config["neck"]["necks"]][-1] == "LearnedInterpolateToPyramidal"


def test_a_wrapper_through_time_is_the_group_temporal(conf):
    wrapper = {"use_temporal": True, "temporal_pooling": "max", "temporal_n_timestamps": 3, "temporal_keys": [1]}
    arguments = {
        "backbone": "timm_test_resnet", "decoder": "FCNDecoder", "decoder_channels": 8,
        **{f"backbone_{key}": value for key, value in wrapper.items()},
    }  # fmt: skip
    data = {"dataset_bands": HLS, "expand_temporal_dimension": True}
    to = translated(of_segmentation(arguments, data=data))
    assert (to.choices["temporal"], to.values["data"]["num_frames"]) == ("max", 3)
    assert "temporal=max has no argument 'keys'" in to.ledger.model_changes[0]
    call(conf, config=written(of_segmentation(arguments, data=data)))
    assert composed(conf, "experiment=imported/flood", "data.root=.")["temporal"]["pooling"] == "max"
    concat = {**arguments, "backbone_temporal_pooling": None, "backbone_temporal_concat": True}
    assert translated(of_segmentation(concat, data=data)).choices["temporal"] == "concat"
    with pytest.raises(UserError, match="backbone_temporal_pooling=keep can't be imported"):
        translated(of_segmentation({**arguments, "backbone_temporal_pooling": "keep"}, data=data))


def test_only_differences_that_are_there_are_allowed(conf):
    prithvi = {"backbone": "prithvi_eo_v1_100", "backbone_pretrained": True, "decoder": "FCNDecoder"}
    numbered = {"dataset_bands": NUMBERED, "output_bands": NUMBERED}
    for bands, data, allowed in ((HLS, {}, ["unit", "level"]), (NUMBERED, numbered, ["band"])):
        call(conf, config=written(of_segmentation({**prithvi, "backbone_bands": bands}, data=data)), overwrite=True)
        config = composed(conf, "experiment=imported/flood", "data.root=.")
        assert config["data"]["allow_mismatch"] == allowed
    text = (conf / "experiment/imported/flood.yaml").read_text()
    assert "they have no band_1, band_2" in text


def test_a_checkpoint_of_a_reconstruction_is_refused_with_what_to_do(conf):
    tree = of_regression({})
    arguments = {"model": "prithvi_eo_v2_tiny_tl_mae", "pretrained": False, "depth": 1, "decoder_depth": 1}
    tree["model"] = {
        "class_path": "ReconstructionTask", "init_args": {"model_factory": "FullModelFactory", "model_args": arguments},
    }  # fmt: skip
    file = without_arguments()
    with pytest.raises(UserError, match=r"Checkpoints of ReconstructionTask are not imported: give .* alone"):
        call(conf, config=written(tree), ckpt=file)
