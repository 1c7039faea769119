"""Every backbone with every decoder: built, shaped, trained, copied and stored as a model must be."""

import copy
import pickle
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from geocompose.assembly import instantiate
from geocompose.bands import HLS_BANDS
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups, options
from geocompose.factory import EncoderDecoderFactory
from geocompose.models import PixelWiseModel
from geocompose.planning import AutoNecks
from geocompose.probing import meta_forward, meta_image

CONF = Path(__file__).resolve().parents[2] / "conf"
BACKBONES, DECODERS = options(CONF, "backbone"), options(CONF, "decoder")
CLASSES = 3

# An option whose name is `???` gets one.
NAMES = {"timm": ["backbone.name=test_resnet"]}


@lru_cache(maxsize=64)
def option(group: str, name: str, *overrides: str) -> Mapping[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=[f"{group}={name}", *overrides]), groups(CONF))[group]


@lru_cache(maxsize=64)
def encoder(backbone: str) -> nn.Module:
    """Return the option's backbone on the meta device; Prithvi shallow, because only widths and patches matter here."""
    shallow = ["backbone.depth=4", "backbone.img_size=64"] if backbone.startswith("prithvi") else []
    with torch.device("meta"):
        return constructor(backbone, *shallow)()


def constructor(backbone: str, *overrides: str) -> Any:
    return instantiate({**option("backbone", backbone, *NAMES.get(backbone, []), *overrides), "bands": list(HLS_BANDS)})


def on_meta(backbone: Any, decoder: str) -> PixelWiseModel:
    with torch.device("meta"):
        return EncoderDecoderFactory(image_size=(64, 64)).build_model(
            task="segmentation",
            backbone=backbone,
            decoder=instantiate(option("decoder", decoder)),
            num_classes=CLASSES,
            necks=AutoNecks(),
        )


def test_the_options_are_found():
    assert len(BACKBONES) >= 14
    assert len(DECODERS) >= 8


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_and_a_decoder_give_logits_of_the_image_size(backbone, decoder):
    model = on_meta(encoder(backbone), decoder)
    assert isinstance(model, PixelWiseModel)
    logits = meta_forward(model, meta_image(len(HLS_BANDS), 1, (64, 64))).output
    assert logits.shape == (1, CLASSES, 64, 64)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_builds_at_its_full_depth_and_learns_in_all_its_layers(backbone):
    model = on_meta(constructor(backbone), "upernet")
    logits = model.eval()(torch.empty(1, len(HLS_BANDS), 64, 64, device="meta")).output
    assert logits.shape == (1, CLASSES, 64, 64)
    # The scales of date and place learn only where coordinates are given, and images alone give none.
    still = {name for name, parameter in model.encoder.named_parameters() if not parameter.requires_grad}
    assert still <= {"temporal_embed_enc.scale", "location_embed_enc.scale"}


# Small ones with real weights: tokens of our own, five levels, tokens of timm as maps, channels-last inside.
SMALL: Mapping[str, tuple[str, dict[str, Any]]] = {
    "prithvi": ("prithvi_eo_v2_300", {"embed_dim": 48, "depth": 4, "num_heads": 4, "img_size": 64}),
    "resnet": ("timm_test_resnet", {"in_chans": 6}),
    "vit": ("timm_test_vit", {"in_chans": 6}),
    "convnext": ("timm_test_convnext", {"in_chans": 6}),
}
NARROW: Mapping[str, list[str]] = {
    "fcn": ["decoder.channels=8"],
    "upernet": ["decoder.channels=8"],
    "smp_fpn": ["decoder.kwargs.pyramid_channels=32", "decoder.kwargs.segmentation_channels=32"],
    "smp_deeplabv3plus": ["decoder.kwargs.out_channels=8"],
}
PAIRS = [pytest.param(backbone, decoder, id=f"{backbone}-{decoder}") for backbone in SMALL for decoder in DECODERS]


@lru_cache(maxsize=64)
def built(backbone: str, decoder: str) -> PixelWiseModel:
    name, kwargs = SMALL[backbone]
    torch.manual_seed(0)
    return EncoderDecoderFactory(image_size=(64, 64)).build_model(
        task="segmentation",
        backbone=name,
        backbone_kwargs=kwargs,
        decoder=instantiate(option("decoder", decoder, *NARROW.get(decoder, []))),
        num_classes=CLASSES,
        necks="auto",
    )


def small(backbone: str, decoder: str) -> PixelWiseModel:
    return copy.deepcopy(built(backbone, decoder))


def image(batch: int = 1, rows: int = 64, columns: int = 64) -> Tensor:
    return torch.randn(batch, 6, rows, columns, generator=torch.Generator().manual_seed(batch * rows + columns))


def output(model: nn.Module, batch: int = 1) -> Tensor:
    with torch.no_grad():
        return model(image(batch)).output


def shake(model: nn.Module) -> None:
    """Change every weight as another training step would."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_logits_have_the_size_of_a_square_wide_tall_or_indivisible_image(backbone, decoder):
    model = small(backbone, decoder)
    for training in (False, True):
        model.train(training)
        for batch, rows, columns in ((1, 64, 64), (3, 64, 160), (1, 160, 64), (3, 50, 37)):
            logits = output_of(model, batch, rows, columns)
            assert logits.shape == (batch, CLASSES, rows, columns)
            assert logits.isfinite().all()


def output_of(model: nn.Module, batch: int, rows: int, columns: int) -> Tensor:
    with torch.no_grad():
        return model(image(batch, rows, columns)).output


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_in_evaluation_an_image_does_not_depend_on_its_batch(backbone, decoder):
    model = small(backbone, decoder).eval()
    together = output(model, batch=3)
    with torch.no_grad():
        alone = torch.cat([model(one).output for one in image(3).split(1)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_gradients_reach_every_parameter_that_learns(backbone, decoder):
    model = small(backbone, decoder).train()
    model(image(2)).output.square().mean().backward()
    unreached = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    assert unreached == []
    assert any(parameter.grad.abs().sum() > 0 for parameter in model.encoder.parameters() if parameter.grad is not None)


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_copies_give_the_same_output_and_have_weights_of_their_own(backbone, decoder):
    model = small(backbone, decoder).eval()
    before = output(model)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(output(copied), before)
        shake(copied)
        assert not torch.equal(output(copied), before)
        assert torch.equal(output(model), before)


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_a_moving_average_follows_the_model_and_leaves_it_alone(backbone, decoder):
    model = small(backbone, decoder).eval()
    averaged = AveragedModel(model, avg_fn=lambda _, new, __: new, use_buffers=True).eval()
    before = output(model)
    assert torch.equal(output(averaged), before)
    shake(model)
    after = output(model)
    assert torch.equal(output(averaged), before)
    averaged.update_parameters(model)  # the first only copies
    assert torch.equal(output(averaged), after)


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_a_state_dict_carries_a_whole_model_over(backbone, decoder):
    model, other = small(backbone, decoder).eval(), small(backbone, decoder).eval()
    shake(model)
    assert not torch.equal(output(other), output(model))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(output(other), output(model))
