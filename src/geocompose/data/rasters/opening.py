"""An image opened by its path, be it one raster or a file per band: the same for training and prediction."""

from collections.abc import Sequence
from dataclasses import replace

from geocompose.data.files.band_files import band_files
from geocompose.data.rasters.bands import BandNaming
from geocompose.data.rasters.file import RasterPath
from geocompose.data.rasters.image import RasterImage, SceneImage
from geocompose.data.rasters.stacked import StackedImage
from geocompose.errors import UserError
from geocompose.imagery.bands import canonical
from geocompose.imagery.units import Values


def image_rasters(
    path: RasterPath,
    naming: BandNaming,
    nodata: float | None = None,
    values: Values | None = None,
    declare: str = "data.nodata={}",
    *,
    bands: Sequence[str] | None = None,
) -> list[RasterImage]:
    """Return the rasters of an image: one, or one per band where its path says so (`s0_{band}.tif`).

    bands: those that will be read; of files of one band each, others are not opened. For the others see `RasterImage`.

    Raises:
        UserError: see `RasterImage`; there is no file of a band that `naming` has, or a file of one band has several.
    """
    files = band_files(path)
    if not files:
        return [RasterImage(path, naming, nodata, values, declare)]
    there = {canonical(name): name for name in files}
    names = list(files)
    if naming.names is not None:
        missing = [name for name in naming.names if canonical(name) not in there]
        if missing:
            raise UserError(
                f"{path} has no file of the band {', '.join(missing)} ({naming.key}). It has {', '.join(files)}."
            )
        names = [there[canonical(name)] for name in naming.names]
    wanted = set(map(canonical, names if bands is None else bands))
    names = [name for name in names if canonical(name) in wanted] or names
    rasters = [
        RasterImage(files[name], replace(naming, names=[name], of_file=True), nodata, values, declare) for name in names
    ]
    rasters[0].remarks.append(f"each band of the image is a file: {', '.join(names)}.")
    return rasters


def one_image(rasters: Sequence[RasterImage], *, rename: str) -> SceneImage:
    """Return the image of a raster, or of several on its grid.

    Raises:
        UserError: see `StackedImage`.
    """
    return rasters[0] if len(rasters) == 1 else StackedImage(rasters, rename=rename)
