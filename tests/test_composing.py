"""`geocompose.compose`: what the command line composes, in Python."""

import random

import pytest
import torch

import geocompose
from geocompose.errors import UserError
from tests.kit.command import composed_config

SMALL = ("backbone=timm", "backbone.name=test_resnet", "decoder=fcn", "data.num_scenes=4", "data.scene_px=64")


def test_two_lines_give_the_model_that_a_run_begins_with():
    composed = geocompose.compose(*SMALL, "seed=3")
    assert composed.model(torch.zeros(2, 6, 64, 64)).output.shape == (2, 6, 64, 64)
    again, other = geocompose.compose(*SMALL, "seed=3").model, geocompose.compose(*SMALL, "seed=4").model
    own, same, different = (dict(each.named_parameters()) for each in (composed.model, again, other))
    assert all(torch.equal(own[name], same[name]) for name in own)
    assert not all(torch.equal(own[name], different[name]) for name in own)


def test_the_configuration_is_that_of_the_command_line():
    assert geocompose.compose(*SMALL).config == composed_config(*SMALL)


def test_the_data_is_opened_when_it_is_asked_for():
    data = geocompose.compose(*SMALL, "data.batch_size=2").data
    data.setup()
    assert next(iter(data.train_dataloader()))["image"].shape == (2, 6, 64, 64)


def test_the_random_numbers_of_who_asks_stay_as_they_were():
    torch.manual_seed(1)
    random.seed(1)
    wanted = torch.rand(3), random.random()
    torch.manual_seed(1)
    random.seed(1)
    _ = geocompose.compose(*SMALL).model
    assert torch.equal(torch.rand(3), wanted[0])
    assert random.random() == wanted[1]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("decoder=unett", r"decoder has no option 'unett'. Did you mean 'unet'"),
        ("decoder.chanels=3", r"chanels"),
        ("decoder=fcn,unet", r"decoder=fcn,unet has several values"),
        ("trainer.max_epochs=many", r"trainer\.max_epochs takes a whole number; got 'many'"),
        ("data=sen1floods11", r"data\.root is required: write data\.root=VALUE"),
    ],
)
def test_what_the_command_line_refuses_is_refused_with_its_message(override, says):
    with pytest.raises(UserError, match=says):
        geocompose.compose(override)


def test_a_folder_of_ones_own_adds_options(tmp_path):
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder" / "mine.yaml").write_text(
        "_target_: geocompose.decoders.fcn.FCNDecoder\n_partial_: true\nchannels: 8\nnum_convs: 1\n"
    )
    composed = geocompose.compose(*SMALL[:2], "decoder=mine", *SMALL[3:], config_dir=tmp_path)
    assert composed.config["decoder"]["channels"] == 8
    assert composed.model.decoder.out_channels == 8
    with pytest.raises(UserError, match=r"does not exist"):
        geocompose.compose("decoder=mine", config_dir=tmp_path / "none")


def test_keys_of_ones_own_classes_need_no_plus():
    composed = geocompose.compose("decoder._target_=geocompose.decoders.fcn.FCNDecoder", "decoder.channels=4")
    assert composed.config["decoder"]["channels"] == 4
