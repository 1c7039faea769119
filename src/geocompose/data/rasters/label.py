"""Labels of a raster scene: a raster of classes, a raster of numbers, or what a list says of the whole image."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from geocompose.data.label_values import LabelCodes, UnlistedValueError
from geocompose.data.rasters.alpha import BandsAndAlpha, without_alpha
from geocompose.data.rasters.file import RasterPath, version_of
from geocompose.data.rasters.grid import Grid, check_alike
from geocompose.data.rasters.header import read_header
from geocompose.data.rasters.stored import ReadsStored, StoredBands
from geocompose.data.rasters.valid import check_real
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.packing import Packing
from geocompose.imagery.units import Conversion


class SceneLabel(Protocol):
    """What a raster scene knows of its label.

    keep_decoded: whether pixels stay in memory once they were read.
    remarks: what is to be said of it.
    """

    keep_decoded: bool
    remarks: list[str]

    @property
    def path(self) -> RasterPath:
        """Its file; empty where it is in none."""

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
        self.remarks: list[str] = []
        self.path: RasterPath = ""  # it is in no file

    def check_fits(self, image_path: RasterPath, image: Grid) -> None:
        """Any image fits."""

    def decoded_bytes(self) -> int:
        """Return the memory that the label takes."""
        return self.label.nbytes

    def read(self, window: Window) -> np.ndarray:
        """Return the label."""
        return self.label


class NoLabel:
    """No label: a plane of 0, float32 (1, height, width), for tasks that learn from images alone."""

    def __init__(self) -> None:
        self.keep_decoded = False
        self.remarks: list[str] = []
        self.path: RasterPath = ""  # it is in no file

    def check_fits(self, image_path: RasterPath, image: Grid) -> None:
        """Any image fits."""

    def decoded_bytes(self) -> int:
        """Return that it takes no memory."""
        return 0

    def read(self, window: Window) -> np.ndarray:
        """Return the plane."""
        return np.zeros((1, window.height, window.width), dtype=np.float32)


class _LabelRaster(ReadsStored, ABC):
    """A raster with the label of each pixel.

    remarks: what is to be said of it: see `geocompose.data.rasters.remarks`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version = version_of(path, anew=True)
        self._header = read_header(path)

    def _use(self, bands: Sequence[int], split: BandsAndAlpha, stored: StoredBands) -> None:
        """Say which bands hold the label, and how they are read.

        Raises:
            UserError: one of them holds complex numbers.
        """
        check_real(self.path, self._header.dtypes, bands)
        self._bands, self._stored = bands, stored
        self.remarks = [*self._header.remarks, *split.remarks, *stored.remarks]

    @abstractmethod
    def read(self, window: Window) -> np.ndarray:
        """Return the label of a window."""

    def check_fits(self, image_path: RasterPath, image: Grid) -> None:
        """Refuse a label of another size or place than its image."""
        check_alike(image_path, image, self.path, self._header, what="label")

    def decoded_bytes(self) -> int:
        """Return the memory that it takes when it is kept decoded."""
        return self._stored.decoded_bytes(len(self._bands))


class ClassRaster(_LabelRaster):
    """A raster with one band of classes.

    codes: what the values mean; its `ignore_index` stands in what is read for pixels without label.
    label_nodata: value for "not labelled" beside ignore_index, and beside what the file declares, its masks and its
        alpha band. Where the file declares a class, this says whether it is one: `ignore_index` says so, the class
        itself means unlabelled.
    scale_tags: `ignore` takes classes as they are in a file with scale tags.

    Raises:
        UserError: the file is not a raster, has several bands or scale tags, or declares a nodata value that is also a
            class.
    """

    def __init__(
        self, path: Path, codes: LabelCodes, label_nodata: float | None = None, scale_tags: str = "read"
    ) -> None:
        super().__init__(path)
        self.codes = codes
        self.ignore_index = ignore_index = codes.ignore_index
        split = without_alpha(self._header, [None] * self._header.count)
        if len(split.bands) != 1:
            raise UserError(
                f"{path} has {self._header.count} bands; a label has one. Is data.labels the pattern of the images?"
            )
        (band,) = split.bands
        declared = list(self._header.nodata)
        value, remarks = declared[band], []
        if codes.is_given and label_nodata is not None and label_nodata in codes.names and label_nodata != value:
            raise UserError(
                f"data.label_nodata={label_nodata:g} is also in data.label_values, as the class "
                f"{codes.names[int(label_nodata)]!r}. Take it out of one of them."
            )
        if value is not None and value in codes.names and label_nodata != value:
            name = codes.names[int(value)]
            if label_nodata != ignore_index:
                raise UserError(
                    f"{path} declares nodata {value:g}, which is also the class {name!r}. "
                    f"Set data.label_nodata={value:g} if it means unlabelled, or data.label_nodata={ignore_index} if "
                    "it is that class."
                )
            declared[band] = None
            remarks = [
                f"the declared nodata {value:g} is the class {name!r}, as data.label_nodata={ignore_index} says."
            ]
        # ignore_index means unlabelled whether the type has it or not.
        given = None if label_nodata == ignore_index else label_nodata
        stored = StoredBands(path, self._header, self._version, split.alpha, given, declared)
        self._use([band], split, stored)
        self.remarks += remarks
        packing = self._header.packings[band]
        if packing.is_given and scale_tags == "read":
            raise UserError(
                f"{path} has tags ({packing.in_words()}) by which its values are no classes. Remove them from the "
                "file, or write data.scale_tags=ignore if its values are classes as they are."
            )

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
            UserError: the file can't be decoded, or a value is not a whole number, or not one of 64 bits.
        """
        (raw,), (unlabelled,) = self._stored.read(window, self._bands)
        if raw.dtype.kind in "iu" and raw.dtype != np.uint64:  # all are whole numbers that int64 holds
            label = raw.astype(np.int64)
            if unlabelled is not None:
                label[unlabelled] = self.ignore_index
            return label
        fits = _is_int64(raw)
        wrong = np.argwhere(~fits if unlabelled is None else ~fits & ~unlabelled)
        if len(wrong):
            row, column = wrong[0]
            raise UserError(
                f"{self.path} has the value {raw[row, column]} at row {window.row + row}, column "
                f"{window.column + column}: a label holds whole numbers of 64 bits, one per class. "
                "If it marks unlabelled pixels, set data.label_nodata to it."
            )
        label = np.where(fits, raw, raw.dtype.type(0)).astype(np.int64)
        if unlabelled is not None:
            label[unlabelled] = self.ignore_index
        return label


def _is_int64(raw: np.ndarray) -> np.ndarray:
    """Return where values are whole numbers that int64 holds."""
    if np.issubdtype(raw.dtype, np.floating):
        limit = raw.dtype.type(2.0**63)  # exact in every floating type; the largest int64 itself is not
        return np.asarray(np.isfinite(raw) & (np.floor(raw) == raw) & (-limit <= raw) & (raw < limit))
    return np.asarray(raw <= np.iinfo(np.int64).max)


class NumberRaster(_LabelRaster):
    """A raster with one band of numbers per variable; NaN means no label.

    variables: names of the numbers. Where the file's bands carry all of these names, they are found by name; else the
        file has one band per variable, in this order.
    label_nodata: value for "not labelled" beside NaN, as the file holds it, and beside what the file declares, band by
        band, its masks and its alpha band.
    scale_tags: whether the numbers are what the file's scale and offset make of its values (`read`), or these.

    Raises:
        UserError: the file is not a raster of real numbers, or has another number of bands.
    """

    def __init__(
        self, path: Path, variables: Sequence[str], label_nodata: float | None = None, scale_tags: str = "read"
    ) -> None:
        super().__init__(path)
        header = self._header
        split = without_alpha(header, header.descriptions)
        if all(name in header.descriptions for name in variables):
            bands = [header.descriptions.index(name) for name in variables]
        elif len(split.bands) == len(variables):
            bands = split.bands
        else:
            described = ", ".join(text or "unnamed" for text in header.descriptions)
            raise UserError(
                f"{path} has {header.count} bands ({described}), but data.variables has {len(variables)} names "
                f"({', '.join(variables)}). A label has one band per variable, or bands with the variables' names."
            )
        self._use(bands, split, StoredBands(path, header, self._version, split.alpha, label_nodata))
        packings = [header.packings[band] if scale_tags == "read" else Packing() for band in bands]
        self._conversions = [Conversion(None, packing.added, packing.scale) for packing in packings]
        self.remarks += dict.fromkeys(
            f"its tags ({packing.in_words()}) make the numbers of what it holds, and are read."
            for packing in packings
            if packing.is_given
        )

    def read(self, window: Window) -> np.ndarray:
        """Return the numbers, float32 (variables, height, width), with NaN where the label is nodata.

        Raises:
            UserError: the file can't be decoded.
        """
        raw, missing = self._stored.read(window, self._bands)
        # A double may be too large for float32; where it is not nodata, the scan finds infinity.
        label = np.stack([one.apply(plane) for one, plane in zip(self._conversions, raw, strict=True)])
        for values, unlabelled in zip(label, missing, strict=True):
            if unlabelled is not None:
                values[unlabelled] = np.nan
        return label
