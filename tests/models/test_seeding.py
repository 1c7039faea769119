"""A part starts from numbers of its own: which method, necks or backbone stand beside it changes nothing of it."""

import random

import numpy as np
import pytest
import torch

from geocompose.factory import EncoderDecoderFactory
from geocompose.from_config import seed_weights
from geocompose.models.seeding import PartSeeds
from geocompose.peft.lora import Lora
from geocompose.peft.methods import Frozen, FullFineTuning


def built(seed=0, peft=None, **changed):
    """The state of a small ViT with a decoder, a head and an auxiliary output."""
    arguments = {
        "task": "segmentation", "backbone": "timm_test_vit", "backbone_kwargs": {"out_indices": [1, 2, 3, 5]},
        "necks": "auto", "decoder": "UNetDecoder", "decoder_channels": [32, 32, 16, 16], "num_classes": 3,
        "aux_decoders": [{"name": "side", "decoder": "FCNDecoder"}],
    }  # fmt: skip
    torch.manual_seed(seed)
    model = EncoderDecoderFactory((64, 64)).build_model(**{**arguments, **changed}, peft_config=peft)
    return {name: value.clone() for name, value in model.state_dict().items()}


def of(part, state):
    return {name: value for name, value in state.items() if name.startswith(f"{part}.")}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def plain():
    return built(peft=FullFineTuning())


@pytest.fixture(scope="module", params=[Frozen(), Lora(r=2), Lora(r=8)], ids=["frozen", "lora r=2", "lora r=8"])
def adapted(request):
    return built(peft=request.param)


@pytest.mark.parametrize("part", ["neck", "decoder", "head", "aux_heads"])
def test_every_peft_option_starts_from_the_same_parts(part, adapted, plain):
    assert of(part, plain)
    assert equal(of(part, adapted), of(part, plain))


def test_a_part_does_not_depend_on_how_much_another_draws(plain):
    other = built(decoder="UNetDecoder", decoder_channels=[64, 32, 16, 16])
    assert not equal(of("decoder", other), of("decoder", plain))
    assert equal(of("aux_heads", other), of("aux_heads", plain))


def test_another_seed_starts_from_other_parts(plain):
    other = built(seed=1, peft=FullFineTuning())
    assert not equal(of("decoder", other), of("decoder", plain))


def test_parts_of_one_form_do_not_start_alike():
    seeds = PartSeeds(7)
    drawn = []
    for part in ("decoder", "auxiliary.one", "auxiliary.two"):
        with seeds.of(part):
            drawn.append(torch.rand(3))
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == 3


def drawn_by_all():
    return torch.rand(2).tolist(), random.random(), np.random.rand()  # noqa: NPY002 - what libraries draw from


def test_all_generators_are_as_before_afterwards():
    seed_weights(5)
    expected = drawn_by_all()
    seed_weights(5)
    with PartSeeds(1).of("backbone"):
        inside = drawn_by_all()
    assert torch.initial_seed() == 5
    assert drawn_by_all() == expected
    assert all(one != other for one, other in zip(inside, expected, strict=True))
