"""What a model reads of a raster: its bands by name, normalised as in training, with the pixels that hold no data.

Free of torch: what a model can't read is refused before one is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from geocompose.data.conversion import convert
from geocompose.data.drift import Trained
from geocompose.data.given_numbers import BandNumbers
from geocompose.data.known_values import known_values
from geocompose.data.normalization import Normalization, without_frames
from geocompose.data.offsets import is_by_image
from geocompose.data.rasters.bands import BandNaming
from geocompose.data.rasters.file import RasterPath
from geocompose.data.rasters.image import RasterImage, SceneImage
from geocompose.data.rasters.opening import image_rasters, one_image
from geocompose.data.rasters.valid import Origin, check_finite
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.bands import positions
from geocompose.imagery.units import Conversion, Values
from geocompose.inference.offsets import OffsetReader
from geocompose.inference.values import check_reaches_model
from geocompose.inference.watch import Watch

_RENAME = "Rename it in one of them."


@dataclass(frozen=True)
class FurtherRaster:
    """A raster beside the first: its path and nodata value.

    training_names: the names that its bands were given in training, if any.
    """

    path: RasterPath
    training_names: Sequence[str] | None = None
    nodata: float | None = None


AS_STORED = Values(scale_tags="ignore")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How rasters are read for a model.

    bands, mean, std: what the model was trained with, one per band (or for each band one per frame), in its order and
        in the unit that it reads.
    band_names: names of all bands of a raster, in file order, whatever it says itself.
    training_names: those that the training images were given, taken where their number is the raster's; without either,
        the raster's own.
    nodata: value that marks pixels without data in every band (NaN allowed), beside what each raster says itself: the
        values that it declares, its masks and its alpha band. A pixel is valid where all of `bands` are; the others are
        0 in every band: each band's mean.
    values: what the values of rasters are, as far as that is stated. units: the unit of `mean` and `std`, one per band,
        to which values are converted; None where it isn't known. offsets: finds what was added to a raster, where
        `values.offset` is a date's or a table's. trained: what the training's values were like; None where unknown.
    num_frames: time steps in each raster, one after the other; names are those of one step's bands.
    masks_frames: whether frames without any data are NaN, which the model passes over.

    Raises:
        UserError: not one mean and one standard deviation per band, or one that nothing can be normalised with.
    """

    bands: Sequence[str]
    mean: BandNumbers
    std: BandNumbers
    band_names: Sequence[str] | None = None
    training_names: Sequence[str] | None = None
    nodata: float | None = None
    values: Values = AS_STORED
    units: Sequence[str | None] | None = None
    offsets: OffsetReader | None = None
    trained: Trained | None = None
    num_frames: int = 1
    masks_frames: bool = False

    def __post_init__(self) -> None:
        if not self.bands or len({len(self.bands), len(self.mean), len(self.std)}) > 1:
            raise UserError(
                f"A model has one mean and one standard deviation per band: got {len(self.bands)} bands, "
                f"{len(self.mean)} means and {len(self.std)} standard deviations."
            )
        for name, centre, spread in zip(self.bands, self.mean, self.std, strict=True):
            deviation = np.asarray(spread, np.float64)
            if not (np.isfinite(np.asarray(centre, np.float64)) & np.isfinite(deviation) & (deviation > 0)).all():
                raise UserError(
                    f"Band {name!r} can't be normalised with mean {centre} and standard deviation {spread}: both must "
                    "be finite, and the second above 0."
                )
        assert self.units is None or len(self.units) == len(self.bands), self.units

    def image(self, path: RasterPath, further: Sequence[FurtherRaster] = ()) -> SceneImage:
        """Return a raster, with those beside it on its grid, as an image whose bands have names; no pixel is read.

        Raises:
            UserError: see `geocompose.data.rasters.image.RasterImage` and `StackedImage`.
        """
        wanted = ", ".join(self.bands)
        frames = f"{self.num_frames} frames of {wanted}, one after the other" if self.num_frames > 1 else wanted
        naming = BandNaming(
            self.band_names,
            self.training_names,
            self.num_frames,
            key="action.band_names",
            usual_key="the training data",
            how="write 'action.band_names=[BLUE,GREEN,RED,...]'",
            frames_key=None,
            wanted="" if further else f"The model needs {frames}.",
        )
        first = image_rasters(path, naming, self.nodata, declare="action.nodata={}", bands=self.bands)
        return one_image([*first, *chain.from_iterable(map(self._beside, further))], rename=_RENAME)

    def open(self, path: RasterPath, further: Sequence[FurtherRaster] = ()) -> "ModelInput":
        """Return the model's view of a raster and of those beside it; no pixel is read.

        Raises:
            UserError: see `image`; or a band is not there, or its values are complex.
        """
        image = self.image(path, further)
        image.masks_frames = self.masks_frames
        return ModelInput(image, self, str(path))

    def watch(self) -> Watch:
        """Return what takes in the images that are read, and says what is odd of them."""
        return Watch(self.bands, self.units, self.trained)

    def _beside(self, further: FurtherRaster) -> list[RasterImage]:
        naming = BandNaming(
            None,
            further.training_names,
            self.num_frames,
            usual_key="the training data",
            how="write them into the file, as descriptions of its bands",
            frames_key=None,
        )
        declare = "as the nodata value {}, in the file"
        return image_rasters(further.path, naming, further.nodata, declare=declare, bands=self.bands)


class ModelInput:
    """A model's view of an image: the bands it was trained with, in their order, unit and normalisation.

    image: all of its bands. path: how a table or date finds it; None is the first file's.

    Attributes: `values`, what is known of the image's values.

    Raises:
        UserError: a band is not there, its values are complex, or can't be converted to what the model reads.
    """

    def __init__(self, image: SceneImage, reading: Reading, path: str | None = None) -> None:
        self.image, self._reading = image, reading
        where = " with ".join(str(raster.path) for raster in image.rasters)
        advice = (
            "Where these are other names of the same bands, name all bands of the file, in its order, with "
            "'action.band_names=[BLUE,GREEN,RED,...]'."
        )
        self._places = positions(reading.bands, image.band_names, where=where, advice=advice)
        image.check_real(self._places)
        for raster in image.rasters:
            own = reading.values.band(raster.band_names[0])
            if reading.offsets is not None and is_by_image(own):
                raster.added = reading.offsets.of(path or str(image.path), image.path, own)
        self.values = known_values([image], reading.values)
        units = [None] * len(reading.bands) if reading.units is None else reading.units
        check_reaches_model(reading.bands, units, self.values)
        convert([image], [self._places], reading.bands, self.values, units)
        self._normalized = Normalization(reading.mean, reading.std)

    def read(self, window: Window, watch: Watch | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the normalised pixels of `window`, float32 (C, [T,] h, w), and which are valid, bool (h, w).

        watch: is shown the values before they are normalised.

        Raises:
            UserError: a file can't be read here, or a pixel not declared as nodata is NaN or infinite.
        """
        pixels, valid = self.image.read(window, self._places)
        normalized = self._normalized(pixels, valid)
        masked = self.image.absent_frames(self._places) if self.image.masks_frames else ()
        if masked:
            pixels, checked = (np.delete(one, masked, axis=1) for one in (pixels, normalized))
        else:
            checked = normalized
        check_finite(
            pixels,
            valid,
            bands=self._reading.bands,
            origin_of=lambda band: self.origin_of(self._places[band]),
            window=window,
            read_as=checked,
            conversions=self.conversions,
        )
        if watch is not None:
            watch.add(pixels, valid)
        return without_frames(normalized, masked), valid

    @property
    def places(self) -> list[int]:
        """The places of the bands that the model reads among those of the image."""
        return self._places

    def origin_of(self, band: int) -> Origin:
        """Return where a band of the image comes from."""
        raster = self.image.raster_of(band)
        return Origin(str(raster.path), raster.declare)

    @property
    def conversions(self) -> list[Conversion]:
        """What is done to the values of each band that the model reads."""
        return [(self.image.conversions or ())[place] for place in self._places]
