"""`out_indices` says which layers there are, and equals what was asked for: a list or a tuple, negative or not."""

import copy
import pickle
from functools import partial

import pytest
import torch

from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.contracts.backbone import contract_of
from geocompose.registry import BACKBONE_REGISTRY
from tests.kit.factory import TINY, build

BUILDERS = {
    "prithvi": (partial(build_prithvi, "prithvi_eo_v2_300", **TINY), 6),
    "a vision transformer of timm": (partial(BACKBONE_REGISTRY.build, "timm_test_vit"), 6),
    "a pyramid of timm": (partial(BACKBONE_REGISTRY.build, "timm_test_resnet"), 5),
    "smp": (partial(BACKBONE_REGISTRY.build, "smp_mobilenet_v2"), 5),
    "UNet": (partial(BACKBONE_REGISTRY.build, "UNet", out_channels=8), 5),
    "transformers": (partial(BACKBONE_REGISTRY.build, "transformers_dinov2", kwargs={"num_hidden_layers": 3}), 4),
}


@pytest.mark.parametrize(("make", "depth"), BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("given", [[1, 2], (1, 2), (1, -1), [-2]])
def test_they_equal_what_was_asked_for(make, depth, given):
    backbone = make(out_indices=given)
    assert backbone.out_indices == given
    assert given == backbone.out_indices
    assert backbone.out_indices == tuple(number % depth for number in given)
    assert list(backbone.out_indices) == [number % depth for number in given]
    assert backbone.out_indices != [0]
    assert contract_of(backbone).out_indices == tuple(backbone.out_indices)
    assert len(backbone.out_channels) == len(given)


@pytest.mark.parametrize(("make", "depth"), BUILDERS.values(), ids=BUILDERS)
def test_without_a_wish_they_say_which_layers_are_returned(make, depth):
    backbone = make()
    assert len(backbone.out_indices) == len(backbone.out_channels)
    assert backbone.out_indices[-1] == depth - 1


def test_they_equal_what_was_asked_for_through_the_factory():
    model = build(backbone_kwargs=TINY, backbone_out_indices=(2, 5))
    assert model.encoder.out_indices == (2, 5)


def test_numbers_of_layers_are_a_list_like_any_other():
    numbers = LayerNumbers([2, 5, 11], 12)
    assert numbers == (2, 5, -1)
    assert numbers != (2, -5, -1)
    assert numbers != "2, 5, 11"
    assert numbers != [2, 5]
    assert numbers != [2, 5, None]
    for other in (copy.deepcopy(numbers), pickle.loads(pickle.dumps(numbers))):
        assert other == (2, 5, -1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(numbers)


@pytest.mark.parametrize("name", ["prithvi", "a vision transformer of timm"])
def test_a_backbone_of_chosen_layers_is_exported(name):
    make, _ = BUILDERS[name]
    backbone = make(out_indices=(0, -1)).eval()
    image = torch.randn(1, backbone.in_chans, *backbone.img_size)
    exported = torch.export.export(backbone, (image,)).module()
    with torch.no_grad():
        for one, other in zip(exported(image), backbone(image), strict=True):
            torch.testing.assert_close(one, other)
