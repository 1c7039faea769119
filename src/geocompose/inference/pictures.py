"""What a trained model makes of a split, as pictures: how its answers meet the labels, and samples."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geocompose.data.module import SceneData
from geocompose.errors import counted
from geocompose.figures.class_decisions import class_decisions
from geocompose.figures.confusion_matrix import confusion
from geocompose.figures.display import display_image
from geocompose.figures.predicted_against_true import predicted_against_true
from geocompose.figures.reconstructions import ReconstructedSample, reconstructions
from geocompose.figures.sample_images import ImageSample, sample_images
from geocompose.figures.sample_numbers import NumberSample, sample_numbers
from geocompose.figures.sample_predictions import Sample, sample_predictions
from geocompose.imagery.coordinates import coordinates_of
from geocompose.imagery.samples import Kind, Target
from geocompose.inference.shown_images import batch_of, how_images_are_shown, images_of
from geocompose.inference.tile_names import image_title, tile_title
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.scores import SUMS, regression_scores
from geocompose.tasks import counting
from geocompose.tasks.masking import Masking, fixed_noise, in_units, reconstruct

NUM_TILES, NUM_IMAGES = 4, 12
# Pixels of a scatter picture come from so many tiles at most, and are so many at most.
_SCATTER_TILES, _SCATTER_PIXELS = 64, 200_000
_N, _SUM_Y, _SUM_E, _SUM_E2 = (SUMS.index(name) for name in ("n", "sum_y", "sum_e", "sum_e2"))


@dataclass(frozen=True)
class Answering:
    """A trained model as pictures ask it: in evaluation mode, on the device where it is.

    target: as its answers are scored. masking: what of an image is hidden; of a reconstruction alone.
    """

    model: EncoderDecoderModel
    target: Target
    masking: Masking | None = None

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return what the model says of a batch, on the CPU: see `geocompose.tasks.counting.predicted`."""
        weight = next(self.model.parameters())  # of trainer.precision=bf16-true
        self.model.eval()
        with torch.inference_mode():
            beside = {name: value.to(weight.device) for name, value in coordinates_of(batch).items()}
            output = self.model(batch["image"].to(weight.device, weight.dtype), **beside).output
            return counting.predicted(output, self.target).cpu()


def draw(folder: Path, model: Answering, data: SceneData, split: str, counts: np.ndarray) -> None:
    """Draw how a model's answers meet the labels of a split, and samples of it, into a folder that is there.

    counts: what was counted for each of its tiles.
    """
    _DRAW[model.target.kind](folder, model, data, split, counts)


def _segmentation(folder: Path, model: Answering, data: SceneData, split: str, matrices: np.ndarray) -> None:
    names, ignore_index = model.target.names, model.target.ignore_index
    confusion(matrices.sum(axis=0), names, folder / "confusion.png", f"{split} split")
    chosen = spread(_share_right(matrices), matrices.sum(axis=(1, 2)), NUM_TILES)
    batch, predicted = _run(model, data, split, chosen)
    samples: list[Sample] = [
        {
            **shown,
            "label": batch["mask"][place].numpy(),
            "prediction": predicted[place].numpy(),
            "title": tile_title(data, split, chosen[place]),
        }
        for place, shown in enumerate(images_of(batch, data))
    ]
    sample_predictions(samples, names, ignore_index, folder / "samples.png", how_images_are_shown(data))


def _regression(folder: Path, model: Answering, data: SceneData, split: str, sums: np.ndarray) -> None:
    names = model.target.names
    tiles = np.flatnonzero(sums[:, :, _N].sum(axis=1))
    shown = tiles[np.unique(np.linspace(0, len(tiles) - 1, _SCATTER_TILES).round().astype(int))]
    truth, prediction = _pixels(model, data, split, [int(tile) for tile in shown])
    some = f" ({len(shown)} of {len(tiles)} tiles)" if len(shown) < len(tiles) else ""
    predicted_against_true(
        truth, prediction, names, folder / "scatter.png", title=f"{split} split{some}",
        scores=_variable_scores(sums, names), what="pixels", units=model.target.units,
    )  # fmt: skip
    for variable, name in enumerate(names):
        own = sums[:, variable]
        chosen = spread(-own[:, _SUM_E2] / np.maximum(own[:, _N], 1), own[:, _N], NUM_TILES)
        batch, predicted = _run(model, data, split, chosen)
        label = counting.labels(batch, model.target)
        samples: list[NumberSample] = [
            {
                **shown,
                "label": label[place, variable].numpy(),
                "prediction": predicted[place, variable].numpy(),
                "title": tile_title(data, split, chosen[place]),
            }
            for place, shown in enumerate(images_of(batch, data))
        ]
        file = "samples.png" if len(names) == 1 else f"samples_{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}.png"
        unit = None if model.target.units is None else model.target.units[variable]
        sample_numbers(samples, name, folder / file, unit=unit, how=how_images_are_shown(data))


def _classification(folder: Path, model: Answering, data: SceneData, split: str, matrices: np.ndarray) -> None:
    names = model.target.names
    confusion(
        matrices.sum(axis=0), names, folder / "confusion.png", f"{split} split, images", score="F1", what="images"
    )
    known = matrices.sum(axis=(1, 2))
    right, wrong = (
        spread(np.arange(len(known), dtype=float), known * (_share_right(matrices) == share), NUM_IMAGES)
        for share in (1, 0)
    )
    few = min(len(wrong), max(NUM_IMAGES // 2, NUM_IMAGES - len(right)))
    chosen = sorted([*_evenly(wrong, few), *_evenly(right, NUM_IMAGES - few)])

    def words(batch: Mapping[str, Tensor], predicted: Tensor, place: int) -> tuple[str, str, bool]:
        truth, said = int(batch["label"][place]), int(predicted[place])
        return names[truth], names[said], truth == said

    _draw_images(
        folder, model, data, split, chosen, words, f"{split} split: {counted(len(chosen), 'image')}, wrong ones in red"
    )


def _multilabel(folder: Path, model: Answering, data: SceneData, split: str, counts: np.ndarray) -> None:
    names = model.target.names
    class_decisions(counts.sum(axis=0), names, folder / "decisions.png", f"{split} split, images")
    known = counts.sum(axis=(1, 2, 3))
    right = (counts[:, :, 0, 0] + counts[:, :, 1, 1]).sum(axis=1) / np.maximum(known, 1)
    chosen = spread(right, known, NUM_IMAGES)

    def words(batch: Mapping[str, Tensor], predicted: Tensor, place: int) -> tuple[str, str, bool]:
        truth, said = batch["label"][place], predicted[place].long()
        listed = (", ".join(name for name, on in zip(names, answer, strict=True) if on > 0) for answer in (truth, said))
        first, second = (text or "none" for text in listed)
        return first, second, bool(((truth == said) | (truth < 0)).all())

    _draw_images(folder, model, data, split, chosen, words, f"{split} split: from the worst to the best image")


def _scalar_regression(folder: Path, model: Answering, data: SceneData, split: str, sums: np.ndarray) -> None:
    names = model.target.names
    # One number per image: its sums are the number itself.
    truth = np.where(sums[:, :, _N] > 0, sums[:, :, _SUM_Y], np.nan)
    predicted_against_true(
        truth, truth + sums[:, :, _SUM_E], names, folder / "scatter.png", title=f"{split} split",
        scores=_variable_scores(sums, names), what="images", units=model.target.units,
    )  # fmt: skip
    known = sums[:, :, _N].sum(axis=1)
    scale = np.sqrt(np.maximum(np.nanmean(sums[:, :, _SUM_E2], axis=0), 1e-30))
    chosen = spread(-(np.abs(sums[:, :, _SUM_E]) / scale).sum(axis=1), known, NUM_IMAGES)

    def words(batch: Mapping[str, Tensor], predicted: Tensor, place: int) -> tuple[str, str, bool]:
        truth = counting.labels(batch, model.target)[place]
        first, second = (
            ", ".join(f"{number:.3g}" if len(names) == 1 else f"{name} {number:.3g}" for name, number in pairs)
            for pairs in (zip(names, map(float, numbers), strict=True) for numbers in (truth, predicted[place]))
        )
        return first, second, True

    _draw_images(folder, model, data, split, chosen, words, f"{split} split: from the worst to the best image")


def _reconstruction(folder: Path, model: Answering, data: SceneData, split: str, sums: np.ndarray) -> None:
    assert model.masking is not None
    scored, squares = (sums[:, :, place].sum(axis=1) for place in (_N, _SUM_E2))
    chosen = spread(-squares / np.maximum(scored, 1), scored, NUM_TILES)
    batch = batch_of(data, split, chosen)
    device = next(model.model.parameters()).device
    there = {name: value.to(device) for name, value in batch.items()}
    model.model.eval()
    with torch.inference_mode():
        noise = fixed_noise(model.masking, model.model, there["image"], there["tile"])
        returned, truth = reconstruct(model.model, there, model.target, model.masking, noise)
        said = counting.predicted(returned.output, model.target).cpu()
    valid = ~batch["mask"].isnan()
    patch_px = model.masking.patch_of(model.model)
    images = in_units(batch["image"], valid, model.target, model.masking, patch_px)
    hidden = ~counting.labels({"mask": truth.cpu()}, model.target).isnan().all(dim=1)
    pairs = torch.cat([images, torch.where(hidden.unsqueeze(1), said, images)], dim=3)  # of one stretch
    samples: list[ReconstructedSample] = []
    for place, pair in enumerate(pairs):
        shown = display_image(pair.numpy(), data.bands, np.tile(valid[place].numpy(), 2))
        image, reconstruction = np.split(shown, 2, axis=2)
        title = tile_title(data, split, chosen[place])
        samples.append(
            {
                "image": image,
                "reconstruction": reconstruction,
                "hidden": hidden[place].numpy(),
                "title": title,
                "nodata": ~batch["seen"][place].numpy(),
            }
        )
    reconstructions(samples, folder / "samples.png", how_images_are_shown(data))


_DRAW: Mapping[Kind, Callable[[Path, Answering, SceneData, str, np.ndarray], None]] = {
    "segmentation": _segmentation,
    "regression": _regression,
    "classification": _classification,
    "multilabel": _multilabel,
    "scalar_regression": _scalar_regression,
    "reconstruction": _reconstruction,
}


def _draw_images(
    folder: Path,
    model: Answering,
    data: SceneData,
    split: str,
    chosen: Sequence[int],
    words: Callable[[Mapping[str, Tensor], Tensor, int], tuple[str, str, bool]],
    title: str,
) -> None:
    batch, predicted = _run(model, data, split, chosen)
    samples: list[ImageSample] = []
    for place, shown in enumerate(images_of(batch, data)):
        truth, said, right = words(batch, predicted, place)
        name = image_title(data, split, chosen[place])
        samples.append({**shown, "truth": truth, "prediction": said, "right": right, "name": name})
    sample_images(samples, folder / "samples.png", title, how_images_are_shown(data))


def _run(model: Answering, data: SceneData, split: str, chosen: Sequence[int]) -> tuple[dict[str, Tensor], Tensor]:
    """Return the chosen samples of a split as one batch, and what the model says of them."""
    batch = batch_of(data, split, chosen)
    return batch, model(batch)


def _pixels(model: Answering, data: SceneData, split: str, tiles: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction (n, variables) of labelled pixels of these tiles; of many, some drawn evenly."""
    truths, predictions = [], []
    for start in range(0, len(tiles), data.batch_size):
        batch, predicted = _run(model, data, split, tiles[start : start + data.batch_size])
        given = counting.labels(batch, model.target)
        known = ~given.isnan().all(dim=1)
        truths.append(given.movedim(1, -1)[known].numpy())
        predictions.append(predicted.movedim(1, -1)[known].numpy())
    truth, prediction = np.concatenate(truths), np.concatenate(predictions)
    if len(truth) > _SCATTER_PIXELS:
        kept = np.random.default_rng(0).choice(len(truth), _SCATTER_PIXELS, replace=False)
        truth, prediction = truth[kept], prediction[kept]
    return truth, prediction


def _variable_scores(sums: np.ndarray, names: Sequence[str]) -> list[dict[str, float]]:
    pooled = sums.sum(axis=0)
    return [regression_scores(pooled[[place]], [name]) for place, name in enumerate(names)]


def _share_right(matrices: np.ndarray) -> np.ndarray:
    return np.trace(matrices, axis1=1, axis2=2) / np.maximum(matrices.sum(axis=(1, 2)), 1)


def spread(quality: np.ndarray, labelled: np.ndarray, count: int) -> list[int]:
    """Return up to `count` tiles from the worst to the best, evenly spread, among those that are mostly labelled.

    quality: how good each tile is. labelled: how many labels each has.
    """
    if not labelled.any():
        return []
    candidates = np.flatnonzero(labelled >= 0.5 * labelled.max())
    ranked = candidates[np.argsort(quality[candidates], kind="stable")]
    return _evenly([int(tile) for tile in ranked], count)


def _evenly(tiles: Sequence[int], count: int) -> list[int]:
    """Return up to `count` of the tiles, evenly spread over their order."""
    if not tiles or count < 1:
        return []
    return [tiles[place] for place in np.unique(np.linspace(0, len(tiles) - 1, count).round().astype(int))]
