"""Reconstruction: which patches are hidden, and what a loss over them is."""

from functools import partial

import pytest
import torch

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.samples import Target
from geocompose.models.prithvi_mae.autoencoder import PrithviMAE
from geocompose.models.prithvi_mae.decoder import MAEDecoder
from geocompose.tasks.masking import Masking, fixed_noise, hidden_pixels, normalised_patches, reconstruct
from geocompose.tasks.reconstruction import ReconstructionTask
from tests.kit.small import image, noise, stand_in
from tests.kit.tiny_tasks import loader, trainer

BANDS = ("RED", "GREEN", "BLUE")
TARGET = Target(
    "reconstruction", BANDS, mean=(900.0, 800.0, 700.0), std=(300.0, 200.0, 100.0), deviation=(3.0, 2.0, 1.0)
)
QUIET = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*number of training batches.*", "ignore:.*logger.*",
    "ignore:.*LeafSpec.*", "ignore:.*lr_scheduler.step.*",
)  # fmt: skip


def autoencoder():
    torch.manual_seed(0)
    return EncoderDecoderFactory(image_size=(64, 64)).build_model(
        task="reconstruction",
        backbone="prithvi_eo_tiny",
        backbone_embed_dim=32,
        backbone_depth=2,
        backbone_num_heads=2,
        backbone_bands=list(BANDS),
        decoder=partial(MAEDecoder, embed_dim=32, depth=1, num_heads=2),
        num_outputs=3,
    )


def of_maps():
    torch.manual_seed(0)
    return EncoderDecoderFactory(image_size=(64, 64)).build_model(
        task="reconstruction", backbone=stand_in("pyramid"), decoder="MLPDecoder", decoder_channels=8, num_outputs=3
    )


def task(model=None, **changes) -> ReconstructionTask:
    arguments = {
        "optimizer": partial(torch.optim.AdamW, lr=1e-3),
        "scheduler": partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
        "target": TARGET,
        "num_tiles": {"val": 4, "test": 4},
    }
    return ReconstructionTask(autoencoder() if model is None else model, **{**arguments, **changes})


def batch(count: int = 4, side: int = 64) -> dict[str, torch.Tensor]:
    return {"image": image(3, count, side, side), "mask": torch.zeros(count, side, side), "tile": torch.arange(count)}


@pytest.mark.parametrize("norm_pix", [False, True])
def test_the_loss_is_that_of_the_published_masked_autoencoder(norm_pix):
    """The same weights, images and noise in `PrithviMAE`, whose loss is compared with TerraTorch's elsewhere."""
    learner = task(norm_pix_loss=norm_pix)
    data = batch()
    shown = noise(4, 16)
    published = PrithviMAE(learner.model.encoder, learner.model.decoder, norm_pix_loss=norm_pix)
    with torch.no_grad():
        returned, truth = reconstruct(learner.model, data, learner.target, learner.masking, shown)
        losses, prediction, mask = published(data["image"], noise=shown)
    assert learner.criterion(returned.output, truth).item() == pytest.approx(losses["loss"].item(), rel=1e-4)
    assert torch.equal(returned.output, prediction)
    assert torch.equal(returned.hidden, mask.bool())


@pytest.mark.parametrize("make", [autoencoder, of_maps])
def test_shown_pixels_and_those_without_data_leave_loss_and_metrics(make):
    learner = task(make())
    data = batch()
    data["mask"][:, :, :20] = torch.nan
    shown = noise(4, 16)
    _, truth = reconstruct(learner.model, data, learner.target, learner.masking, shown)
    counted = ~truth.isnan()
    assert torch.equal(counted[:, 0], counted[:, 2])
    hidden = hidden_pixels(shown, (64, 64), 16, 0.75)
    assert torch.equal(counted[:, 0], hidden & ~data["mask"].isnan())
    green = counted[:, 1]
    torch.testing.assert_close((truth[:, 1][green] - 800) / 200, data["image"][:, 1][green], atol=1e-4, rtol=0)
    learner.log = lambda *_, **__: None
    learner.validation_step(data, 0)
    per_tile = learner.tile_counts("val")
    seen = (hidden_pixels(fixed_noise(learner.masking, learner.model, data["image"], data["tile"]), (64, 64), 16, 0.75)
            & ~data["mask"].isnan())  # fmt: skip
    assert per_tile[:, 0, 0].tolist() == seen.flatten(1).sum(1).tolist()


def test_a_batch_without_data_costs_nothing_and_teaches_nothing():
    learner = task()
    learner.log = lambda *_, **__: None
    data = batch()
    data["mask"][:] = torch.nan
    loss = learner.training_step(data, 0)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in learner.parameters())


def test_a_model_of_maps_does_not_see_what_is_hidden():
    learner = task(of_maps()).eval()
    data, shown = batch(), noise(4, 16)
    hidden = hidden_pixels(shown, (64, 64), 16, 0.75)
    with torch.no_grad():
        first, _ = reconstruct(learner.model, data, learner.target, learner.masking, shown)
        data["image"] = torch.where(hidden.unsqueeze(1), 7.0, data["image"])
        second, _ = reconstruct(learner.model, data, learner.target, learner.masking, shown)
    assert torch.equal(first.output, second.output)


def test_scored_tiles_hide_the_same_patches_each_time_whatever_the_batch_and_the_seed():
    model, masking = of_maps(), Masking(0.75)
    data = batch()
    torch.manual_seed(1)
    first = fixed_noise(masking, model, data["image"], data["tile"])
    torch.manual_seed(2)
    assert torch.equal(first, fixed_noise(masking, model, data["image"], data["tile"]))
    assert torch.equal(first[2:3], fixed_noise(masking, model, data["image"][2:3], data["tile"][2:3]))
    assert not torch.equal(first[0], first[1])


@QUIET
def test_training_hides_others_each_step_and_the_best_epoch_is_the_one_of_the_lowest_loss():
    learner = task(optimizer=partial(torch.optim.AdamW, lr=3e-3))
    tiles = [{name: value[0] for name, value in batch(1).items()} | {"tile": torch.tensor(n)} for n in range(4)]
    quiet = trainer(epochs=12)
    quiet.validate(learner, loader(tiles, 2), verbose=False)
    before = float(quiet.callback_metrics["val/loss"])
    quiet.fit(learner, loader(tiles, 2), loader(tiles, 4))
    assert learner.selection == ("val/loss", "min")
    assert float(quiet.callback_metrics["val/loss"]) < before
    assert float(quiet.callback_metrics["val/loss_of_mean"]) == pytest.approx(1.0, abs=0.1)
    scores = learner.scores("val")
    assert {"RMSE_RED", "R2_BLUE", "nRMSE"} <= scores.keys()


def test_the_noise_of_a_step_follows_the_global_seed():
    learner = task()
    learner.log = lambda *_, **__: None
    losses = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        losses.append(learner.training_step(batch(), 0).item())
    assert losses[0] == losses[1] != losses[2]


def test_patches_are_normalised_over_all_bands_by_the_pixels_that_have_data():
    given = image(3, 2, 20, 24)
    there = torch.ones(2, 20, 24, dtype=torch.bool)
    there[0, :4] = False
    normalised = normalised_patches(given, there, 8)
    assert normalised.shape == given.shape
    # Rows are padded by two on both sides: the second row of patches begins in row 6.
    cell, known = given[0, :, 6:14, 8:16], there[0, 6:14, 8:16]
    expected = (cell - cell[:, known].mean()) / (cell[:, known].var() + 1e-6).sqrt()
    torch.testing.assert_close(normalised[0, :, 6:14, 8:16], expected)
    first = given[0, :, :6, :8][:, there[0, :6, :8]]
    expected = (first - first.mean()) / (first.var() + 1e-6).sqrt()
    torch.testing.assert_close(normalised[0, :, 4:6, :8].flatten(), expected.flatten())


def test_normalised_patches_are_scored_without_a_unit():
    assert Masking(0.5).scored(TARGET) is TARGET
    scored = Masking(0.5, norm_pix=True).scored(TARGET)
    assert (scored.mean, scored.std, scored.deviation) == ((0, 0, 0), (1, 1, 1), None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_ratio": 1.0}, r"task.mask_ratio is the share .* above 0 and below 1; got 1.0"),
        ({"mask_ratio": 0.0}, r"task.mask_ratio is the share .*; got 0.0"),
        ({"mask_px": 8}, r"task.mask_px=8, but .* its backbone's patches, of 16 pixels. Write task.mask_px=null"),
        ({"mask_px": 0}, r"task.mask_px is the side of a patch in pixels, 1 or more; got 0"),
        ({"loss": "ce"}, r"task.loss has no loss 'ce'"),
    ],
)
def test_what_can_not_be_hidden_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        task(**changes)


def test_tiles_of_which_all_patches_would_be_hidden_are_refused():
    model = of_maps()
    Masking(0.75).check(model, 64)
    with pytest.raises(UserError, match=r"Tiles of 16 pixels have 1 patch of 16, and .* hides all of them"):
        Masking(0.75).check(model, 16)
