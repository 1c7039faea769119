"""Writing predictions as a GeoTIFF on the source's grid: in place only when it is complete and has been read back."""

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from geocompose.errors import UserError, choices
from geocompose.figures.palette import IGNORED, class_colours
from geocompose.inference.source import is_local
from geocompose.inference.windows import Box

Output = Literal["classes", "probabilities"]
BLOCK_PX = 256
# What GDAL and other programs keep beside a raster; left there, they would describe the raster that was replaced.
SIDE_FILES = (".aux.xml", ".ovr", ".msk")


def check_target(target: Path, source: str | Path) -> None:
    """Refuse a target that can't become a GeoTIFF or would overwrite the source, before anything is computed.

    Raises:
        UserError: `target` is a folder, lacks a GeoTIFF's ending, is `source` itself, or its folder can't be made.
    """
    if target.is_dir():
        raise UserError(f"{target} is a folder. Name the file to write in it, such as {target / 'prediction.tif'}.")
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise UserError(f"Predictions are written as GeoTIFF: {target} should end with .tif or .tiff.")
    if is_local(source) and Path(source).resolve() == target.resolve():
        raise UserError(
            f"{target} is the raster to be predicted; the prediction would overwrite it. Name another file."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {target.parent} can't be made: {error.strerror}. Name another target.") from error
    if not os.access(target.parent, os.W_OK):
        raise UserError(f"The folder {target.parent} can't be written to. Name another target.")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield the path to write to, beside `target`; it takes `target`'s place at the end, or is removed on an error."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    for ending in SIDE_FILES:
        target.with_name(target.name + ending).unlink(missing_ok=True)


class PredictionWriter:
    """An open GeoTIFF of predictions with the size, projection and transform of `like`.

    `classes` is one band of class indices with a colour table, uint8 and nodata 255, or uint16 and nodata 65535 from
    256 classes on; `probabilities` is one float32 band a class, named after it, with nodata NaN. The tag `class_names`
    is a JSON list.

    Raises:
        UserError: `output` is none of the two, or there are fewer than 2, more than 65,535 or two equal classes.
    """

    def __init__(self, path: Path, like: DatasetReader, *, output: Output, class_names: Sequence[str]):
        check_output(output, class_names)
        self.output = output
        self.num_classes = len(class_names)
        self.bands = 1 if output == "classes" else self.num_classes
        self.nodata = nodata_value(output, self.num_classes)
        # A predictor of differences helps with smooth numbers, not with labels.
        kind = (
            {"dtype": "uint8" if self.num_classes <= 255 else "uint16", "predictor": 1}
            if output == "classes"
            else {"dtype": "float32", "predictor": 3}
        )
        with _ungeoreferenced_is_fine(), _explained("created"):
            self.dataset: DatasetWriter = rasterio.open(
                path,
                "w",
                driver="GTiff",
                height=like.height,
                width=like.width,
                count=self.bands,
                nodata=self.nodata,
                tiled=True,
                blockxsize=BLOCK_PX,
                blockysize=BLOCK_PX,
                compress="deflate",
                interleave="band",
                BIGTIFF="IF_SAFER",
                **kind,
            )
        _copy_grid(like, self.dataset)
        self.dataset.update_tags(class_names=json.dumps(list(class_names)))
        if output == "classes":
            self.dataset.set_band_description(1, "class")
            self._write_colours(class_names)
        else:
            for index, name in enumerate(class_names, 1):
                self.dataset.set_band_description(index, name)

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write (bands, h, w) or, for classes, (h, w) at `box`.

        Raises:
            UserError: the system refuses, as when the disk is full.
        """
        values = values.reshape(self.bands, box.height, box.width).astype(self.dataset.dtypes[0], copy=False)
        with _explained("written"):
            self.dataset.write(values, window=Window(box.col, box.row, box.width, box.height))

    def close(self) -> None:
        """Finish the file; see `check_written` for why that may not be the end of it."""
        with _explained("finished"):
            self.dataset.close()

    def _write_colours(self, class_names: Sequence[str]) -> None:
        colours = {index: (*colour, 255) for index, colour in enumerate(class_colours(class_names))}
        self.dataset.write_colormap(1, {**colours, int(self.nodata): (*IGNORED, 255)})
        self.dataset.colorinterp = [ColorInterp.palette]


def check_output(output: str, class_names: Sequence[str]) -> None:
    """Refuse an unknown `output`, and classes that can't be written or told apart."""
    if output not in get_args(Output):
        raise UserError(f"Unknown output {output!r}. {choices(output, get_args(Output))}")
    if not 2 <= len(class_names) <= 65_535:
        raise UserError(f"A prediction has 2 to 65535 classes, got {len(class_names)}: {list(class_names)[:6]}.")
    if len(set(class_names)) < len(class_names):
        raise UserError(f"Two classes have one name: {', '.join(class_names)}. Give each class its own.")


def nodata_value(output: Output, num_classes: int) -> float:
    """Return what stands in the output where the source has no data."""
    if output == "probabilities":
        return float("nan")
    return 255 if num_classes <= 255 else 65_535


def check_written(path: Path, output: Output, class_pixels: np.ndarray) -> None:
    """Read `path` back block by block and compare it with what was predicted.

    GDAL keeps blocks in memory until a file is closed, and closes it without an error on a full disk: only reading
    shows that everything has arrived.

    class_pixels: predicted pixels a class, int64 (classes,).

    Raises:
        UserError: the file can't be read, or holds something else than was written.
    """
    found = np.zeros_like(class_pixels)
    finite = np.zeros_like(class_pixels)
    try:
        with _ungeoreferenced_is_fine(), rasterio.open(path) as dataset:
            nodata = dataset.nodata
            for _, window in dataset.block_windows(1):
                values = dataset.read(window=window)
                if output == "classes":
                    found += np.bincount(values[values != nodata], minlength=len(found))[: len(found)]
                else:
                    finite += np.isfinite(values).sum(axis=(1, 2))
                    valid = np.isfinite(values).all(axis=0)
                    found += np.bincount(values.argmax(axis=0)[valid], minlength=len(found))
    except RasterioError as error:
        raise UserError(_not_written(f"it can't be read back: {error.__cause__ or error}")) from error
    complete = output == "classes" or (finite == class_pixels.sum()).all()
    if not complete or (found != class_pixels).any():
        raise UserError(_not_written("it doesn't hold what was written"))


def _not_written(reason: str) -> str:
    return (
        f"The prediction could not be written: {reason}. Is the disk full? Nothing is left of it; try another target."
    )


def _copy_grid(like: DatasetReader, dataset: DatasetWriter) -> None:
    """Give `dataset` the georeference of `like`, whichever of the three kinds it has."""
    points, points_crs = like.gcps
    if points:
        dataset.gcps = (points, points_crs)
    else:
        if like.crs is not None:
            dataset.crs = like.crs
        if not like.transform.is_identity:
            dataset.transform = like.transform
    if like.rpcs:
        dataset.rpcs = like.rpcs


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except RasterioError as error:
        reason = error.__cause__ or error
        raise UserError(
            f"The prediction could not be {what}: {reason}. Is the disk full? Nothing is left of it."
        ) from error


@contextmanager
def _ungeoreferenced_is_fine() -> Iterator[None]:
    """Hold back rasterio's warning for a file that has no grid yet; it still comes for a source without one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
