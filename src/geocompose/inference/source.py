"""Reading a raster for a model: bands by name, normalised, with the pixels that hold no data known."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geocompose.data.rasters.bands import places_in_file
from geocompose.data.rasters.file import check_real, equals
from geocompose.errors import UserError, nearest
from geocompose.imagery.bands import canonical, positions
from geocompose.imagery.units import Conversion, converted
from geocompose.inference.windows import Box

log = logging.getLogger("geocompose")


def is_local(path: str | Path) -> bool:
    """Return whether `path` is a file's name, rather than an address or a path into an archive that GDAL resolves."""
    return "://" not in str(path) and not str(path).startswith("/vsi")


def open_raster(path: str | Path) -> DatasetReader:
    """Return the raster at `path` opened for reading.

    Raises:
        UserError: there is no such file, it is a folder, it is not a raster, or it holds several rasters and no band.
    """
    if is_local(path):
        _check_is_file(Path(path))
    try:
        dataset = rasterio.open(path)
    except RasterioIOError as error:
        raise UserError(f"{path} can't be read as a raster: {error}") from error
    if dataset.count == 0:
        inner = ", ".join(dataset.subdatasets[:6])
        dataset.close()
        raise UserError(f"{path} has no bands of its own. Name one of the rasters that it holds: {inner}")
    return dataset


@contextmanager
def ungeoreferenced_is_fine() -> Iterator[None]:
    """Hold back rasterio's warning of a raster without grid, where the block does not need one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name one raster file in it.")
    if path.exists():
        return
    beside = os.listdir(path.parent) if path.parent.is_dir() else []
    guess = nearest(path.name, beside)
    if guess:
        raise UserError(f"There is no raster {path}. Did you mean {path.parent / guess}?")
    there = "Its folder exists." if path.parent.is_dir() else f"Its folder {path.parent} doesn't exist either."
    raise UserError(f"There is no raster {path}. {there}")


class BandReader:
    """A model's view of an open raster: the bands it was trained with, in their order and normalisation.

    bands: wanted bands, in the model's order.
    band_names: names of all bands of the raster, in file order, whatever it says itself.
    training_names: those that the training images were given, taken where their number is the raster's.
    mean, std: one number a wanted band, in the unit that the model reads.
    conversions: how the values of each wanted band become that unit; None leaves them as they are.
    nodata: value that marks a pixel without data in every band (NaN allowed); None is each band's declared value.
    num_frames: time steps in the raster, one after the other; names are those of one step's bands.

    Raises:
        UserError: a band is missing or ambiguous, the raster's bands have no names, or its values are complex.
    """

    def __init__(
        self,
        dataset: DatasetReader,
        *,
        bands: Sequence[str],
        band_names: Sequence[str] | None,
        training_names: Sequence[str] | None,
        mean: Sequence[float],
        std: Sequence[float],
        nodata: float | None,
        conversions: Sequence[Conversion] | None = None,
        num_frames: int = 1,
    ):
        _check_normalization(bands, mean, std)
        self.dataset = dataset
        self.bands = list(bands)
        self.num_frames = num_frames
        available = available_bands(dataset, bands, band_names, training_names, num_frames=num_frames)
        places = positions(bands, available, where=dataset.name)
        self.indices = [place + 1 for place in places_in_file(places, len(available), num_frames)]
        _check_unambiguous(bands, available, dataset.name)
        check_real(dataset.name, dataset.dtypes, [i - 1 for i in self.indices])
        self.nodata = [dataset.nodatavals[i - 1] if nodata is None else nodata for i in self.indices]
        assert conversions is None or len(conversions) == len(self.bands), conversions
        self._conversions = conversions
        axes = (-1, *[1] * (2 if num_frames == 1 else 3))
        self._mean = np.asarray(mean, dtype=np.float32).reshape(axes)
        # Multiplied as in training, so that both give the same numbers to the last bit.
        self._scale = 1 / np.asarray(std, dtype=np.float32).reshape(axes)

    def read(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return the normalised pixels of `box`, float32 (C, h, w), and which of them are valid, bool (h, w).

        Pixels of several frames are (C, T, h, w). A pixel is valid where no wanted band has its nodata value. The
        others are 0 in every band: each band's mean.

        Raises:
            UserError: the file can't be read here, or a pixel not declared as nodata is NaN or infinite.
        """
        window = Window(box.col, box.row, box.width, box.height)
        try:
            raw = self.dataset.read(self.indices, window=window)
        except RasterioIOError as error:
            reason = error.__cause__ or error
            raise UserError(f"{self.dataset.name} can't be read at {_place(box)}; is it complete? {reason}") from error
        missing = np.zeros(raw.shape[1:], dtype=bool)
        for values, nodata in zip(raw, self.nodata, strict=True):
            is_nodata = equals(values, nodata)
            if is_nodata is not None:
                missing |= is_nodata
        # A value beyond float32, such as a 64-bit nodata value, becomes infinite: marked as missing, or refused below.
        if self.num_frames > 1:
            raw = raw.reshape(len(self.bands), self.num_frames, *missing.shape)
        pixels = converted(raw, range(len(raw)), self._conversions)
        pixels -= self._mean
        pixels *= self._scale
        pixels[..., missing] = 0
        if not np.isfinite(pixels).all():
            self._refuse(raw, pixels, box)
        return pixels, ~missing

    def _refuse(self, raw: np.ndarray, pixels: np.ndarray, box: Box) -> None:
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(pixels))[0])
        band, row, col = place[0], place[-2], place[-1]
        value = raw[place]
        raise UserError(
            f"{self.dataset.name} has the value {value} in band {self.bands[band]!r} at row {box.row + row}, column "
            f"{box.col + col} (counted from 0), which is not declared as nodata. If such pixels hold no data, "
            f"write action.nodata={str(value).lower()}; otherwise fix the raster."
        )


def _check_normalization(bands: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> None:
    if not bands or len({len(bands), len(mean), len(std)}) > 1:
        raise UserError(
            f"A model has one mean and one standard deviation a band: got {len(bands)} bands, {len(mean)} means and "
            f"{len(std)} standard deviations."
        )
    for name, centre, spread in zip(bands, mean, std, strict=True):
        if not (np.isfinite(centre) and np.isfinite(spread) and spread > 0):
            raise UserError(
                f"Band {name!r} can't be normalised with mean {centre} and standard deviation {spread}: both must be "
                "finite, and the second above 0."
            )


def available_bands(
    dataset: DatasetReader,
    bands: Sequence[str],
    band_names: Sequence[str] | None,
    training_names: Sequence[str] | None,
    *,
    num_frames: int = 1,
) -> list[str]:
    """Return a name for each band of the file: those given, else the training's if their number fits, else its own.

    Of a file of several frames, these are the names of one frame's.

    Raises:
        UserError: the names are not as many as the bands, or there are none.
    """
    wanted = f"The model wants {', '.join(bands)}."
    if num_frames > 1:
        wanted = f"The model wants {num_frames} frames of {', '.join(bands)}, one after the other."
    if dataset.count % num_frames:
        raise UserError(f"{dataset.name} has {dataset.count} bands, which can't be {num_frames} frames. {wanted}")
    count = dataset.count // num_frames
    described = [name or f"(band {i}, unnamed)" for i, name in enumerate(dataset.descriptions[:count], 1)]
    if band_names is not None and len(band_names) != count:
        raise UserError(
            f"{dataset.name} has {dataset.count} bands, and action.band_names has {len(band_names)}: "
            f"{', '.join(band_names)}. {wanted} Give action.band_names one name for each band of the file, in file "
            "order."
        )
    chosen = band_names
    if chosen is None and training_names is not None and len(training_names) == count:
        chosen = training_names
    if chosen is None:
        if not any(dataset.descriptions):
            raise UserError(
                f"{dataset.name} has {dataset.count} bands without names. {wanted} Name all bands of the file, in its "
                "order, with 'action.band_names=[...]', or write descriptions into it."
            )
        return described
    for name, own in zip(chosen, dataset.descriptions[:count], strict=True):
        if own and canonical(own) != canonical(name):
            log.warning("%s calls a band %s, which is taken for %s.", dataset.name, own, name)
    return list(chosen)


def _check_unambiguous(bands: Sequence[str], available: Sequence[str], name: str) -> None:
    known = [canonical(band) for band in available]
    for band in bands:
        if known.count(canonical(band)) > 1:
            places = ", ".join(str(i) for i, other in enumerate(known, 1) if other == canonical(band))
            raise UserError(
                f"{name} has band {band!r} more than once (bands {places}). Keep one, or rename the others."
            )


def _place(box: Box) -> str:
    return f"rows {box.row}-{box.row + box.height - 1}, columns {box.col}-{box.col + box.width - 1}"
