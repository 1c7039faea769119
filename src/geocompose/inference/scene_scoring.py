"""Scoring a model on whole scenes: by overlapping windows, as `predict` makes a map, over the pixels of a split."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from geocompose.data.baselines.counted import count
from geocompose.data.module import SceneData
from geocompose.data.normalization import Normalization, without_frames
from geocompose.data.statistics import check_image
from geocompose.data.window import Region, Window
from geocompose.imagery.samples import Target
from geocompose.inference.content import CONTENTS
from geocompose.inference.read_windows import ReadWindow, Said, gathered, said_of
from geocompose.inference.stages import overlapped
from geocompose.inference.windows import PredictionWindow, plan_windows
from geocompose.runs.run_log import COURSE
from geocompose.scores import scores_of

PREFIX = "scene_"
TELLS_S = 30.0  # after so many seconds it is said how far the scores are


@dataclass(frozen=True)
class SceneScores:
    """Metrics of a split by name, each beginning with `scene_`, and how they were made, for a record."""

    metrics: dict[str, float]
    described: dict[str, Any]


def score_scenes(
    model: Callable[..., Tensor], data: SceneData, split: str, target: Target, overlap_px: int | None = None
) -> SceneScores:
    """Return the scores of the map that `predict` would make of the scenes of a split, over the split's pixels alone.

    Windows are planned over the whole scene. Where a split is a part of a scene, the labels of that part alone count;
    the image around it, at most a window's width of it, is context, whatever split it belongs to: as it would be for a
    map. So images of training pixels may be seen there, labels never.

    model: see `geocompose.inference.raster.predict_raster`. data: after `setup`. target: the model's.
    overlap_px: pixels that neighbouring windows share; None is a quarter of a tile, as for a map.

    Raises:
        UserError: the model can't take windows of scenes that are smaller than a tile, or returns NaN; an image holds
            NaN outside of the splits.
    """
    assert target.pixel_wise, target.kind
    overlap = data.tile_px // 4 if overlap_px is None else overlap_px
    content = CONTENTS[target.kind][0]
    counting = _Counting(data, sum(1 for _ in _windows(data, split, overlap)))
    overlapped(
        ((gathered([read for read, _ in batch]), batch) for batch in _batches(data, split, overlap)),
        lambda given: (said_of(model, given[0], target, content), given[1]),
        counting,
    )
    assert not isinstance(counting.total, int), "setup has found a label in every split"
    metrics = {f"{PREFIX}{name}": value for name, value in scores_of(counting.total, target).items()}
    return SceneScores(metrics, {"tile_px": data.tile_px, "overlap_px": overlap, "windows": counting.windows})


class _Counting:
    """Counts what is said of windows, and says now and then how far it is.

    Attributes: `total`, the counts or sums so far; `windows`, how many there were.
    """

    def __init__(self, data: SceneData, expected: int) -> None:
        self.total: np.ndarray | int = 0
        self.windows = 0
        self._data, self._expected = data, expected
        self._began = self._told = time.monotonic()

    def __call__(self, done: tuple[Said, list[tuple[ReadWindow, Region]]]) -> None:
        said, batch = done
        for (read, region), values in zip(batch, said.arrays(), strict=True):
            if values is not None:
                self.total = self.total + _counted(self._data, read, region, values)
        self.windows += len(batch)
        now = time.monotonic()
        if now - self._told > TELLS_S and self.windows < self._expected:
            self._told = now
            COURSE.info(
                "Scores of the whole scenes: %s of %s windows after %.0f s.",
                *(f"{self.windows:,}", f"{self._expected:,}", now - self._began),
            )


def _windows(data: SceneData, split: str, overlap_px: int) -> Iterator[tuple[Region, PredictionWindow]]:
    """Yield the windows that write into a region of the split, each with that region."""
    for region in data.regions[split]:
        scene = data.scenes[region.scene]
        for window in plan_windows(scene.height, scene.width, data.tile_px, overlap_px):
            if _common(window.write, region.window) is not None:
                yield region, window


def _batches(data: SceneData, split: str, overlap_px: int) -> Iterator[list[tuple[ReadWindow, Region]]]:
    """Yield windows of one size as they were read, each with its region."""
    normalized = Normalization(data.mean, data.std)
    batch: list[tuple[ReadWindow, Region]] = []
    for region, window in _windows(data, split, overlap_px):
        scene, bands = data.scenes[region.scene], data.selected_places(region.scene)
        image, valid = scene.read_image(window.read, bands)
        masked = scene.masked_frames(bands)
        check_image(np.delete(image, masked, axis=1) if masked else image, valid, scene, bands, window.read)
        pixels = without_frames(normalized(image, valid), masked)
        read = ReadWindow(window, pixels, valid, data.coordinates.of(region.scene, window.read))
        if batch and (len(batch) == data.batch_size or batch[0][0].pixels.shape != read.pixels.shape):
            yield batch
            batch = []
        batch.append((read, region))
    if batch:
        yield batch


def _counted(data: SceneData, read: ReadWindow, region: Region, values: np.ndarray) -> np.ndarray:
    """Return the counts or sums of what was said of the part of a window that is written and lies in the region."""
    write = read.window.write
    part = _common(write, region.window)
    assert part is not None
    label = data.scenes[region.scene].read_label(part)
    label = data.labels.without(label, read.valid[_within(part, read.window.read)])
    said = values[:, *_within(part, write)]
    if data.target.of_classes:
        known = label != data.target.ignore_index
        return count(label[known], said[0][known], data.target)
    truth, own = (np.moveaxis(numbers, 0, -1).reshape(-1, data.target.num_outputs) for numbers in (label, said))
    return count(truth, own, data.target)


def _common(one: Window, other: Window) -> Window | None:
    """Return the pixels of both windows, None where there are none."""
    row, column = max(one.row, other.row), max(one.column, other.column)
    height = min(one.row + one.height, other.row + other.height) - row
    width = min(one.column + one.width, other.column + other.width) - column
    return Window(row, column, height, width) if height > 0 and width > 0 else None


def _within(part: Window, whole: Window) -> tuple[slice, slice]:
    """Return the rows and columns of a part, counted from the start of the whole."""
    return part._replace(row=part.row - whole.row, column=part.column - whole.column).slices
