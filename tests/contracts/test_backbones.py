"""Every option of conf/backbone, in small and in full: features as declared, and what a module owes.

In other forms too: with prompts, through time, with a choice of layers.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.catalog.prithvi import VARIANTS
from geocompose.contracts.features import common_multiple
from geocompose.contracts.meta import unused
from tests.kit.owed import check_copies, check_export, check_gradients, check_state
from tests.kit.small import (
    BACKBONES,
    FAMILIES,
    LARGE,
    alike,
    backbone,
    content,
    coordinates,
    full_backbone,
    image,
    marked,
    marks,
    shape_of,
)

BANDS = (6, 1, 3, 13)
FRAMES = 2


def through_time(name: str, pooling: str, bands: int = 6) -> nn.Module:
    return TemporalBackbone(backbone(name, bands), pooling=pooling, n_timestamps=FRAMES)  # type: ignore[arg-type]


# Every option, and the forms that options have beside their own.
FORMS: Mapping[str, Callable[..., nn.Module]] = {
    **{name: partial(backbone, name) for name in BACKBONES},
    "prithvi with prompts": partial(backbone, "prithvi", vpt=True, vpt_n_tokens=3, vpt_dropout=0.1),
    "prithvi in frames": partial(backbone, "prithvi", num_frames=FRAMES),
    **{f"{name} through time": partial(through_time, name, "concat") for name in FAMILIES},
    **{f"prithvi through time, {pooling}": partial(through_time, "prithvi", pooling) for pooling in ("mean", "max",
        "diff", "attention")},
}  # fmt: skip
MARKED_FORMS = [pytest.param(form, marks=marks(form.partition(" ")[0]), id=form) for form in FORMS]
# Options that are in small what another one is: computed in full below, and slow here.
ALIKE = alike()
# smp has no smaller ones of these, and one code leads to all of smp's encoders: smp and smp_mit_b0 stand for them here.
# Each is computed, and learns in all its layers, in the tests of full size below.
OF_ONE_SIZE = ("smp_densenet121", "smp_mobileone", "smp_vgg13")
# What the passage through time tells apart in a backbone: tokens with coordinates, maps, channels last, several
# modalities. The other families through time are as these, and slow.
IN_TIME = ("prithvi", "resnet50", "swin", "fusion")


def _repeats(form: str) -> bool:
    family, in_time, more = form.partition(" through time")
    return form in ALIKE or form in OF_ONE_SIZE or (in_time != "" and more == "" and family not in IN_TIME)


APART = [
    pytest.param(form, id=form, marks=[*marks(form.partition(" ")[0]), *([pytest.mark.slow] if _repeats(form) else [])])
    for form in FORMS
]
# What a family's backbone owes beside its features, its model owes in test_pairs.py: here that is slow.
OWED = [
    pytest.param(*case.values, id=case.id, marks=[*case.marks, *([pytest.mark.slow] if case.id in FAMILIES else [])])
    for case in APART
]
# Export takes seconds, and is a library's or a family's doing: here Prithvi in its forms and the most branched network.
EXPORTED = [
    pytest.param(*case.values, id=case.id, marks=case.marks)
    if str(case.id).startswith("prithvi") or case.id == "hrnet"
    else pytest.param(*case.values, id=case.id, marks=[*case.marks, pytest.mark.slow])
    for case in OWED
]
WITH_LAYERS = [name for name in BACKBONES if "out_indices" in content("backbone", name)]


def frames_of(encoder: nn.Module) -> int | None:
    frames = getattr(encoder, "num_frames", 1)
    return frames if frames > 1 else None


def run(encoder: nn.Module, batch: int = 2, rows: int = 64, columns: int = 64) -> list[Tensor]:
    frames = frames_of(encoder)
    bands: Any = encoder.in_chans
    return encoder(image(bands, batch, rows, columns, frames), **coordinates(encoder, batch, frames or 1))


def unit(encoder: nn.Module) -> int:
    """Return the least number of pixels, 32 or more, that every level divides; half of the only size it takes."""
    if getattr(encoder, "fixed_size", False):
        return encoder.img_size[0] // 2  # type: ignore[index,operator,union-attr]
    step = common_multiple(encoder.feature_specs)  # type: ignore[arg-type]
    return step * math.ceil(32 / step)


def run_square(encoder: nn.Module) -> list[Tensor]:
    return run(encoder, 2, 2 * unit(encoder), 2 * unit(encoder))


def test_the_options_of_backbones_are_found():
    assert len(BACKBONES) >= 16
    assert set(LARGE) <= set(BACKBONES)
    assert len(FAMILIES) >= 8


def test_every_published_prithvi_is_an_option():
    assert set(VARIANTS) <= set(BACKBONES)


@pytest.mark.parametrize("form", APART)
def test_features_are_as_declared_for_any_number_of_bands_batch_and_shape_of_image(form):
    for bands in BANDS if form in FAMILIES else (BANDS[0], BANDS[-1]):
        encoder = FORMS[form](bands=bands)
        specs = list(encoder.feature_specs)
        assert [spec.channels for spec in specs] == list(encoder.out_channels)
        pixels = unit(encoder)
        sizes = ((1, 2, 2), (3, 1, 3), (3, 3, 1)) if bands == BANDS[0] else ((1, 1, 2),)
        if getattr(encoder, "fixed_size", False):
            sizes = tuple((batch, 2, 2) for batch, _, _ in sizes)
        for training in (False, True) if bands == BANDS[0] else (False,):
            encoder.train(training)
            for batch, down, across in sizes:
                rows, columns = down * pixels, across * pixels
                with torch.no_grad():
                    features = run(encoder, batch, rows, columns)
                assert isinstance(features, list | tuple)
                expected = [shape_of(spec, batch, rows, columns) for spec in specs]
                assert [tuple(feature.shape) for feature in features] == expected
                assert all(feature.isfinite().all() for feature in features)


@pytest.mark.parametrize("form", MARKED_FORMS)
def test_gradients_reach_every_parameter_of_a_backbone_that_learns(form):
    check_gradients(FORMS[form](), run_square)


@pytest.mark.parametrize("form", OWED)
def test_a_backbone_is_copied_pickled_and_stored(form):
    check_copies(FORMS[form](), run_square)
    check_state(FORMS[form](), FORMS[form](), run_square)


@pytest.mark.parametrize("form", EXPORTED)
def test_a_backbone_is_exported(form):
    encoder = FORMS[form]()
    frames, size = frames_of(encoder), 2 * unit(encoder)
    check_export(
        encoder, (image(encoder.in_chans, 2, size, size, frames), *coordinates(encoder, 2, frames or 1).values())
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=name, marks=[*marks(name), *([] if name in (*FAMILIES, "hrnet") else [pytest.mark.slow])])
        for name in WITH_LAYERS
    ],
)
def test_a_chosen_layer_is_the_same_whatever_is_chosen_beside_it_and_only_what_it_needs_learns(name):
    two, one = backbone(name, out_indices=[1, -1]).eval(), backbone(name, out_indices=[-1]).eval()
    missing = one.load_state_dict(two.state_dict(), strict=False).missing_keys
    assert missing == []
    assert (len(two.out_channels), len(one.out_channels)) == (2, 1)
    with torch.no_grad():
        assert torch.equal(run_square(two)[-1], run_square(one)[-1])
    for chosen in ([1], [1, -1]):
        check_gradients(backbone(name, out_indices=chosen), run_square)


@pytest.mark.parametrize("name", [marked("backbone", name) for name in BACKBONES])
def test_a_backbone_of_full_size_returns_what_it_declares_and_learns_in_all_its_layers(name):
    with torch.device("meta"):
        encoder = full_backbone(name)()
        assert (sum(p.numel() for p in encoder.parameters()) > 50e6) == (name in LARGE), "mend LARGE"
        features = run_square(encoder.train())
    rows = 2 * unit(encoder)
    assert [tuple(f.shape) for f in features] == [shape_of(spec, 2, rows, rows) for spec in encoder.feature_specs]
    parameters = dict(encoder.named_parameters())
    assert set(unused(features, parameters)) == {key for key, value in parameters.items() if not value.requires_grad}


@pytest.mark.parametrize("name", [name for name in LARGE if name in VARIANTS])
def test_a_large_backbone_computes_at_its_full_width_with_few_layers(name):
    encoder = full_backbone(name, depth=2)().eval()
    assert encoder.embed_dim == VARIANTS[name].embed_dim
    with torch.no_grad():
        assert all(feature.isfinite().all() for feature in run_square(encoder))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[*marks(name), *([] if name in FAMILIES else [pytest.mark.slow])], id=name)
        for name in BACKBONES
    ],
)
def test_a_backbone_of_full_size_computes(name):
    encoder = full_backbone(name)().eval()
    rows = 2 * unit(encoder)
    with torch.no_grad():
        features = run(encoder, 1, rows, rows)
    assert [tuple(f.shape) for f in features] == [shape_of(spec, 1, rows, rows) for spec in encoder.feature_specs]
    assert all(feature.isfinite().all() for feature in features)
