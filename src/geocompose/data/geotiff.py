"""Images and labels that are rasters on disk: a class for each pixel."""

from typing import Any, Literal

from geocompose.data.loading import Loading
from geocompose.data.pixel_labelled import open_class_rasters
from geocompose.data.raster_data import RasterData
from geocompose.imagery.units import Values


class GeoTiffData(RasterData):
    """Batches of labelled rasters under a folder; construction reads the headers alone.

    root, images, labels: a folder, and patterns in it; what `*` matches in the names pairs an image with its label.
    class_names: the label's values are places in this list.
    band_names: the image's bands in file order; None means the names that the files carry.
    bands: those to read, in this order; None means all.
    nodata: value of image pixels without data (NaN allowed); None means what each file declares.
    label_nodata: value of unlabelled pixels beside `ignore_index`; None means what each file declares.
    split: fractions of train, val and test: of the images where there are several, of the columns from west to east
        where there is one; None means [0.6, 0.2, 0.2]. split_buffer_px: columns left out between blocks.
    split_files: lists of images for train, val and test, in place of fractions. split_rename: texts to replace in
        their names.
    cache_mb: decoded pixels are kept in memory while all of them fit into this; else they are read anew by windows.
    seed: chooses which images belong to which split.
    tile_px: height and width of a sample, a cell of a grid over each region.
    num_frames: time steps in each image, one after the other: all bands of the first, then all of the second, ...;
        `band_names` are those of one. A pixel without data in one of them is without data.
    more_images: further rasters of each image on its grid, such as [{images: '*_S1Hand.tif', band_names: [VV, VH],
        nodata: nan}]: their bands come after the image's. See `geocompose.data.files.more_images.MoreImages`.
    dates: when images were taken: by their `file_name`, their `tags`, or a table. date_pattern, positions
        (`georeference` or a table): see `CoordinateRules`. They go to a backbone that takes them.
    unit, level, offset, scale, allow_mismatch: what the files' values are, and which differences from what pretrained
        weights have seen are intended: see `Values`.
    name: how records call the data set.
    batch_size, num_workers, normalize, random_crop, dihedral, rotation_deg: see `Loading`. baselines: see `SceneData`.

    Raises:
        UserError: files, rasters, lists, splits or arguments don't fit; the message says which and what to write.
    """

    def __init__(
        self,
        root: str,
        images: str,
        labels: str,
        class_names: list[str],
        name: str = "geotiff",
        band_names: list[str] | None = None,
        bands: list[str] | None = None,
        nodata: float | None = None,
        label_nodata: float | None = None,
        ignore_index: int = -1,
        split: list[float] | None = None,
        split_files: dict[str, str] | None = None,
        split_rename: dict[str, str] | None = None,
        split_buffer_px: int = 0,
        tile_px: int = 224,
        batch_size: int = 8,
        num_workers: int = 0,
        normalize: Literal["dataset", "pretraining", "none"] = "dataset",
        random_crop: bool = False,
        dihedral: bool = True,
        rotation_deg: float = 0.0,
        cache_mb: int = 1024,
        dates: str | None = None,
        date_pattern: str | None = None,
        positions: str | None = None,
        num_frames: int = 1,
        more_images: list[dict[str, Any]] | None = None,
        unit: Literal["reflectance", "reflectance_1e4", "dn", "db", "power", "uint8"] | None = None,
        level: Literal["TOA", "BOA"] | None = None,
        offset: float | None = None,
        scale: float | None = None,
        allow_mismatch: list[str] | None = None,
        seed: int = 0,
        baselines: list[str] = ["logistic"],  # noqa: B006 - never changed; schemas read a plain default
    ) -> None:
        super().__init__(
            name=name,
            collection=open_class_rasters(
                root=root,
                images=images,
                labels=labels,
                class_names=class_names,
                band_names=band_names,
                nodata=nodata,
                label_nodata=label_nodata,
                ignore_index=ignore_index,
                split=split,
                split_files=split_files,
                split_rename=split_rename,
                split_buffer_px=split_buffer_px,
                tile_px=tile_px,
                dates=dates,
                date_pattern=date_pattern,
                positions=positions,
                num_frames=num_frames,
                more_images=more_images,
                seed=seed,
            ),
            bands=bands,
            values=Values(unit, level, offset, scale, allow_mismatch),
            loading=Loading(batch_size, num_workers, normalize, random_crop, dihedral, rotation_deg),
            baselines=baselines,
            cache_mb=cache_mb,
        )
