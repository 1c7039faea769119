"""One pass over all regions: each band's mean and deviation, class counts, and the checks of every pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geocompose.data.scene import Scene
from geocompose.data.split import SPLITS
from geocompose.data.window import Region, Window, grid
from geocompose.errors import UserError

CELL_PX = 1024  # a scan holds this square in memory: 55 MB as float32 in 13 bands


@dataclass(frozen=True)
class Statistics:
    """What the scan found.

    mean, std: a number for each selected band, over the training regions' valid pixels, labelled or not.
    class_counts: for each split a count of pixels for each class, of those that are labelled and valid.
    """

    mean: list[float]
    std: list[float]
    class_counts: dict[str, list[int]]

    def num_labelled(self, split: str) -> int:
        """Return how many pixels of a split have a label and an image."""
        return sum(self.class_counts[split])


def scan(
    scenes: Sequence[Scene],
    bands: Sequence[Sequence[int]],
    regions: Mapping[str, Sequence[Region]],
    class_names: Sequence[str],
    ignore_index: int,
) -> Statistics:
    """Return statistics of the regions after having looked at every pixel of every split.

    bands: for each scene the places of the selected bands.

    Raises:
        UserError: NaN or infinity that is not declared nodata; a label that is no class; a split without a labelled
        pixel.
    """
    moments = _Moments(len(bands[0]))
    counts = {split: np.zeros(len(class_names), dtype=np.int64) for split in SPLITS}
    for split in SPLITS:
        for region in (cell for whole in regions[split] for cell in grid(whole, CELL_PX)):
            scene, window = scenes[region.scene], region.window
            image, valid = scene.read_image(window, bands[region.scene])
            _check_finite(image, valid, scene, bands[region.scene], window)
            label = scene.read_label(window)
            _check_classes(label, scene, class_names, ignore_index, window)
            counts[split] += np.bincount(label[valid & (label != ignore_index)], minlength=len(class_names))
            if split == "train":
                moments.add(image[:, valid])
        if not counts[split].any():
            raise UserError(
                f"The {split} split has no labelled pixel with image data in {_names(scenes, regions[split])}. "
                "Check the labels, data.nodata and data.ignore_index, or split in another way (data.split, data.seed)."
            )
    return Statistics(moments.mean.tolist(), moments.std.tolist(), {split: counts[split].tolist() for split in SPLITS})


class _Moments:
    """Mean and standard deviation of blocks of pixels, merged block by block so that no large sums are subtracted."""

    def __init__(self, num_bands: int) -> None:
        self.count = 0
        self.mean = np.zeros(num_bands)
        self._squares = np.zeros(num_bands)

    def add(self, pixels: np.ndarray) -> None:
        """Take in pixels (bands, n)."""
        n = pixels.shape[1]
        if n == 0:
            return
        mean = pixels.mean(1, dtype=np.float64)
        squares = np.array([np.square(band.astype(np.float64) - m).sum() for band, m in zip(pixels, mean, strict=True)])
        total = self.count + n
        shift = mean - self.mean
        self._squares += squares + shift**2 * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        self.count = total

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self._squares / max(self.count, 1))


def _check_finite(image: np.ndarray, valid: np.ndarray, scene: Scene, bands: Sequence[int], window: Window) -> None:
    wrong = ~np.isfinite(image) & valid
    if not wrong.any():
        return
    band, row, column = np.argwhere(wrong)[0]
    value = image[band, row, column]
    advice = (
        "If NaN marks missing pixels, declare it with data.nodata=nan; else mend the file."
        if np.isnan(value)
        else "Mend the file, or write a finite nodata value in its place and declare it."
    )
    raise UserError(
        f"{scene.name} has the value {value} at row {window.row + row}, column {window.column + column}, band "
        f"{scene.band_names[bands[band]]} ({int(wrong.sum())} such values nearby), which is not declared nodata. "
        f"{advice}"
    )


def _check_classes(
    label: np.ndarray, scene: Scene, class_names: Sequence[str], ignore_index: int, window: Window
) -> None:
    wrong = ((label < 0) | (label >= len(class_names))) & (label != ignore_index)
    if not wrong.any():
        return
    row, column = np.argwhere(wrong)[0]
    classes = ", ".join(f"{i} ({name})" for i, name in enumerate(class_names))
    raise UserError(
        f"The label of {scene.name} has the value {label[row, column]} at row {window.row + row}, column "
        f"{window.column + column}. Allowed: {classes}, and {ignore_index} (data.ignore_index) for pixels without "
        "label. Add the class to data.class_names, mend the label, or set data.label_nodata if this value means "
        "unlabelled."
    )


def _names(scenes: Sequence[Scene], regions: Sequence[Region]) -> str:
    names = [scenes[region.scene].name for region in regions]
    return names[0] if len(names) == 1 else f"{len(names)} scenes ({names[0]}, ...)"
