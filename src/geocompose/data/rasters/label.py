"""Labels of a raster scene: a raster of classes, a raster of numbers, or what a list says of the whole image."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from geocompose.data.label_values import LabelCodes, UnlistedValueError
from geocompose.data.rasters.file import RasterPath, read_bands, version_of
from geocompose.data.rasters.grid import Grid, check_alike
from geocompose.data.rasters.header import read_header
from geocompose.data.rasters.valid import check_real, equals
from geocompose.data.window import Window
from geocompose.errors import UserError


class SceneLabel(Protocol):
    """What a raster scene knows of its label.

    keep_decoded: whether pixels stay in memory once they were read.
    """

    keep_decoded: bool

    def check_fits(self, image_path: RasterPath, image: Grid) -> None:
        """Refuse a label that does not lie on the image's pixels."""

    def decoded_bytes(self) -> int:
        """Return the memory that it takes when it is kept decoded."""

    def read(self, window: Window) -> np.ndarray:
        """Return the label of a window, see `geocompose.data.scene.Scene`."""


class ImageLabel:
    """One label for the whole image, the same for each window of it."""

    def __init__(self, label: np.ndarray) -> None:
        self.label = label
        self.keep_decoded = False

    def check_fits(self, image_path: RasterPath, image: Grid) -> None:
        """Any image fits."""

    def decoded_bytes(self) -> int:
        """Return the memory that the label takes."""
        return self.label.nbytes

    def read(self, window: Window) -> np.ndarray:
        """Return the label."""
        return self.label


class _LabelRaster(ABC):
    """A raster with the label of each pixel."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keep_decoded = False
        self._decoded: Sequence[np.ndarray] | None = None
        self._version = version_of(path, anew=True)
        self._header = read_header(path)
        self._bands: list[int] = [0]

    @abstractmethod
    def read(self, window: Window) -> np.ndarray:
        """Return the label of a window."""

    def check_fits(self, image_path: RasterPath, image: Grid) -> None:
        """Refuse a label of another size or place than its image."""
        check_alike(image_path, image, self.path, self._header, what="label")

    def decoded_bytes(self) -> int:
        """Return the memory that it takes when it is kept decoded."""
        return self._header.height * self._header.width * len(self._bands) * self._header.itemsize

    def _raw(self, window: Window) -> Sequence[np.ndarray]:
        """Return the bands of a window, each as it is stored."""
        if not self.keep_decoded:
            return read_bands(self.path, self._bands, window, self._version)
        if self._decoded is None:
            self._decoded = read_bands(self.path, self._bands, None, self._version)
        return [plane[window.slices] for plane in self._decoded]

    def __getstate__(self) -> dict[str, Any]:
        # Another process decodes for itself: pixels are slow to send.
        return self.__dict__ | {"_decoded": None}


class ClassRaster(_LabelRaster):
    """A raster with one band of classes.

    codes: what the values mean; its `ignore_index` stands in what is read for pixels without label.
    label_nodata: value for "not labelled" beside ignore_index; None means what the file declares.

    Raises:
        UserError: the file is not a raster, has several bands, or declares a nodata value that is also a class.
    """

    def __init__(self, path: Path, codes: LabelCodes, label_nodata: float | None = None) -> None:
        super().__init__(path)
        self.codes = codes
        self.ignore_index = ignore_index = codes.ignore_index
        if self._header.count != 1:
            raise UserError(
                f"{path} has {self._header.count} bands; a label has one. Is data.labels the pattern of the images?"
            )
        check_real(path, self._header.dtypes, self._bands)
        declared = self._header.nodata[0]
        if codes.is_given and label_nodata is not None and label_nodata in codes.names:
            raise UserError(
                f"data.label_nodata={label_nodata:g} is also in data.label_values, as the class "
                f"{codes.names[int(label_nodata)]!r}. Take it out of one of them."
            )
        if label_nodata is None and declared is not None and declared in codes.names:
            raise UserError(
                f"{path} declares nodata {declared:g}, which is also the class {codes.names[int(declared)]!r}. "
                f"Set data.label_nodata={declared:g} if it means unlabelled, or data.label_nodata={ignore_index} if it "
                "is that class."
            )
        self._nodata = declared if label_nodata is None else label_nodata

    def read(self, window: Window) -> np.ndarray:
        """Return the classes, int64 (height, width), with ignore_index where the label is nodata.

        Raises:
            UserError: the file can't be decoded, or a value is not a whole number, or not one that is listed.
        """
        values = self.values(window)
        if self.codes.is_given and not self.codes.ignores_unlisted:
            self._check_listed(values, window)
        return self.codes.classes(values)

    def _check_listed(self, values: np.ndarray, window: Window) -> None:
        wrong = np.argwhere(self.codes.unlisted(values))
        if len(wrong):
            row, column = wrong[0]
            raise UnlistedValueError(
                f"{self.path} has the value {values[row, column]} at row {window.row + row}, column "
                f"{window.column + column}, which is not in data.label_values: {self.codes.in_words}, and "
                f"{self.ignore_index} (data.ignore_index) for pixels without a label. Add it to its class, or set "
                "data.unlisted_labels=ignore to leave such pixels without a label."
            )

    def values(self, window: Window) -> np.ndarray:
        """Return the values of the file, int64 (height, width), with ignore_index where the label is nodata.

        Raises:
            UserError: the file can't be decoded, or a value is not a whole number.
        """
        raw = self._raw(window)[0]
        unlabelled = equals(raw, self._nodata)
        if np.issubdtype(raw.dtype, np.floating):
            whole = np.isfinite(raw) & (np.floor(raw) == raw)
            wrong = np.argwhere(~whole if unlabelled is None else ~whole & ~unlabelled)
            if len(wrong):
                row, column = wrong[0]
                raise UserError(
                    f"{self.path} has the value {raw[row, column]} at row {window.row + row}, column "
                    f"{window.column + column}: a label holds whole numbers, one per class. "
                    "If it marks unlabelled pixels, set data.label_nodata to it."
                )
            raw = np.where(whole, raw, self.ignore_index)
        label = raw.astype(np.int64)
        if unlabelled is not None:
            label[unlabelled] = self.ignore_index
        return label


class NumberRaster(_LabelRaster):
    """A raster with one band of numbers per variable; NaN means no label.

    variables: names of the numbers. Where the file's bands carry all of these names, they are found by name; else the
        file has one band per variable, in this order.
    label_nodata: value for "not labelled" beside NaN; None means what the file declares, band by band.

    Raises:
        UserError: the file is not a raster of real numbers, or has another number of bands.
    """

    def __init__(self, path: Path, variables: Sequence[str], label_nodata: float | None = None) -> None:
        super().__init__(path)
        header = self._header
        if all(name in header.descriptions for name in variables):
            self._bands = [header.descriptions.index(name) for name in variables]
        elif header.count == len(variables):
            self._bands = list(range(header.count))
        else:
            described = ", ".join(text or "unnamed" for text in header.descriptions)
            raise UserError(
                f"{path} has {header.count} bands ({described}), but data.variables has {len(variables)} names "
                f"({', '.join(variables)}). A label has one band per variable, or bands with the variables' names."
            )
        check_real(path, header.dtypes, self._bands)
        self._nodata = [header.nodata[band] if label_nodata is None else label_nodata for band in self._bands]

    def read(self, window: Window) -> np.ndarray:
        """Return the numbers, float32 (variables, height, width), with NaN where the label is nodata.

        Raises:
            UserError: the file can't be decoded.
        """
        raw = self._raw(window)
        # A double may be too large for float32; where it is not nodata, the scan finds infinity.
        with np.errstate(over="ignore"):
            label = np.stack([plane.astype(np.float32) for plane in raw])
        for values, stored, nodata in zip(label, raw, self._nodata, strict=True):
            unlabelled = equals(stored, nodata)
            if unlabelled is not None:
                values[unlabelled] = np.nan
        return label
