"""Every registered neck within a model: features as wide as it says, images of any shape, what a module owes.

Their values by definition, and what each owes alone, are in tests/necks/.
"""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.factory import EncoderDecoderFactory
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.registry import NECK_REGISTRY
from tests.kit.owed import check_copies, check_export, check_gradients, check_state
from tests.kit.small import image, stand_in

# The list in which a neck is tried, and the stand-in whose features it takes. A new neck needs a row.
LISTS: Mapping[str, tuple[str, list[dict[str, Any]]]] = {
    "AddBottleneckLayer": ("pyramid", [{"name": "AddBottleneckLayer"}]),
    "AddInputLevel": ("pyramid", [{"name": "AddInputLevel"}]),
    "AggregateTokens": ("tokens", [{"name": "AggregateTokens", "index": None}]),
    "FeaturePyramidNetworkNeck": ("pyramid", [{"name": "FeaturePyramidNetworkNeck", "out_channel": 16}]),
    "FlattenMapsToTokens": ("one scale", [{"name": "FlattenMapsToTokens"}, {"name": "ReshapeTokensToImage",
        "num_prefix_tokens": 0}]),
    "InterpolateToPyramidal": ("one scale", [{"name": "InterpolateToPyramidal"}]),
    "LearnedInterpolateToPyramidal": ("one scale", [{"name": "LearnedInterpolateToPyramidal"}]),
    "MaxpoolToPyramidal": ("one scale", [{"name": "MaxpoolToPyramidal"}]),
    "PermuteDims": ("pyramid", [{"name": "PermuteDims", "new_order": [0, 2, 3, 1]}, {"name": "PermuteDims",
        "new_order": [0, 3, 1, 2]}]),
    "ProjectChannels": ("pyramid", [{"name": "ProjectChannels", "channels": 24}]),
    "ReshapeTokensToImage": ("tokens", [{"name": "ReshapeTokensToImage"}]),
    "SelectIndices": ("pyramid", [{"name": "SelectIndices", "indices": [2, 0]}]),
}  # fmt: skip
OF_IMAGES = {"AggregateTokens"}


def built(name: str) -> EncoderDecoderModel:
    features, necks = LISTS[name]
    torch.manual_seed(0)
    return EncoderDecoderFactory(image_size=(64, 64)).build_model(
        task="classification" if name in OF_IMAGES else "segmentation",
        backbone=stand_in(features),
        decoder="MLPDecoder",
        decoder_channels=8,
        num_classes=3,
        necks=necks,
    )


def run(model: nn.Module) -> list[Tensor]:
    return [model(image(3, 2, 50, 70)).output]


def test_every_registered_neck_is_tried():
    assert set(LISTS) == set(NECK_REGISTRY)


@pytest.mark.parametrize("name", LISTS)
def test_features_are_as_wide_as_a_neck_says_for_images_of_any_shape(name):
    model = built(name)
    seen: list[list[Tensor]] = []
    model.neck[-1].register_forward_hook(lambda _, __, out: seen.append(out))
    widths = model.encoder.out_channels
    for neck in model.neck:
        widths = neck.process_channel_list(widths)
    for training, batch, rows, columns in (
        (False, 1, 64, 64),
        (True, 3, 64, 160),
        (False, 1, 160, 64),
        (True, 3, 50, 37),
    ):
        with torch.no_grad():
            output = model.train(training)(image(3, batch, rows, columns)).output
        assert output.shape == ((batch, 3) if name in OF_IMAGES else (batch, 3, rows, columns))
        assert output.isfinite().all()
        assert [feature.shape[1] for feature in seen.pop()] == widths


@pytest.mark.parametrize("name", LISTS)
def test_a_model_with_a_neck_learns_in_all_its_parameters_and_is_copied_averaged_stored_and_exported(name):
    check_gradients(built(name), run)
    model = built(name)
    check_export(model, (image(3, 2, 50, 70),), lambda returned: [returned.output])
    check_copies(model, run, average=True)
    check_state(model, built(name), run)
