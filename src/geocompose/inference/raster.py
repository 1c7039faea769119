"""A model over a raster of any size: read, predicted and written window by window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from torch import Tensor

from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.files.band_files import shown
from geocompose.data.rasters.file import opened
from geocompose.data.rasters.remarks import say_remarks
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.content import Content
from geocompose.inference.coordinates import CoordinateReader
from geocompose.inference.destination import GEOTIFF, check_destination, replacing
from geocompose.inference.geotiff import PredictionWriter, check_written
from geocompose.inference.map_codes import MapCodes
from geocompose.inference.read_windows import ReadWindow, predict_windows
from geocompose.inference.reading import FurtherRaster, Reading
from geocompose.inference.tally import Spread, Tally
from geocompose.inference.windows import plan_windows

# GDAL's own default is a share of the machine's memory: several GB on a large one.
BLOCK_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class MapSummary:
    """What was predicted.

    class_pixels: for each class, by name, the pixels in which it is the most probable; empty for numbers.
    variables: for each variable, by name, what its values are like; empty for classes.
    """

    height: int
    width: int
    windows: int
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
    batch_size: int,
    coordinates: CoordinateReader | None = None,
    codes: MapCodes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MapSummary:
    """Predict the raster at `source`, write it to `destination`, and return what was done.

    One batch of windows is in memory at a time, and up to 256 MB of GDAL's blocks, whatever the raster's size.
    `destination` appears when it is complete, and replaces a file of that name; until then a hidden file stands beside
    it.

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
    progress: called with the number of windows done and the number of all after each batch.

    Raises:
        UserError: an argument, a file or the model's output is not as described above; nothing is written.
    """
    assert target.pixel_wise, target.kind
    source, destination = str(source), Path(destination)
    if batch_size < 1:
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
            writer = PredictionWriter(partial, opened(first), content=content, target=target, codes=codes)
            try:
                for start in range(0, len(plan), batch_size):
                    tiles = [
                        ReadWindow(window, *seen.read(window.read, watch), taken.of(0, window.read))
                        for window in plan[start : start + batch_size]
                    ]
                    _write_batch(tiles, predict_windows(model, tiles, target, content), writer, tally)
                    if progress is not None:
                        progress(start + len(tiles), len(plan))
            finally:
                writer.close()
            check_written(partial, writer.checksum)
    watch.say()
    return MapSummary(
        height=height,
        width=width,
        windows=len(plan),
        nodata_pixels=height * width - tally.count,
        class_pixels=tally.classes,
        variables=tally.variables,
    )


def _write_batch(
    tiles: Sequence[ReadWindow], predictions: Sequence[np.ndarray | None], writer: PredictionWriter, tally: Tally
) -> None:
    for tile, values in zip(tiles, predictions, strict=True):
        valid = tile.valid[tile.window.kept]
        if values is None:
            values = np.full((writer.bands, *valid.shape), writer.nodata)
        else:
            tally.add(values[:, valid])
        writer.write(tile.window.write, values, valid)
