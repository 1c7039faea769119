"""Adapters merged into their layers: a plain backbone with the same outputs."""

import copy
import pickle

import pytest
import torch
from torch import nn

from geocompose.errors import UserError
from geocompose.peft.merging import join_qkv, merge
from geocompose.peft.qkv import SplitQkv, split_qkv
from tests.kit.adapted import build, image, lora, with_noise

METHODS = {
    "LORA": {},
    "LORA with bias": {"bias": "all"},
    "LORA with DoRA": {"use_dora": True},
    "LORA, rank-stabilised": {"use_rslora": True},
    "IA3": {"feedforward_modules": ["mlp.fc2"]},
    "OFT": {"oft_block_size": 4},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_merged_backbone_has_the_names_of_a_plain_one_and_the_same_outputs(name):
    method = name.partition(" ")[0].rstrip(",")
    config = lora(method=method, **METHODS[name])
    if method != "LORA":
        del config["peft_config_kwargs"]["r"]
    model = with_noise(build(peft=config))
    with torch.inference_mode():
        before = model(image()).output
    model.encoder = merge(model.encoder)
    with torch.inference_mode():
        after = model(image()).output
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert model.state_dict().keys() == build().state_dict().keys()
    pickle.loads(pickle.dumps(copy.deepcopy(model)))


def test_what_was_split_is_one_layer_again_bit_by_bit():
    backbone = build().encoder
    before = copy.deepcopy(backbone.state_dict())
    names = split_qkv(backbone, "qkv")
    assert join_qkv(backbone) == names
    assert backbone.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_a_backbone_without_adapters_is_returned_as_it_is():
    backbone = build().encoder
    assert merge(backbone) is backbone


def test_a_layer_that_keeps_its_adapter_is_refused_by_its_name():
    class Kept(nn.Module):
        base_layer = nn.Linear(2, 2)

    backbone = nn.Sequential(nn.Linear(2, 2), Kept())
    with pytest.raises(UserError, match=r"left after merging, in 1: .*action.format=bundle, pt2 or onnx"):
        merge(backbone)


def test_split_layers_without_bias_are_joined_without():
    backbone = nn.ModuleDict({"qkv": SplitQkv(nn.Linear(4, 12, bias=False))})
    join_qkv(backbone)
    assert backbone["qkv"].bias is None
