"""Prithvi's masked autoencoder by its definition, and its published weights, whole."""

import copy
import hashlib
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from geocompose.backbones.prithvi import weight_file
from geocompose.backbones.prithvi.builder import VARIANTS, build_prithvi
from geocompose.errors import UserError
from geocompose.imagery.bands import HLS_BANDS
from geocompose.models.prithvi_mae.autoencoder import PrithviMAE
from geocompose.models.prithvi_mae.masking import image_of, patches_of
from geocompose.models.prithvi_mae.variants import build_prithvi_mae
from geocompose.registry import FULL_MODEL_REGISTRY

ENCODER: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 4, "img_size": 64}
SMALL: dict[str, Any] = {**ENCODER, "decoder_embed_dim": 32, "decoder_depth": 2, "decoder_num_heads": 4}


def small(**changes: Any) -> PrithviMAE:
    torch.manual_seed(0)
    return build_prithvi_mae(**{"variant": "prithvi_eo_v2_300", **SMALL, **changes}).eval()


def image(channels: int = 6, frames: int | None = None, rows: int = 64, columns: int = 64) -> Tensor:
    shape = (2, channels, rows, columns) if frames is None else (2, channels, frames, rows, columns)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def by_hand(image: Tensor, frame: int, row: int, column: int, patch: int = 16) -> Tensor:
    """Return one patch's numbers by frame, row, column, band, one at a time."""
    values = [
        image[0, band, frame, row * patch + y, column * patch + x]
        for y in range(patch)
        for x in range(patch)
        for band in range(image.shape[1])
    ]
    return torch.stack(values)


def test_the_full_models_are_the_published_ones():
    assert set(FULL_MODEL_REGISTRY) >= {f"{name}_mae" for name in VARIANTS if name != "prithvi_eo_tiny"}
    with pytest.raises(UserError, match=r"There is no model 'prithvi_eo_tiny_mae'. Did you mean"):
        FULL_MODEL_REGISTRY.build("prithvi_eo_tiny_mae")


def test_the_300m_model_has_the_published_number_of_tensors():
    with torch.device("meta"):
        state = build_prithvi_mae("prithvi_eo_v2_300").state_dict()
    assert sum(key.startswith("encoder.") for key in state) == 294
    assert sum(key.startswith("decoder.") for key in state) == 104


# What it computes


@pytest.mark.parametrize("shape", [(6, 4, 64, 64), (6, 2, 32, 80), (3, 2, 48, 16)])
def test_a_patch_is_ordered_by_frame_row_column_and_band_and_patches_make_the_image_again(shape):
    picture = image(shape[0], *shape[1:])
    patches = patches_of(picture, (2, 16, 16))
    rows, columns = shape[2] // 16, shape[3] // 16
    frames = picture[:, :, :2]
    expected = torch.cat([by_hand(frames[:, :, t : t + 1], 0, rows - 1, 0) for t in range(2)])
    assert torch.equal(patches[0, (rows - 1) * columns], expected)
    assert torch.equal(image_of(patches, (shape[1] // 2, rows, columns), (2, 16, 16), shape[0]), picture)


@pytest.mark.parametrize("norm_pix_loss", [False, True])
def test_the_loss_is_the_mean_squared_error_over_removed_patches(norm_pix_loss):
    model = small(norm_pix_loss=norm_pix_loss)
    with torch.no_grad():
        losses, prediction, mask = model(image())
    errors = []
    for sample in range(2):
        for row in range(4):
            for column in range(4):
                if mask[sample, row * 16, column * 16]:
                    true, guess = (
                        by_hand(picture[sample : sample + 1].unsqueeze(2), 0, row, column)
                        for picture in (image(), prediction)
                    )
                    if norm_pix_loss:
                        true = (true - true.mean()) / (true.var() + 1e-6).sqrt()
                    errors.append((true - guess).square().mean())
    assert len(errors) == 2 * 12
    torch.testing.assert_close(losses["loss"], torch.stack(errors).mean())


def test_the_patches_with_the_smallest_noise_are_kept():
    noise = torch.rand(2, 16, generator=torch.Generator().manual_seed(1))
    _, _, mask = small()(image(), noise=noise)
    kept = (noise.argsort(dim=1)[:, :4]).sort(dim=1).values
    whole_patches = mask.unflatten(1, (4, 16)).unflatten(3, (4, 16))
    assert torch.equal(whole_patches.amin(dim=(2, 4)), whole_patches.amax(dim=(2, 4)))
    for sample in range(2):
        assert torch.equal((whole_patches[sample, :, 0, :, 0].flatten() == 0).nonzero().flatten(), kept[sample])


def test_removed_patches_do_not_reach_the_prediction():
    model = small()
    noise = torch.rand(2, 16)
    with torch.no_grad():
        _, prediction, mask = model(image(), noise=noise)
        _, blind, _ = model(torch.where(mask.bool().unsqueeze(1), torch.full_like(image(), 9.0), image()), noise=noise)
        _, other, _ = model(image() + 1, noise=noise)
    torch.testing.assert_close(blind, prediction)
    assert not torch.allclose(other, prediction)


@pytest.mark.parametrize(
    ("ratio", "patches", "removed"),
    [(0.75, 16, 12), (0, 16, 0), (0.5, 16, 8), (0.9, 10, 9), (1.0, 16, 16), (0.3, 10, 3)],
)
def test_a_ratio_removes_its_share_of_the_patches(ratio, patches, removed):
    model = small()
    _, _, mask = model(image(rows=32, columns=80) if patches == 10 else image(), mask_ratio=ratio)
    assert torch.equal(mask.sum(dim=(1, 2)) / 256, torch.full((2,), float(removed)))


def test_a_ratio_of_zero_is_a_ratio_of_zero():
    for model in (small(mask_ratio=0.0), small()):
        losses, _, mask = model(image(), mask_ratio=0)
        assert mask.sum() == 0
        assert losses["loss"] == 0
    assert small(mask_ratio=0.0)(image())[2].sum() == 0
    assert small(mask_ratio=0.5)(image())[2].mean() == 0.5


@pytest.mark.parametrize(("frames", "rows", "columns"), [(None, 64, 64), (None, 32, 80), (1, 64, 64), (3, 48, 64)])
def test_prediction_and_mask_have_the_image_s_shape(frames, rows, columns):
    model = small(num_frames=2)
    picture = image(6, frames, rows, columns)
    losses, prediction, mask = model(picture)
    assert losses["loss"].shape == ()
    assert prediction.shape == picture.shape
    assert mask.shape == (2, *picture.shape[2:])
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_coordinates_reach_encoder_and_decoder():
    model = small(variant="prithvi_eo_v2_300_tl")
    noise = torch.rand(2, 16)
    times, places = torch.tensor([[[2018.0, 100.0]]] * 2), torch.tensor([[47.0, 8.0]] * 2)
    parts = (model.encoder.temporal_embed_enc, model.encoder.location_embed_enc)
    parts += (model.decoder.temporal_embed_dec, model.decoder.location_embed_dec)
    losses, *_ = model(image(), times, places, noise=noise)
    losses["loss"].backward()
    assert all(part is not None and part.scale.grad.abs() > 0 for part in parts)
    with pytest.raises(UserError, match="coords_encoding of this backbone lacks 'time'"):
        small()(image(), times)


def test_it_learns_and_every_parameter_gets_a_gradient():
    model = small().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    first = last = 0.0
    for step in range(30):
        losses, *_ = model(0.1 * image() + 2)
        optimizer.zero_grad()
        losses["loss"].backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        first, last = (losses["loss"].item() if step == 0 else first), losses["loss"].item()
    assert last < 0.5 * first


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_runs_its_own_weights(copied):
    model, noise = small(), torch.rand(2, 16)
    other, before = copied(model), model(image(), noise=noise)[1]
    assert torch.equal(other(image(), noise=noise)[1], before)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    assert not torch.equal(other(image(), noise=noise)[1], before)
    assert torch.equal(model(image(), noise=noise)[1], before)


def test_the_masked_autoencoder_exports():
    model, noise = small(num_frames=2), torch.rand(2, 32)
    exported = torch.export.export(model, (image(frames=2),), {"noise": noise}).module()
    mine, theirs = exported(image(frames=2), noise=noise), model(image(frames=2), noise=noise)
    torch.testing.assert_close(mine[0]["loss"], theirs[0]["loss"])
    torch.testing.assert_close(mine[1], theirs[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_ratio": 1.5}, "mask_ratio must be the share of patches to remove, from 0 to 1; got 1.5"),
        (
            {"decoder_embed_dim": 40},
            "decoder_embed_dim must be a multiple of decoder_num_heads and of 16.*got 40 and 4",
        ),
        ({"decoder_depth": 0}, "decoder_depth must be 1 or more; got 0"),
        ({"encoder_only": True}, "prithvi_eo_v2_300_mae is the whole autoencoder. Its encoder is the backbone"),
        ({"variant": "prithvi_eo_v2_30"}, "There is no Prithvi variant 'prithvi_eo_v2_30'. Did you mean"),
        ({"in_chans": 3}, "backbone.in_chans=3, but the backbone's bands are 6"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        small(**changes)


def test_a_call_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="mask_ratio must be the share of patches"):
        small()(image(), mask_ratio=-0.1)
    with pytest.raises(UserError, match=r"noise must be \(2, 16\), a number for each patch; got \(2, 4\)"):
        small()(image(), noise=torch.rand(2, 4))
    with pytest.raises(UserError, match="not multiples of the patch"):
        small()(image(rows=60))


# Weights


def published(folder: Path, layout: str, model: PrithviMAE) -> Path:
    """Store a model's weights as the published files lay them out."""
    state = model.state_dict()
    if layout == "v1":
        state = {key.partition(".")[2]: value for key, value in state.items()}
    if layout == "old":
        state = {f"_timm_module.{key}": value for key, value in state.items()}
    torch.save(state, folder / f"{layout}.pt")
    return folder / f"{layout}.pt"


@pytest.mark.parametrize("layout", ["v2", "v1", "old"])
@pytest.mark.parametrize("variant", ["prithvi_eo_v2_300", "prithvi_eo_v2_300_tl"])
def test_each_published_layout_loads_whole_from_the_hub(layout, variant, tmp_path, monkeypatch):
    source = small(variant=variant)
    path = published(tmp_path, layout, source)
    monkeypatch.setattr(weight_file, "download", lambda repository, file: path)
    torch.manual_seed(7)
    model = FULL_MODEL_REGISTRY.build(f"{variant}_mae", pretrained=True, **SMALL).eval()
    assert model.weights is not None
    assert model.weights["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.weights["source"].startswith("ibm-nasa-geospatial/Prithvi-EO-2.0-300M")
    noise = torch.rand(2, 16)
    assert torch.equal(model(image(), noise=noise)[1], source(image(), noise=noise)[1])


@pytest.mark.parametrize("layout", ["v2", "v1", "old"])
def test_the_backbone_loads_the_encoder_of_the_same_file(layout, tmp_path):
    source = small()
    encoder = build_prithvi("prithvi_eo_v2_300", ckpt_path=str(published(tmp_path, layout, source)), **ENCODER).eval()
    assert torch.equal(encoder(image())[-1], source.encoder(image())[-1])


def test_a_choice_of_bands_takes_their_part_of_the_patch_embedding_and_of_the_prediction(tmp_path):
    source = small()
    with torch.no_grad():
        source.decoder.decoder_pred.bias.normal_()
    chosen = ["SWIR_2", "BLUE"]
    places = [HLS_BANDS.index(name) for name in chosen]
    model = small(bands=chosen, ckpt_path=str(published(tmp_path, "v2", source)))
    noise = torch.rand(2, 16)
    two, six = image(2), torch.zeros(2, 6, 64, 64)
    six[:, places] = two
    _, prediction, _ = model(two, noise=noise)
    _, expected, _ = source(six, noise=noise)  # absent bands are zero, so that they add nothing to the patch embedding
    torch.testing.assert_close(prediction, expected[:, places], atol=1e-5, rtol=1e-5)


def test_a_band_without_weights_needs_consent_and_starts_randomly_at_both_ends(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    source = small()
    path = str(published(tmp_path, "v2", source))
    with pytest.raises(UserError, match=r"have no band VV; .*backbone.allow_random_bands=true"):
        small(bands=["RED", "VV"], ckpt_path=path)
    with caplog.at_level(logging.WARNING, "geocompose"):
        model = small(bands=["RED", "VV"], ckpt_path=path, allow_random_bands=True)
    assert "No pretrained weights for VV" in caplog.text
    red = HLS_BANDS.index("RED")
    mine, theirs = (each.decoder.decoder_pred.weight.unflatten(0, (256, -1)) for each in (model, source))
    assert torch.equal(mine[:, 0], theirs[:, red])
    assert all(not torch.equal(mine[:, 1], theirs[:, band]) for band in range(6))


def test_the_model_keeps_positions_of_its_own_size(tmp_path):
    path = published(tmp_path, "v2", small())
    model = small(ckpt_path=str(path), img_size=32, num_frames=2)
    fresh = small(img_size=32, num_frames=2)
    assert torch.equal(model.encoder.pos_embed, fresh.encoder.pos_embed)
    assert torch.equal(model.decoder.decoder_pos_embed, fresh.decoder.decoder_pos_embed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_depth": 3}, r"not this model's: 12 missing: decoder.decoder_blocks.2"),
        ({"patch_size": 8}, r"3 of another shape: decoder.decoder_pred.bias"),
        ({"pretrained_bands": ["RED"], "bands": ["RED"]}, "have 6 input bands, but pretrained_bands names 1"),
    ],
)
def test_weights_of_another_model_are_refused(changes, message, tmp_path):
    path = published(tmp_path, "v2", small())
    with pytest.raises(UserError, match=message):
        small(ckpt_path=str(path), **changes)


def test_weights_without_a_decoder_are_refused(tmp_path):
    torch.save(small().encoder.state_dict(), tmp_path / "encoder.pt")
    with pytest.raises(UserError, match=r"31 missing: decoder.decoder_blocks.0"):
        small(ckpt_path=str(tmp_path / "encoder.pt"))


def test_random_weights_are_announced_and_loaded_ones_are_not(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    path = published(tmp_path, "v2", small())
    with caplog.at_level(logging.INFO, "geocompose"):
        small(ckpt_path=str(path))
        assert "random weights" not in caplog.text
        small()
    assert "prithvi_eo_v2_300 starts from random weights" in caplog.text


def test_patches_over_several_frames_are_reconstructed_with_a_date_for_each_frame():
    model = small(variant="prithvi_eo_v2_300_tl", num_frames=4, patch_size=[2, 16, 16])
    dates = torch.tensor([[2018.0, 10.0], [2018.0, 50.0], [2019.0, 100.0], [2019.0, 140.0]]).expand(2, -1, -1)
    given, noise = image(frames=4), torch.rand(2, 32, generator=torch.Generator().manual_seed(0))
    loss, predicted, mask = model(given, dates, noise=noise)
    assert (predicted.shape, mask.shape) == (given.shape, (2, 4, 64, 64))
    assert loss["loss"].isfinite()
    assert not torch.equal(predicted, model(given, dates.flip(1), noise=noise)[1])
