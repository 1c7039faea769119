"""Writing predictions as a GeoTIFF on the source's grid, and reading them back to see that all has arrived."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window as RasterioWindow

from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.figures.palette import IGNORED, class_colours
from geocompose.imagery.samples import Target
from geocompose.inference.content import Content, check_names
from geocompose.inference.map_codes import MapCodes

BLOCK_PX = 256


class PredictionWriter:
    """An open GeoTIFF of predictions with the size, projection and transform of `like`.

    `classes` is one band of class indices with a colour table, uint8 and nodata 255, or uint16 and nodata 65535 from
    256 classes on; with `codes` that are written, it holds those, in a type and beside a nodata that fit.
    `probabilities` and `values` are one float32 band per class or variable, named after it, with nodata NaN; a band of
    `values` has the variable's unit where that is stated. Where there are classes, the tag `class_names` is a JSON
    list; where the training labels had other values than 0, 1, 2, ..., so is `label_values`, for each class a list of
    them.

    checksum: for each band the sum of its pixels' bits so far, uint64: whatever the order in which they were written.

    Raises:
        UserError: names that can't be told apart, or the file can't be created.
    """

    def __init__(
        self,
        path: Path,
        like: DatasetReader,
        *,
        content: Content,
        target: Target,
        codes: MapCodes | None = None,
    ):
        check_names(target)
        codes = codes or MapCodes()
        indices = content == "classes"
        self.bands = 1 if indices else len(target.names)
        self._numbers = codes.numbers(len(target.names)) if indices and codes.written else None
        dtype, nodata = codes.storage(len(target.names)) if indices else ("float32", float("nan"))
        self.nodata: float = nodata
        self.checksum = np.zeros(self.bands, dtype=np.uint64)
        # A predictor of differences helps with smooth numbers, not with labels.
        kind = {"dtype": dtype, "predictor": 1 if indices else 3}
        with _ungeoreferenced(), _explained("created"):
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
        if target.of_classes:
            self.dataset.update_tags(class_names=json.dumps(list(target.names)))
        if codes.values is not None:
            self.dataset.update_tags(label_values=json.dumps([list(several) for several in codes.values]))
        if indices:
            self.dataset.set_band_description(1, "class")
        if indices and dtype != "int32":  # a colour table is for the others alone
            numbers = map(int, codes.numbers(len(target.names)))
            colours = {
                number: (*colour, 255) for number, colour in zip(numbers, class_colours(target.names), strict=True)
            }
            self.dataset.write_colormap(1, {**colours, int(self.nodata): (*IGNORED, 255)})
            self.dataset.colorinterp = [ColorInterp.palette]
        if not indices:
            for index, name in enumerate(target.names, 1):
                self.dataset.set_band_description(index, name)
                if content == "values" and target.units is not None:
                    self.dataset.set_band_unit(index, target.units[index - 1])

    def write(self, window: Window, values: np.ndarray, valid: np.ndarray) -> None:
        """Write (bands, h, w) at `window`, and nodata where not `valid` (h, w).

        Raises:
            UserError: the system refuses, as when the disk is full.
        """
        if self._numbers is not None:
            values = self._numbers[values.astype(np.int64)]
        values = values.astype(self.dataset.dtypes[0])  # a copy, which nodata may be written into
        values[:, ~valid] = self.nodata
        self.checksum += _bits(values)
        place = RasterioWindow(window.column, window.row, window.width, window.height)
        with _explained("written"):
            self.dataset.write(values, window=place)

    def close(self) -> None:
        """Finish the file; see `check_written` for why that may not be the end of it."""
        with _explained("finished"):
            self.dataset.close()


def check_written(path: Path, checksum: np.ndarray) -> None:
    """Read `path` back block by block and compare it with what was predicted.

    GDAL keeps blocks in memory until a file is closed, and closes it without an error on a full disk: only reading
    shows that everything has arrived.

    checksum: the writer's.

    Raises:
        UserError: the file can't be read, or holds something else than was written.
    """
    found = np.zeros_like(checksum)
    try:
        with _ungeoreferenced(), rasterio.open(path) as dataset:
            for _, window in dataset.block_windows(1):
                found += _bits(dataset.read(window=window))
    except RasterioError as error:
        raise UserError(_not_written(f"it can't be read back: {error.__cause__ or error}")) from error
    if (found != checksum).any():
        raise UserError(_not_written("it doesn't hold what was written"))


def _bits(values: np.ndarray) -> np.ndarray:
    """Return for each band (bands, h, w) the sum of its pixels read as whole numbers, modulo 2^64."""
    whole = np.ascontiguousarray(values).view(f"uint{values.dtype.itemsize * 8}")
    return whole.sum(axis=(1, 2), dtype=np.uint64)


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
def _ungeoreferenced() -> Iterator[None]:
    """Hold back rasterio's warning of a raster without grid: the source has none either."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except RasterioError as error:
        reason = error.__cause__ or error
        raise UserError(
            f"The prediction could not be {what}: {reason}. Is the disk full? Nothing is left of it."
        ) from error
