"""Every full model, in small: outputs in the image's shape, for any bands, batch and shape; what a module owes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.registry import FULL_MODEL_REGISTRY
from tests.kit.owed import check_copies, check_export, check_gradients, check_state
from tests.kit.small import band_names, coordinates, image

NAMES = list(FULL_MODEL_REGISTRY)
# One without coordinates and one with them; the others are these in other sizes, which SMALL takes from them again.
OF_EACH_KIND = ("prithvi_eo_v1_100_mae", "prithvi_eo_v2_tiny_tl_mae")
IN_SHORT = [pytest.param(name, marks=[] if name in OF_EACH_KIND else [pytest.mark.slow]) for name in NAMES]
SMALL: dict[str, Any] = {
    "embed_dim": 48, "depth": 2, "num_heads": 4, "img_size": 64,
    "decoder_embed_dim": 32, "decoder_depth": 2, "decoder_num_heads": 4,
}  # fmt: skip


def built(name: str, bands: int = 6, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return FULL_MODEL_REGISTRY.build(name, **{**SMALL, "bands": band_names(bands), **changes})


def given(model: nn.Module, batch: int, down: int, across: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return an image of so many patches and the coordinates that the model takes."""
    encoder: Any = model.encoder
    patch, frames = encoder.patch_size[1], encoder.num_frames
    images = image(encoder.in_chans, batch, down * patch, across * patch, frames if frames > 1 else None)
    return images, coordinates(encoder, batch, frames)


def run(model: nn.Module) -> list[Tensor]:
    itself = getattr(model, "module", model)  # within a moving average
    images, more = given(itself, 2, 3, 4)
    noise = torch.rand(2, 12 * itself.encoder.num_frames, generator=torch.Generator().manual_seed(0))
    losses, prediction, mask = model(images, **more, noise=noise)
    return [*losses.values(), prediction, mask]


def test_the_full_models_are_found():
    assert len(NAMES) >= 7


@pytest.mark.parametrize("name", IN_SHORT)
def test_predictions_have_the_shape_of_the_image_for_any_number_of_bands_and_frames(name):
    for bands, frames in ((6, 1), (1, 1), (3, 2), (13, 1)):
        model = built(name, bands, num_frames=frames)
        for training, batch, down, across in ((False, 1, 4, 4), (True, 3, 2, 5), (False, 1, 5, 2)):
            images, more = given(model.train(training), batch, down, across)
            with torch.no_grad():
                losses, prediction, mask = model(images, **more)
            assert prediction.shape == images.shape
            assert mask.shape == (batch, *images.shape[2:])
            assert all(value.ndim == 0 and value.isfinite() for value in losses.values())


@pytest.mark.parametrize("name", IN_SHORT)
def test_a_full_model_learns_in_all_its_parameters_and_is_copied_averaged_stored_and_exported(name):
    check_gradients(built(name, num_frames=2), lambda model: run(model)[:1])
    model = built(name, num_frames=2)
    images, more = given(model, 2, 3, 4)
    noise = torch.rand(2, 24, generator=torch.Generator().manual_seed(0))
    dates, place = (more.get(key) for key in ("temporal_coords", "location_coords"))
    check_export(model, (images, dates, place, None, noise), lambda out: [out[0]["loss"], *out[1:]])
    check_copies(model, run, average=True)
    check_state(model, built(name, num_frames=2), run)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_model_of_full_size_fits_together(name):
    with torch.device("meta"):
        model = FULL_MODEL_REGISTRY.build(name)
        images, more = given(model, 1, 16, 16)
        losses, prediction, _ = model(images, **more)
    assert prediction.shape == images.shape
    assert losses["loss"].shape == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_full_model_of_full_size_computes(name):
    model = FULL_MODEL_REGISTRY.build(name).eval()
    images, more = given(model, 1, 16, 16)
    with torch.no_grad():
        losses, prediction, _ = model(images, **more)
    assert prediction.isfinite().all()
    assert losses["loss"].isfinite()
