"""What a model reads of a raster: its bands by name, normalised as in training, with the pixels that hold no data.

Free of torch: what a model can't read is refused before one is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from geocompose.data.normalization import Normalization, without_frames
from geocompose.data.rasters.bands import BandNaming
from geocompose.data.rasters.file import RasterPath
from geocompose.data.rasters.image import RasterImage, SceneImage
from geocompose.data.rasters.opening import image_rasters, one_image
from geocompose.data.rasters.valid import Origin, check_finite
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.bands import positions
from geocompose.imagery.units import Conversion

_RENAME = "Rename it in one of them."


@dataclass(frozen=True)
class FurtherRaster:
    """A raster beside the first: its path and nodata value.

    training_names: the names that its bands were given in training, if any.
    """

    path: RasterPath
    training_names: Sequence[str] | None = None
    nodata: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How rasters are read for a model.

    bands, mean, std: what the model was trained with, one per band, in its order and in the unit that it reads.
    band_names: names of all bands of a raster, in file order, whatever it says itself.
    training_names: those that the training images were given, taken where their number is the raster's; without either,
        the raster's own.
    nodata: value that marks pixels without data in every band (NaN allowed), beside what each raster says itself: the
        values that it declares, its masks and its alpha band. A pixel is valid where all of `bands` are; the others are
        0 in every band: each band's mean.
    conversions: how the values of each of `bands` become the unit of `mean` and `std`; None leaves them as they are.
    num_frames: time steps in each raster, one after the other; names are those of one step's bands.
    masks_frames: whether frames without any data are NaN, which the model passes over.

    Raises:
        UserError: not one mean and one standard deviation per band, or one that nothing can be normalised with.
    """

    bands: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    band_names: Sequence[str] | None = None
    training_names: Sequence[str] | None = None
    nodata: float | None = None
    conversions: Sequence[Conversion] | None = None
    num_frames: int = 1
    masks_frames: bool = False

    def __post_init__(self) -> None:
        if not self.bands or len({len(self.bands), len(self.mean), len(self.std)}) > 1:
            raise UserError(
                f"A model has one mean and one standard deviation per band: got {len(self.bands)} bands, "
                f"{len(self.mean)} means and {len(self.std)} standard deviations."
            )
        for name, centre, spread in zip(self.bands, self.mean, self.std, strict=True):
            if not (np.isfinite(centre) and np.isfinite(spread) and spread > 0):
                raise UserError(
                    f"Band {name!r} can't be normalised with mean {centre} and standard deviation {spread}: both must "
                    "be finite, and the second above 0."
                )
        assert self.conversions is None or len(self.conversions) == len(self.bands), self.conversions

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
        return ModelInput(image, self)

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

    image: all of its bands.

    Raises:
        UserError: a band is not there, or its values are complex.
    """

    def __init__(self, image: SceneImage, reading: Reading) -> None:
        self.image, self._reading = image, reading
        where = " with ".join(str(raster.path) for raster in image.rasters)
        advice = (
            "Where these are other names of the same bands, name all bands of the file, in its order, with "
            "'action.band_names=[BLUE,GREEN,RED,...]'."
        )
        self._places = positions(reading.bands, image.band_names, where=where, advice=advice)
        image.check_real(self._places)
        if reading.conversions is not None:
            unchanged = Conversion(None)
            of_band = dict(zip(self._places, reading.conversions, strict=True))
            image.conversions = [of_band.get(place, unchanged) for place in range(len(image.band_names))]
        self._normalized = Normalization(reading.mean, reading.std)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the normalised pixels of `window`, float32 (C, [T,] h, w), and which are valid, bool (h, w).

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
            origin_of=self._origin_of,
            window=window,
            read_as=checked,
            conversions=self._reading.conversions,
        )
        return without_frames(normalized, masked), valid

    def _origin_of(self, band: int) -> Origin:
        raster = self.image.raster_of(self._places[band])
        return Origin(str(raster.path), raster.declare)
