"""A model over a raster of any size: read, predicted and written window by window."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from torch import Tensor

from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.files.band_files import shown
from geocompose.data.rasters.file import opened
from geocompose.data.rasters.remarks import say_remarks
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.batch_choice import Batch, choose_batch
from geocompose.inference.cells import CellReader, Pixels, cell_shape, lane_px
from geocompose.inference.content import Content
from geocompose.inference.coordinates import CoordinateReader, stacked
from geocompose.inference.destination import GEOTIFF, check_destination, replacing
from geocompose.inference.device import best_device
from geocompose.inference.geotiff import PredictionWriter, check_written
from geocompose.inference.map_codes import MapCodes
from geocompose.inference.read_windows import ReadWindow, Said, batched, gathered, said_of
from geocompose.inference.reading import FurtherRaster, ModelInput, Reading
from geocompose.inference.stages import overlapped
from geocompose.inference.tally import Spread, Tally
from geocompose.inference.watch import Watch
from geocompose.inference.windows import WindowPlan, plan_windows

# GDAL's own default is a share of the machine's memory: several GB on a large one.
BLOCK_CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class MapSummary:
    """What was predicted.

    batch: how many windows at a time.
    class_pixels: for each class, by name, the pixels in which it is the most probable; empty for numbers.
    variables: for each variable, by name, what its values are like; empty for classes.
    """

    height: int
    width: int
    windows: int
    batch: Batch
    nodata_pixels: int
    class_pixels: dict[str, int]
    variables: dict[str, Spread]


def predict_raster(
    model: Callable[..., Tensor],
    source: str | Path,
    destination: str | Path,
    *,
    target: Target,
    content: Content,
    reading: Reading,
    further: Sequence[FurtherRaster] = (),
    tile_px: int,
    overlap_px: int,
    batch_size: int | None,
    coordinates: CoordinateReader | None = None,
    codes: MapCodes | None = None,
    progress: Callable[[int, int], None] | None = None,
    chosen: Callable[[Batch], None] | None = None,
) -> MapSummary:
    """Predict the raster at `source`, write it to `destination`, and return what was done.

    Reading, the model and writing are at work at the same time (`overlapped`). In memory are a few batches of windows,
    what later windows need of what was read (`geocompose.inference.cells`), and up to 64 MB of GDAL's blocks, whatever
    the raster's size. `destination` appears when it is complete, and replaces a file of that name; until then a hidden
    file stands beside it.

    Windows don't touch each other: a map is the same for every batch size, but for the rounding of kernels that add in
    another order, which can turn a pixel of which two classes are equally probable. Where the model's receptive field
    reaches no farther than half the overlap, and windows begin at multiples of its stride, the map is that of the whole
    raster at once.

    model: takes normalised pixels, float32 (B, bands, [frames,] h, w) on the CPU, and returns what a model of
        `target.kind` does (segmentation: logits (B, classes, h, w); regression: (B, h, w), or (B, variables, h, w) for
        several), on any device. h and w are `tile_px`, or the raster's size where that is smaller.
    content: `classes` is the index of the most probable class, `probabilities` the softmax, one band per class;
        `values` is one band per variable, in its physical unit.
    reading: how the raster is read. A pixel without data is the mean of every band to the model, and the prediction has
        no data there: 255 (65535 from 256 classes on) or NaN. further: rasters beside the first, on its grid.
    overlap_px: pixels that neighbouring windows share; half of them, next to a window's border, are never written.
    coordinates: finds when and where each window was taken, which the model is then given by name; None for a model
        that is given neither.
    codes: which number stands for a class in `classes`; None means its index.
    batch_size: windows at a time; None is as many as fit into memory (`choose_batch`), which `chosen` is told.
    progress: called with the number of windows written and the number of all after each batch, in another thread.

    Raises:
        UserError: an argument, a file or the model's output is not as described above; nothing is written.
    """
    assert target.pixel_wise, target.kind
    source, destination = str(source), Path(destination)
    if batch_size is not None and batch_size < 1:
        raise UserError(f"action.batch_size={batch_size}: write how many windows to predict at a time, 1 or more.")
    tally = Tally(target)
    with rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE_BYTES):
        seen = reading.open(source, further)
        say_remarks(seen.image.rasters)
        watch = reading.watch()
        watch.begin(seen)
        watch.say_tags()
        height, width = seen.image.height, seen.image.width
        first = str(seen.image.path)  # the file itself, where `source` stands for one per band
        taken = Coordinates() if coordinates is None else coordinates.of(shown(Path(source)), first)
        plan = plan_windows(height, width, tile_px, overlap_px)
        check_destination(destination, GEOTIFF, [raster.path for raster in seen.image.rasters])
        with replacing(destination) as partial:
            batch = Batch(batch_size) if batch_size is not None else _chosen(model, seen, plan[0].read, taken)
            if chosen is not None:
                chosen(batch)
            writer = PredictionWriter(partial, opened(first), content=content, target=target, codes=codes)
            write = _Writing(writer, tally, len(plan), progress)
            try:
                with closing(_windows(seen, watch, plan, tile_px, taken)) as windows:
                    overlapped(
                        map(gathered, batched(windows, batch.size)),
                        lambda batch: said_of(model, batch, target, content),
                        write,
                    )
            finally:
                writer.close()
            check_written(partial, writer.checksum)
    watch.say()
    return MapSummary(
        height=height,
        width=width,
        windows=len(plan),
        batch=batch,
        nodata_pixels=height * width - tally.count,
        class_pixels=tally.classes,
        variables=tally.variables,
    )


def _chosen(model: Callable[..., Tensor], seen: ModelInput, window: Window, taken: Coordinates) -> Batch:
    """Return how many windows of this size fit into memory."""
    frames = (seen.image.num_frames,) if seen.image.num_frames > 1 else ()
    image = torch.zeros(1, len(seen.places), *frames, window.height, window.width)
    return choose_batch(model, image, stacked([taken.of(0, window)]))


def _windows(
    seen: ModelInput, watch: Watch, plan: WindowPlan, tile_px: int, taken: Coordinates
) -> Generator[ReadWindow, None, None]:
    """Yield the windows of a plan as the model sees them, lane by lane."""
    height, width = seen.image.height, seen.image.width
    shape = cell_shape(height, width, opened(seen.image.path).block_shapes[0])
    in_pixel = 4 * len(seen.places) * seen.image.num_frames + 1  # float32, and whether it is valid
    lanes = plan.lanes(lane_px(width, tile_px, shape, in_pixel))

    def read(window: Window) -> Pixels:
        with rasterio.Env():  # rasterio tells GDAL of itself thread by thread
            return seen.read(window, watch)

    cells = CellReader(read, (height, width), shape, reading_threads())
    with closing(cells.windows(plan, lanes)) as windows:  # its threads end with it
        for window, (pixels, valid) in windows:
            yield ReadWindow(window, pixels, valid, taken.of(0, window.read))


def reading_threads() -> int:
    """Return how many threads decode at a time: one beside a model that keeps the processor busy, else up to eight."""
    return 1 if best_device().type == "cpu" else max(1, min(8, (os.cpu_count() or 2) - 2))


class _Writing:
    """Writes what was said of windows, and counts it."""

    def __init__(
        self, writer: PredictionWriter, tally: Tally, total: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self._writer, self._tally, self._total, self._progress = writer, tally, total, progress
        self._done = 0

    def __call__(self, said: Said) -> None:
        for window, all_valid, values in zip(said.batch.windows, said.batch.valid, said.arrays(), strict=True):
            valid = all_valid[window.kept]
            if values is None:
                values = np.full((self._writer.bands, *valid.shape), self._writer.nodata)
            else:
                self._tally.add(values.reshape(len(values), -1) if valid.all() else values[:, valid])
            self._writer.write(window.write, values, valid)
        self._done += len(said.batch.windows)
        if self._progress is not None:
            self._progress(self._done, self._total)
