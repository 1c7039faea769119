"""Biases, norms and the last blocks learn, and nothing else of a backbone."""

import re

import pytest
import torch

from geocompose.errors import UserError
from geocompose.peft.selective import BitFit, LastKBlocks, NormTuning
from tests.kit.adapted import build, image, learning


def statistics(model):
    return {name: value.clone() for name, value in model.encoder.state_dict().items() if "running" in name}


def test_bitfit_trains_biases_alone():
    names = learning(build(peft=BitFit()).encoder)
    assert {name.rpartition(".")[2] for name in names} == {"bias"}
    assert len(names) == 26


@pytest.mark.parametrize("method", [BitFit(), NormTuning()])
def test_statistics_of_norms_that_learn_stand_still(method):
    model = build("test_resnet", method).train()
    before = statistics(model)
    model(image()).output.square().mean().backward()
    assert learning(model.encoder)
    assert before
    assert all(torch.equal(value, before[name]) for name, value in statistics(model).items())


def test_norm_tuning_trains_every_norm_and_merges_to_the_plain_backbone():
    model = build(peft=NormTuning())
    names = learning(model.encoder)
    assert len(names) == 2 * (2 * 4 + 1)
    assert all("ln_tuning_layers" in name for name in names)
    with torch.no_grad():
        for name in names:
            model.encoder.get_parameter(name).add_(0.1)
        expected = model.eval()(image()).output
        model.encoder = model.encoder.merge_and_unload()
        torch.testing.assert_close(model(image()).output, expected)
    assert model.encoder.state_dict().keys() == build().encoder.state_dict().keys()


def test_the_last_blocks_learn_with_what_comes_after(caplog):
    caplog.set_level("INFO", logger="geocompose")
    names = learning(build(peft=LastKBlocks(k=1)).encoder)
    assert {".".join(name.split(".")[:2]) for name in names} == {"blocks.3", "norm.weight", "norm.bias"}
    assert (
        "peft=last_k_blocks: the last 1 block (blocks.3) and what is beside or after them (norm) learn" in caplog.text
    )


def test_only_the_last_blocks_train_and_their_statistics_move():
    model = build("test_resnet", LastKBlocks(k=1)).train()
    before = statistics(model)
    model(image())
    moved = {name.split(".")[0] for name, value in statistics(model).items() if not torch.equal(value, before[name])}
    assert moved == {"layer4"}
    assert not model.encoder.layer1.training
    assert model.encoder.layer4[0].training
    model.eval()
    assert not model.encoder.layer4[0].training


@pytest.mark.parametrize("method", [BitFit(), NormTuning(), LastKBlocks(k=1)])
def test_what_a_method_has_chosen_survives_a_frozen_backbone(method):
    model = build(peft=method)
    before = learning(model.encoder)
    model.freeze_encoder()
    assert learning(model.encoder) == before != set()


REFUSED = [
    (LastKBlocks(k=5), r"peft\.k=5 is more than PrithviViT has: its features need 4 blocks .*Use peft\.k=4 or less"),
    (LastKBlocks(k=0), r"peft\.k must be 1 or more; got 0"),
]


@pytest.mark.parametrize(("method", "message"), REFUSED)
def test_numbers_that_cannot_be_are_refused(method, message):
    with pytest.raises(UserError, match=message):
        build(peft=method)


def test_a_layer_that_is_never_reached_is_not_among_the_last():
    model = build(peft=LastKBlocks(k=1), backbone_out_indices=[0, 1])
    assert {name.split(".")[1] for name in learning(model.encoder)} == {"1"}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (BitFit(), "peft=bitfit can't adapt Weights: it has no biases"),
        (NormTuning(), "peft=norm_tuning can't adapt Weights: it has no normalisation layers"),
        (LastKBlocks(), "peft=last_k_blocks can't adapt Nothing: it has no blocks"),
    ],
)
def test_a_backbone_without_what_a_method_trains_is_refused(method, message):
    class Weights(torch.nn.Module):
        in_chans = 3
        out_channels = [8]

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 1, bias=False)

        def forward(self, given):
            return [self.conv(given)]

    class Nothing(Weights):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

        def forward(self, given):
            return [given]

    with pytest.raises(UserError, match=re.escape(message)):
        method.adapt(Nothing() if "Nothing" in message else Weights())
