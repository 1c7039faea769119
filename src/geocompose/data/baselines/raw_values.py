"""Raw values with their labels, as baselines are fitted to them: pixels, or images in a few numbers."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from geocompose.data.baselines.samples import LabelledSamples
from geocompose.data.scene import Scene
from geocompose.data.statistics import CELL_PX
from geocompose.data.window import Region, Window, grid


def pixel_blocks(
    data: LabelledSamples, split: str, bands: Sequence[str] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the labelled pixels of a split, where pixels have labels: raw values and labels.

    Values are float32 (n, bands), or (n, bands x frames), the frames of the first band first. Labels are classes, int64
    (n), or numbers, float32 (n, variables), NaN for a variable without a label.
    bands: any of the data's bands; None means the selected ones. The selected bands alone decide which pixels
    count, so that all choices see the same ones; where another band has no data, the pixel's values are all 0.
    """
    for region in data.regions[split]:
        for cell in grid(region, CELL_PX):
            yield labelled_pixels(data, cell, bands)


def labelled_pixels(
    data: LabelledSamples, cell: Region, bands: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labelled pixels of a window: raw values and labels, as `pixel_blocks` yields them."""
    assert data.target.pixel_wise, data.target.kind
    scene = data.scenes[cell.scene]
    image, valid = read_filled(scene, cell.window, data.selected_places(cell.scene))
    if bands is not None:
        image, there = read_filled(scene, cell.window, data.places(bands)[cell.scene])
        finite = np.isfinite(image).reshape(-1, *there.shape).all(0)
        image = np.where(there & finite, image, np.float32(0))
    label = scene.read_label(cell.window)
    counts = valid & (label != data.target.ignore_index if label.ndim == 2 else ~np.isnan(label).all(0))
    # Not -1: where nothing counts, as in the empty corner of a swath, any number would do.
    values = image[..., counts].reshape(math.prod(image.shape[:-2]), int(counts.sum()))
    return np.ascontiguousarray(values.T), np.ascontiguousarray(label[..., counts].T)


def pixels(
    data: LabelledSamples, split: str, max_pixels: int | None = None, seed: int = 0, bands: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return labelled pixels of a split, as `pixel_blocks` yields them.

    max_pixels: where there are more, this many are drawn by `seed` without replacement; None means all.
    bands: as in `pixel_blocks`.
    """
    total = data.statistics.num_labelled(split)
    kept = None
    if max_pixels is not None and total > max_pixels:
        kept = np.zeros(total, dtype=bool)
        kept[np.random.default_rng(seed).choice(total, max_pixels, replace=False, shuffle=False)] = True
    values, labels, start = [], [], 0
    for block, label in pixel_blocks(data, split, bands):
        chosen = slice(None) if kept is None else kept[start : start + len(label)]
        values.append(block[chosen])
        labels.append(label[chosen])
        start += len(label)
    assert start == total, (start, total)
    return np.concatenate(values), np.concatenate(labels)


def image_features(data: LabelledSamples, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return means and deviations of each band and frame of the samples with valid pixels, where images have labels.

    Features are float64 (n, 2 x bands x frames), in raw values; labels are classes, int64 (n) or (n, classes), or
    numbers, float32 (n, variables), as `geocompose.data.labels` has them.
    """
    return image_samples(data, split)[1:]


def image_samples(data: LabelledSamples, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers of the samples with valid pixels in their split, and what `image_features` returns of them."""
    assert not data.target.pixel_wise, data.target.kind
    places, features, labels = [], [], []
    for place, tile in enumerate(data.tile_windows(split)):
        image, valid = read_filled(data.scenes[tile.scene], tile.window, data.selected_places(tile.scene))
        if valid.any():
            values = image[..., valid].astype(np.float64).reshape(-1, int(valid.sum()))
            features.append(np.concatenate([values.mean(1), values.std(1)]))
            labels.append(data.scenes[tile.scene].read_label(tile.window))
            places.append(place)
    return np.array(places), np.stack(features), np.stack(labels)


def read_filled(scene: Scene, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the image and where it is valid, with the mean of the other frames in those that are passed over."""
    image, valid = scene.read_image(window, bands)
    masked = list(scene.masked_frames(bands))
    if masked:
        image[:, masked] = np.delete(image, masked, axis=1).mean(1, keepdims=True)
    return image, valid
