"""One pass over all regions: each band's mean and deviation, a tally of the labels, and the checks of every pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geocompose.data.labels.base import Labels
from geocompose.data.labels.tally import ClassTally, MultilabelTally, Tally
from geocompose.data.moments import Moments
from geocompose.data.rasters.valid import check_finite
from geocompose.data.scene import Scene
from geocompose.data.split import SPLITS
from geocompose.data.tiling import Tiling
from geocompose.data.window import Region, Window, grid
from geocompose.errors import UserError

CELL_PX = 1024  # a scan holds this square in memory: 55 MB as float32 in 13 bands


@dataclass(frozen=True)
class Statistics:
    """What the scan found.

    mean, std: a number for each selected band, over the training regions' valid pixels in all frames, labelled or not.
    labels: for each split a tally of its labels, where the image is valid.
    """

    mean: list[float]
    std: list[float]
    labels: dict[str, Tally]

    def num_labelled(self, split: str) -> int:
        """Return how many pixels, or images, of a split have a label and an image."""
        return self.labels[split].num_labelled

    @property
    def class_counts(self) -> dict[str, list[int]]:
        """For each split a count of pixels, or images, of each class; for labels that are classes."""
        counts = {}
        for split, tally in self.labels.items():
            assert isinstance(tally, ClassTally | MultilabelTally), "these labels are numbers"
            counts[split] = tally.counts.tolist()
        return counts


def scan(
    scenes: Sequence[Scene],
    bands: Sequence[Sequence[int]],
    regions: Mapping[str, Sequence[Region]],
    labels: Labels,
    tiling: Tiling,
) -> Statistics:
    """Return statistics of the regions after having looked at every pixel of every split.

    bands: for each scene the places of the selected bands.
    tiling: which windows have a label, where whole images are labelled.

    Raises:
        UserError: NaN or infinity that is not declared nodata; a label that its kind does not have; a split without
            labels.
    """
    moments = Moments(len(bands[0]))
    tallies = {split: labels.tally() for split in SPLITS}
    for split in SPLITS:
        for whole in regions[split]:
            scene, tiles = scenes[whole.scene], [] if labels.target.pixel_wise else tiling.tiles(whole)
            shown = [False] * len(tiles)
            for _, window in grid(whole, CELL_PX):
                image, valid = scene.read_image(window, bands[whole.scene])
                check_image(image, valid, scene, bands[whole.scene], window)
                if split == "train":
                    moments.add(image[..., valid].reshape(len(image), -1))
                if labels.target.pixel_wise:
                    label = scene.read_label(window)
                    labels.check(label, scene, window)
                    tallies[split].add(labels.without(label, valid))
                shown = [seen or _any(valid, window, tile.window) for seen, tile in zip(shown, tiles, strict=True)]
            for tile, seen in zip(tiles, shown, strict=True):
                label = scene.read_label(tile.window)
                labels.check(label, scene, tile.window)
                tallies[split].add(labels.without(label, np.array(seen)))
        _check_labelled(tallies[split], split, labels, _names(scenes, regions[split]))
    return Statistics(moments.mean.tolist(), moments.std.tolist(), tallies)


def _any(valid: np.ndarray, window: Window, tile: Window) -> bool:
    """Return whether a pixel of `tile` is valid, as far as it lies in `window`."""
    rows, columns = tile._replace(row=tile.row - window.row, column=tile.column - window.column).slices
    return bool(valid[max(rows.start, 0) : max(rows.stop, 0), max(columns.start, 0) : max(columns.stop, 0)].any())


def _check_labelled(tally: Tally, split: str, labels: Labels, where: str) -> None:
    if not tally.num_labelled:
        what, keys = "image", "data.nodata"
        if labels.target.pixel_wise:
            what = "pixel"
            keys = f"data.nodata and data.{'ignore_index' if labels.target.of_classes else 'label_nodata'}"
        raise UserError(
            f"The {split} split has no labelled {what} with image data in {where}. "
            f"Check the labels, {keys}, or split in another way (data.split, data.seed)."
        )
    if tally.unlabelled_names:
        raise UserError(
            f"The {split} split has no label of {', '.join(tally.unlabelled_names)} with image data in {where}. "
            "Check the labels, leave it out, or split in another way (data.split, data.seed)."
        )


def check_image(image: np.ndarray, valid: np.ndarray, scene: Scene, bands: Sequence[int], window: Window) -> None:
    """Refuse NaN or infinity that is not declared nodata.

    Raises:
        UserError: names file, band and place.
    """
    check_finite(
        image,
        valid,
        bands=[scene.band_names[band] for band in bands],
        origin_of=lambda band: scene.origin_of(bands[band]),
        window=window,
        conversions=None if scene.conversions is None else [scene.conversions[band] for band in bands],
    )


def _names(scenes: Sequence[Scene], regions: Sequence[Region]) -> str:
    names = [scenes[region.scene].name for region in regions]
    return names[0] if len(names) == 1 else f"{len(names)} scenes ({names[0]}, ...)"
