"""A model over a raster of any size: read, predicted and written window by window."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from torch import Tensor

from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.imagery.units import Conversion
from geocompose.inference.answers import answers, check_output, first_not_finite
from geocompose.inference.content import Content
from geocompose.inference.coordinates import CoordinateReader, stacked
from geocompose.inference.destination import GEOTIFF, check_destination, replacing
from geocompose.inference.geotiff import PredictionWriter, check_written
from geocompose.inference.source import open_raster
from geocompose.inference.stacked import FurtherRaster, open_reader
from geocompose.inference.tally import Spread, Tally
from geocompose.inference.windows import PredictionWindow, plan_windows

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


@dataclass(frozen=True)
class _Tile:
    """One window as it was read: where it belongs, normalised pixels (C, [T,] h, w), and which are valid (h, w).

    coordinates: when and where it was taken, by its name in batches.
    """

    window: PredictionWindow
    pixels: np.ndarray
    valid: np.ndarray
    coordinates: dict[str, np.ndarray]


def predict_raster(
    model: Callable[..., Tensor],
    source: str | Path,
    destination: str | Path,
    *,
    target: Target,
    content: Content,
    bands: Sequence[str],
    band_names: Sequence[str] | None,
    training_names: Sequence[str] | None = None,
    mean: Sequence[float],
    std: Sequence[float],
    nodata: float | None,
    conversions: Sequence[Conversion] | None = None,
    num_frames: int = 1,
    further: Sequence[FurtherRaster] = (),
    tile_px: int,
    overlap_px: int,
    batch_size: int,
    coordinates: CoordinateReader | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MapSummary:
    """Predict the raster at `source`, write it to `destination`, and return what was done.

    One batch of windows is in memory at a time, and up to 256 MB of GDAL's blocks, whatever the raster's size.
    `destination` appears when it is complete, and replaces a file of that name; until then a hidden file stands beside
    it.

    model: takes normalised pixels, float32 (B, bands, [frames,] h, w) on the CPU, and returns what a model of
        `target.kind` does (segmentation: logits (B, classes, h, w); regression: (B, h, w), or (B, variables, h, w) for
        several), on any device. h and w are `tile_px`, or the raster's size where that is smaller.
    content: `classes` is the index of the most probable class, `probabilities` the softmax, one band a class; `values`
        is one band a variable, in its physical unit.
    bands, mean, std: what the model was trained with, one a band, in its order.
    band_names: names of all bands of the file, in file order, whatever it says itself.
    training_names: those that the training images were given, taken where their number is the file's; without either,
        the file's own.
    nodata: value that marks pixels without data; None is what the file declares. Where any of `bands` has it, the model
        gets the mean of every band, and the prediction has no data: 255 (65535 from 256 classes on) or NaN.
    conversions: how the values of each of `bands` become the unit of `mean` and `std`; None leaves them as they are.
    num_frames: time steps in each raster, one after the other. further: rasters beside the first, on its grid.
    overlap_px: pixels that neighbouring windows share; half of them, next to a window's border, are never written.
    coordinates: finds when and where each window was taken, which the model is then given by name; None for a model
        that is given neither.
    progress: called with the number of windows done and the number of all after each batch.

    Raises:
        UserError: an argument, a file or the model's output is not as described above; nothing is written.
    """
    assert target.pixel_wise, target.kind
    source, destination = str(source), Path(destination)
    if batch_size < 1:
        raise UserError(f"action.batch_size={batch_size}: write how many windows to predict at a time, 1 or more.")
    tally = Tally(target)
    reading = {
        "bands": bands,
        "band_names": band_names,
        "training_names": training_names,
        "mean": mean,
        "std": std,
        "nodata": nodata,
        "conversions": conversions,
        "num_frames": num_frames,
    }
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE_BYTES))
        dataset = stack.enter_context(open_raster(source))
        reader = open_reader(stack, dataset, further, reading)
        taken = Coordinates() if coordinates is None else coordinates.of(Path(source).name, dataset)
        plan = plan_windows(dataset.height, dataset.width, tile_px, overlap_px)
        check_destination(destination, GEOTIFF, [source, *(raster.path for raster in further)])
        with replacing(destination) as partial:
            writer = PredictionWriter(partial, dataset, content=content, target=target)
            try:
                for start in range(0, len(plan), batch_size):
                    tiles = [
                        _Tile(window, *reader.read(window.read), taken.of(0, Window(*window.read)))
                        for window in plan[start : start + batch_size]
                    ]
                    _write_batch(tiles, _predict(model, tiles, target, content), writer, tally)
                    if progress is not None:
                        progress(start + len(tiles), len(plan))
            finally:
                writer.close()
            check_written(partial, writer.checksum)
        height, width = dataset.height, dataset.width
    return MapSummary(
        height=height,
        width=width,
        windows=len(plan),
        nodata_pixels=height * width - tally.count,
        class_pixels=tally.classes,
        variables=tally.variables,
    )


def _predict(
    model: Callable[..., Tensor], tiles: Sequence[_Tile], target: Target, content: Content
) -> list[np.ndarray | None]:
    """Return for each tile what is written of it (bands, h, w), or None where its kept part has no valid pixel."""
    # The borders of a scene are often empty: a window without a valid pixel needs no model.
    seen = [tile for tile in tiles if tile.valid[tile.window.kept].any()]
    if not seen:
        return [None for _ in tiles]
    batch = torch.from_numpy(np.stack([tile.pixels for tile in seen]))
    with torch.inference_mode():
        output = model(batch, **stacked([tile.coordinates for tile in seen]))
        check_output(output, batch, target)
        wrong = first_not_finite(output)
        if wrong is not None:
            row, col, height, width = seen[wrong].window.read
            raise UserError(
                f"The model returned NaN or infinity for the {height} x {width} window at row {row}, column {col}. "
                "Its training may have diverged: choose another run or checkpoint."
            )
        # Cut before anything is made of it: probabilities of many classes are as large as the logits.
        kept = (output[i : i + 1, ..., *tile.window.kept] for i, tile in enumerate(seen))
        values = {
            tile.window: answers(part, target, content)[0].cpu().numpy() for tile, part in zip(seen, kept, strict=True)
        }
    return [values.get(tile.window) for tile in tiles]


def _write_batch(
    tiles: Sequence[_Tile], predictions: Sequence[np.ndarray | None], writer: PredictionWriter, tally: Tally
) -> None:
    for tile, values in zip(tiles, predictions, strict=True):
        valid = tile.valid[tile.window.kept]
        if values is None:
            values = np.full((writer.bands, *valid.shape), writer.nodata)
        else:
            tally.add(values[:, valid])
        writer.write(tile.window.write, values, valid)
