"""Every backbone with every decoder: composed without weights, and computed with where the backbones differ in kind."""

from collections.abc import Mapping
from functools import cache

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor, nn

from geocompose.contracts.meta import meta_forward, meta_image
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models import PixelWiseModel
from geocompose.planning import AutoNecks
from tests.kit.owed import check_copies, check_export, check_gradients, check_state
from tests.kit.small import (
    BACKBONES,
    CLASSES,
    DECODERS,
    FAMILIES,
    decoder,
    fresh_backbone,
    image,
    kept_backbone,
    marked,
    marks,
)

# Pairs that are refused, and with what words; none is. What is mended has to leave this table.
REFUSED: Mapping[tuple[str, str], str] = {}
AVAILABLE = [name for name in BACKBONES if not any(mark.name == "skip" for mark in marks(name))]
# Tokens of our own, five levels, channels last, tokens of timm as maps, four levels.
KINDS = ["prithvi", "resnet50", "swin", "vit", "convnext"]
# Once in order, channels last are the maps of convnext, tokens of timm as maps are those of prithvi, and four levels
# are five less one: each decoder is tried with prithvi and resnet50, and the others with decoders of one map, of four
# and of all levels. The other pairs are slow.
ALIKE, SHORT = ("swin", "vit", "convnext"), ("fcn", "upernet", "unet")


def _pair(one: str, other: str) -> ParameterSet:
    slow = [pytest.mark.slow] if one in ALIKE and other not in SHORT else []
    return pytest.param(one, other, id=f"{one}-{other}", marks=[*marks(one, other), *slow])


PAIRS = [_pair(one, other) for one in KINDS for other in DECODERS]
# Of all pairs, those of each kind of backbone with every decoder, and of every backbone with decoders that read all
# levels, and a map at its own size; the rest is slow, and what `action=doctor` tries.
READ_ALIKE = ("unet", "linear")


def _composed_pair(one: str, other: str) -> ParameterSet:
    slow = [] if one in KINDS or other in READ_ALIKE else [pytest.mark.slow]
    return pytest.param(one, other, id=f"{one}-{other}", marks=[*marks(one, other), *slow])


def levels(name: str) -> int:
    """Return how many features a decoder gets that reads them all: four chosen layers, or a pyramid's levels."""
    strides = [spec.stride for spec in kept_backbone(name).feature_specs]
    return 4 if len(set(strides)) == 1 else len(strides)


def compose(name: str, decoder_name: str) -> PixelWiseModel:
    with torch.device("meta"):
        model = EncoderDecoderFactory(image_size=(64, 64)).build_model(
            task="segmentation",
            backbone=lambda: fresh_backbone(name),
            decoder=decoder(decoder_name, levels=levels(name)),
            num_classes=CLASSES,
            necks=AutoNecks(),
        )
    assert isinstance(model, PixelWiseModel)
    return model


def built(name: str, decoder_name: str, size: tuple[int, int] = (64, 64)) -> PixelWiseModel:
    torch.manual_seed(0)
    model = EncoderDecoderFactory(image_size=size, coordinates=()).build_model(
        task="segmentation",
        backbone=lambda: fresh_backbone(name),
        decoder=decoder(decoder_name, levels=levels(name)),
        num_classes=CLASSES,
        necks="auto",
    )
    assert isinstance(model, PixelWiseModel)
    return model


def run(model: nn.Module) -> list[Tensor]:
    return [model(image(6, 2, 50, 70)).output]


@cache
def composed(kind: object, name: str, decoder_name: str) -> tuple[int, ...]:
    """Return the shape of the logits; worked out once for backbones with the same features."""
    return tuple(meta_forward(compose(name, decoder_name), meta_image(6, 1, (64, 64))).output.shape)


@pytest.mark.parametrize(
    ("name", "decoder_name"), [_composed_pair(name, other) for name in BACKBONES for other in DECODERS]
)
def test_a_backbone_and_a_decoder_give_logits_of_the_image_size(name, decoder_name):
    features = tuple(kept_backbone(name).feature_specs)
    like = next(other for other in AVAILABLE if tuple(kept_backbone(other).feature_specs) == features)
    if (name, decoder_name) in REFUSED:
        with pytest.raises(UserError, match=REFUSED[name, decoder_name]):
            compose(name, decoder_name)
    else:
        assert composed(features, like, decoder_name) == (1, CLASSES, 64, 64)


@pytest.mark.parametrize(("name", "decoder_name"), PAIRS)
def test_a_pair_computes_on_images_of_any_shape_and_learns(name, decoder_name):
    model = built(name, decoder_name)
    with torch.no_grad():
        for training, batch, rows, columns in (
            (False, 1, 64, 64),
            (False, 1, 64, 96),
            (False, 1, 96, 64),
            (True, 1, 64, 96),
        ):
            logits = model.train(training)(image(6, batch, rows, columns)).output
            assert logits.shape == (batch, CLASSES, rows, columns)
            assert logits.isfinite().all()
        together = model.eval()(image(6, 3, 50, 37)).output
        alone = torch.cat([model(one).output for one in image(6, 3, 50, 37).split(1)])
    assert together.shape == (3, CLASSES, 50, 37)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    check_gradients(model, run)


@pytest.mark.parametrize("name", [marked("backbone", name) for name in FAMILIES])
def test_a_model_of_a_backbone_is_copied_averaged_stored_and_exported(name):
    model, other = built(name, "mlp"), built(name, "mlp")
    check_export(model, (image(6, 2, 50, 70),), lambda returned: [returned.output])
    check_copies(model, run, average=True)
    check_state(model, other, run)
