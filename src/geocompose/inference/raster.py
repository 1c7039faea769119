"""A model over a raster of any size: read, predicted and written window by window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import rasterio
import torch

from geocompose.errors import UserError
from geocompose.inference.source import BandReader, open_raster
from geocompose.inference.target import Output, PredictionWriter, check_target, check_written, replacing
from geocompose.inference.windows import PredictionWindow, plan_windows

# GDAL's own default is a share of the machine's memory: several GB on a large one.
BLOCK_CACHE_BYTES = 256 * 2**20


class PredictionSummary(TypedDict):
    """What was predicted; `class_pixels` counts the pixels in which a class, by name, is the most probable."""

    source: str
    target: str
    height: int
    width: int
    windows: int
    nodata_pixels: int
    class_pixels: dict[str, int]


@dataclass(frozen=True)
class _Tile:
    """One window as it was read: where it belongs, normalised pixels (C, h, w), and which are valid (h, w)."""

    window: PredictionWindow
    pixels: np.ndarray
    valid: np.ndarray


def predict_raster(
    logits: Callable[[torch.Tensor], torch.Tensor],
    source: str | Path,
    target: str | Path,
    *,
    bands: Sequence[str],
    band_names: Sequence[str] | None,
    training_names: Sequence[str] | None = None,
    mean: Sequence[float],
    std: Sequence[float],
    nodata: float | None,
    tile_px: int,
    overlap_px: int,
    batch_size: int,
    output: Output,
    class_names: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> PredictionSummary:
    """Predict the raster at `source`, write it to `target`, and return what was done.

    One batch of windows is in memory at a time, and up to 256 MB of GDAL's blocks, whatever the raster's size. `target`
    appears when it is complete, and replaces a file of that name; until then a hidden file stands beside it.

    logits: takes normalised pixels, float32 (B, bands, h, w) on the CPU, and returns (B, classes, h, w), on any device.
        h and w are `tile_px`, or the raster's size where that is smaller.
    bands, mean, std: what the model was trained with, one a band, in its order.
    band_names: names of all bands of the file, in file order, whatever it says itself.
    training_names: those that the training images were given, taken where their number is the file's; without either,
        the file's own.
    nodata: value that marks pixels without data; None is what the file declares. Where any of `bands` has it, the model
        gets the mean of every band, and the output has no data: 255 (65535 from 256 classes on) or NaN.
    overlap_px: pixels that neighbouring windows share; half of them, next to a window's border, are never written.
    output: `classes` is the index of the most probable class, `probabilities` the softmax, one band a class.
    progress: called with the number of windows done and the number of all after each batch.

    Raises:
        UserError: an argument, the source, the target or the logits are not as described above; no target is written.
    """
    source, target = str(source), Path(target)
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size}: write how many windows to predict at a time, 1 or more.")
    counts = np.zeros(len(class_names), dtype=np.int64)
    with rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE_BYTES), open_raster(source) as dataset:
        reader = BandReader(
            dataset,
            bands=bands,
            band_names=band_names,
            training_names=training_names,
            mean=mean,
            std=std,
            nodata=nodata,
        )
        plan = plan_windows(dataset.height, dataset.width, tile_px, overlap_px)
        check_target(target, source)
        with replacing(target) as partial:
            writer = PredictionWriter(partial, dataset, output=output, class_names=class_names)
            try:
                for start in range(0, len(plan), batch_size):
                    windows = plan[start : start + batch_size]
                    counts += _predict_batch(logits, reader, windows, writer)
                    if progress is not None:
                        progress(start + len(windows), len(plan))
            finally:
                writer.close()
            check_written(partial, output, counts)
        height, width = dataset.height, dataset.width
    return {
        "source": source,
        "target": str(target),
        "height": height,
        "width": width,
        "windows": len(plan),
        "nodata_pixels": height * width - int(counts.sum()),
        "class_pixels": {name: int(count) for name, count in zip(class_names, counts, strict=True)},
    }


def _predict_batch(
    logits: Callable[[torch.Tensor], torch.Tensor],
    reader: BandReader,
    windows: Sequence[PredictionWindow],
    writer: PredictionWriter,
) -> np.ndarray:
    """Read, predict and write `windows`; return the pixels written a class, int64 (classes,)."""
    tiles = [_Tile(window, *reader.read(window.read)) for window in windows]
    counts = np.zeros(writer.num_classes, dtype=np.int64)
    # The borders of a scene are often empty: a window without a valid pixel needs no model.
    seen = [tile for tile in tiles if tile.valid[tile.window.kept].any()]
    scores = iter(_scores(logits, seen, writer.num_classes) if seen else ())
    for tile in tiles:
        valid = tile.valid[tile.window.kept]
        if not valid.any():
            writer.write(tile.window.write, np.full((writer.bands, *valid.shape), writer.nodata))
            continue
        kept = next(scores)[:, *tile.window.kept]
        if writer.output == "classes":
            values = classes = kept.argmax(dim=0).cpu().numpy()
        else:
            values = kept.softmax(dim=0).cpu().numpy()
            # From the rounded probabilities, so that the count is that of the file.
            classes = values.argmax(axis=0)
        counts += np.bincount(classes[valid], minlength=writer.num_classes)
        writer.write(tile.window.write, np.where(valid, values, writer.nodata))
    return counts


def _scores(logits: Callable[[torch.Tensor], torch.Tensor], tiles: Sequence[_Tile], num_classes: int) -> torch.Tensor:
    """Return the checked logits of `tiles`, float32 (B, classes, h, w)."""
    batch = torch.from_numpy(np.stack([tile.pixels for tile in tiles]))
    with torch.inference_mode():
        scores = logits(batch).float()
    expected = (len(batch), num_classes, *batch.shape[2:])
    if scores.shape != expected:
        raise UserError(
            f"The model returned {_shape(scores)} for {_shape(batch)}; a prediction needs one logit a class and pixel, "
            f"{' x '.join(map(str, expected))}. Check the number of classes, and rescale=True in the model."
        )
    if not scores.isfinite().all():
        first = int((~scores.isfinite()).flatten(1).any(dim=1).nonzero()[0])
        row, col, height, width = tiles[first].window.read
        raise UserError(
            f"The model returned NaN or infinite logits for the {height} x {width} window at row {row}, column {col}. "
            "Its training may have diverged: choose another run or checkpoint."
        )
    return scores


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
