"""The table of what PEFT can't do: each row is held against the library, and what is not in it works."""

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from peft import get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from segmentation_models_pytorch.encoders._efficientnet import Conv2dStaticSamePadding
from timm.layers import Conv2dSame, StdConv2d
from torch import Tensor, nn

from geocompose.catalog.peft_refusals import (
    LINEAR_ONLY,
    NOT_MERGED,
    OF_LANGUAGE_MODELS,
    REFUSALS,
    UNUSABLE,
    WITH_CONVOLUTIONS,
    Layer,
)
from geocompose.errors import UserError
from geocompose.peft.layers import kind_of
from geocompose.peft.library import keeps_outputs_at_start
from geocompose.peft.merging import merge

LAYERS: Mapping[Layer, nn.Module] = {
    "linear layer": nn.Linear(16, 32),
    "1x1 convolution": nn.Conv2d(16, 32, 1),
    "convolution": nn.Conv2d(16, 32, 3, padding=1),
    "convolution in groups": nn.Conv2d(16, 32, 3, padding=1, groups=4),
    "depthwise convolution": nn.Conv2d(16, 16, 3, padding=1, groups=16),
    "padding convolution": Conv2dSame(16, 32, 3, stride=2),
    "statically padding convolution": Conv2dStaticSamePadding(16, 32, 3, stride=2, image_size=8),
    "standardising convolution": StdConv2d(16, 32, 3, padding=1),
    "3D convolution": nn.Conv3d(16, 32, (1, 4, 4)),
    "norm": nn.LayerNorm(16),
    "multi-head attention": nn.MultiheadAttention(16, 4, batch_first=True),
}
# Small enough for these layers; without that, a method refuses them for their sizes.
SMALL: Mapping[str, dict[str, Any]] = {
    "ADALORA": {"total_step": 9},
    "C3A": {"block_size": 4, "init_weights": True},
    "FOURIERFT": {"n_frequency": 8, "init_weights": True},
    "IA3": {"feedforward_modules": []},
    "MISS": {"r": 4},
    "PSOFT": {"r": 4},
    "RANDLORA": {"r": 4},
    "ROAD": {"group_size": 4},
    "VBLORA": {"vector_length": 4, "num_vectors": 8},
}
METHODS = sorted({*LINEAR_ONLY, *WITH_CONVOLUTIONS})


class OneLayer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.thrice = isinstance(layer, nn.MultiheadAttention)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x, x)[0] if self.thrice else self.layer(x)


def image_for(layer: nn.Module) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    if isinstance(layer, nn.Conv3d):
        return torch.randn(2, 16, 1, 8, 8, generator=draw)
    return torch.randn((2, 16, 8, 8) if isinstance(layer, nn.Conv2d) else (2, 5, 16), generator=draw)


def adapted(method: str, kind: Layer) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a layer under a method, an input, and what the layer alone makes of it."""
    torch.manual_seed(0)
    whole = OneLayer(copy.deepcopy(LAYERS[kind])).eval()
    x = image_for(whole.layer)
    with torch.no_grad():
        alone = whole(x)
    name, more = ("LORA", {"use_dora": True}) if method == "DORA" else (method, SMALL.get(method, {}))
    (config,) = (config for key, config in PEFT_TYPE_TO_CONFIG_MAPPING.items() if key.value == name)
    return get_peft_model(whole, config(target_modules=["layer"], **more)).eval(), x, alone


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_of_its_kind(kind):
    assert kind_of(LAYERS[kind]) == kind


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore")  # the library's own
def test_a_method_does_with_a_kind_of_layer_what_the_table_says(method):
    for kind in LAYERS:
        works = starts_as_the_layer(method, kind)
        assert works == ((method, kind) not in REFUSALS), kind


def starts_as_the_layer(method: str, kind: Layer) -> bool:
    """Return whether PEFT adapts such a layer, begins as it, and has something in it learn."""
    try:
        model, x, alone = adapted(method, kind)
        output = model(x)
        output.square().sum().backward()
    except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, AssertionError):
        return False
    same = output.shape == alone.shape and torch.allclose(output, alone, atol=1e-5)
    return keeps_outputs_at_start(method, SMALL.get(method, {})) == same


def test_the_table_shows_why_oft_is_refused_on_convolutions():
    model, x, alone = adapted("OFT", "convolution")
    assert (model(x) - alone).abs().max() > 1
    model, x, alone = adapted("OFT", "1x1 convolution")
    torch.testing.assert_close(model(x), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("method", "kind"), list(NOT_MERGED))
@pytest.mark.filterwarnings("ignore")
def test_what_the_table_says_is_not_merged_is_not(method, kind):
    model, x, _ = adapted(method, kind)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
        before = model(x)
    with pytest.raises(UserError, match=f"adapters of {method} can't be merged: .*layer is a {kind}"):
        merge(copy.deepcopy(model))
    try:  # as the library does it
        after = model.merge_and_unload()(x)
    except NotImplementedError:
        return
    assert (after - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (method, kind)
        for method in ("LORA", "DORA", "ADALORA", "VERA", "IA3", "OFT", "HRA", "LOHA", "LOKR", "HIRA")
        for kind in LAYERS
        if (method, kind) not in {**REFUSALS, **NOT_MERGED}
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_in_the_table_is_merged(method, kind):
    model, x, _ = adapted(method, kind)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05)
        before = model(x)
        torch.testing.assert_close(model.merge_and_unload()(x), before, atol=1e-5, rtol=1e-5)


def test_the_table_knows_every_method_of_the_library():
    known = {*METHODS, "LN_TUNING", *OF_LANGUAGE_MODELS, *UNUSABLE}
    assert {key.value for key in PEFT_TYPE_TO_CONFIG_MAPPING} == known - {"DORA"}


@pytest.mark.parametrize("method", UNUSABLE)
@pytest.mark.filterwarnings("ignore")
def test_what_the_table_says_cannot_be_used_cannot(method):
    with pytest.raises((RuntimeError, AttributeError)):
        used_without_memory(method, {"SHIRA": {"r": 4}, "WAVEFT": {"n_frequency": 8}}.get(method, {}))


def used_without_memory(method: str, arguments: dict[str, Any]) -> None:
    (config,) = (config for key, config in PEFT_TYPE_TO_CONFIG_MAPPING.items() if key.value == method)
    with torch.device("meta"):
        model = get_peft_model(OneLayer(nn.Linear(16, 32)), config(target_modules=["layer"], **arguments)).eval()
        assert model(torch.empty(2, 16)).shape == (2, 32)
    assert pickle.loads(pickle.dumps(model)) is not None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore")
def test_every_other_method_is_tried_without_memory(method):
    used_without_memory(*("LORA", {"use_dora": True}) if method == "DORA" else (method, SMALL.get(method, {})))
