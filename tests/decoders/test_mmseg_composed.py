"""mmsegmentation's decode heads in models."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.decoders.mmseg.heads import HEADS
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from tests.kit.mmseg_heads import SMALL, built, needs_mmseg
from tests.kit.small import Maps, image, stand_in


def model(task: str, **more: Any) -> nn.Module:
    torch.manual_seed(0)
    return EncoderDecoderFactory((64, 96)).build_model(
        task=task, backbone=stand_in("pyramid"), **{"necks": "auto", "decoder": "mmseg_UPerHead", **more}
    )


@needs_mmseg
def test_terratorchs_arguments_build_a_head_that_brings_its_own_last_layer():
    built_so = model(
        "segmentation", num_classes=4, decoder_channels=8, decoder_in_index=[0, 1, 2, 3], decoder_pool_scales=[1, 2]
    )
    assert built_so(image(3, 2, 64, 96)).output.shape == (2, 4, 64, 96)
    assert isinstance(built_so.head, nn.Identity)
    assert "decoder.decoder.conv_seg.weight" in built_so.state_dict()  # TerraTorch's name
    assert model("regression", num_outputs=1, decoder_channels=8, decoder_num_classes=1)(
        image(3, 2, 64, 96)
    ).output.shape == (2, 64, 96)
    bare = model("segmentation", num_classes=4, decoder="UPerHead", decoder_channels=8)
    assert type(bare.decoder).__name__ == "MmsegDecoder"
    with pytest.raises(
        UserError, match="num_classes follows from the composition and is 4 here; got decoder_num_classes=7"
    ):
        model("segmentation", num_classes=4, decoder_channels=8, decoder_num_classes=7)


@needs_mmseg
def test_tasks_of_whole_images_take_the_mean_of_a_heads_map():
    classifier = model("classification", num_classes=4, decoder_channels=8).eval()
    maps: list[Tensor] = []
    classifier.decoder.register_forward_hook(lambda _, __, out: maps.append(out))
    with torch.no_grad():
        output = classifier(image(3, 2, 64, 96)).output
    assert output.shape == (2, 4)
    torch.testing.assert_close(output, maps[0].mean(dim=(2, 3)))
    assert model("multilabel", num_classes=4, decoder_channels=8)(image(3, 2, 64, 96)).output.shape == (2, 4)
    assert model("scalar_regression", num_outputs=1, decoder_channels=8)(image(3, 2, 64, 96)).output.shape == (2,)
    assert model("scalar_regression", num_outputs=2, decoder_channels=8)(image(3, 2, 64, 96)).output.shape == (2, 2)


@needs_mmseg
def test_the_heads_for_mmsegs_own_losses_do_not_learn():
    decoder = built("DAHead")
    still = {name for name, parameter in decoder.named_parameters() if not parameter.requires_grad}
    assert still == {f"decoder.{part}.{key}" for part in HEADS["DAHead"].still for key in ("weight", "bias")}


@needs_mmseg
@pytest.mark.parametrize("name", ["ANNHead", "DPTHead", "SETRMLAHead"])
def test_features_that_somebody_counted_out_are_those_of_the_backbones_list(name):
    indices = [0, 4] if name == "ANNHead" else [0, 1, 2, 4]
    arguments = {f"decoder_{key}": value for key, value in {**SMALL[name], "in_index": indices}.items()}
    trial = EncoderDecoderFactory((64, 96)).trial(
        "segmentation", Maps([8] * 5, [2, 4, 8, 16, 32]), f"mmseg_{name}", num_classes=3, necks="auto", **arguments
    )
    read = {f"encoder.levels.{index}.weight" for index in indices}
    assert {f"encoder.levels.{level}.weight" for level in range(5)} - set(trial.plan.unreached) == read


@needs_mmseg
def test_a_backbone_of_two_levels_has_a_third_made_for_lraspp():
    trial = EncoderDecoderFactory((64, 96)).trial(
        "segmentation", Maps([8, 8], [8, 16]), "mmseg_LRASPPHead", num_classes=3, necks="auto", decoder_channels=8
    )
    assert [spec.stride for spec in trial.plan.decoder_features] == [4, 8, 16]


@needs_mmseg
@pytest.mark.parametrize("name", list(HEADS))
def test_layers_of_one_scale_are_refused_by_a_head_that_would_read_them_as_a_pyramid(name):
    arguments = {f"decoder_{key}": value for key, value in SMALL[name].items()}

    def composed() -> nn.Module:
        return EncoderDecoderFactory((64, 64)).build_model(
            "segmentation", Maps([8] * 4, [16] * 4), f"mmseg_{name}", num_classes=3, necks=None, **arguments
        )

    if HEADS[name].needs(SMALL[name]).pyramid:
        with pytest.raises(UserError, match=r"needs a pyramid, finest level first.*strides \[16, 16, 16, 16\]"):
            composed()
    else:
        with torch.inference_mode():
            assert composed().eval()(image(3, 1, 64, 96)).output.shape == (1, 3, 64, 96)
