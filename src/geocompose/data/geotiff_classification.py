"""Rasters on disk with a class each."""

from typing import Any, Literal

from geocompose.data.image_labelled import open_classified_images
from geocompose.data.loading import Loading
from geocompose.data.raster_data import RasterData
from geocompose.imagery.units import Values


class GeoTiffClassificationData(RasterData):
    """Batches of images under a folder, each with its class; construction reads headers and lists alone.

    root, images: a folder, and a pattern in it. The class of an image is the name of the folder it lies in, or what
        `table` says.
    table: a CSV file with a header and one image a row; images that it lacks are left out. file_column: its column of
        image names, which are paths relative to `root`, file names, or these without extension. label_column: its
        column of class names.
    class_names: the classes in the order of a model's outputs; None means all that there are, sorted.
    band_names: the image's bands in file order; None means the names that the files carry.
    bands: those to read, in this order; None means all.
    nodata: value of image pixels without data (NaN allowed); None means what each file declares.
    split: fractions of the images for train, val and test, drawn by `seed` whatever their label; None means the table's
        column `split` (train, val or test in each row) if it has one, else [0.6, 0.2, 0.2].
    split_files: lists of images for train, val and test, in place of fractions. split_rename: texts to replace in
        their names.
    tile_px: height and width of a sample. Smaller images are padded.
    fit: larger ones are refused, cropped (the centre; anywhere in training under `random_crop`), or resized until their
        longer side fits.
    cache_mb: decoded pixels are kept in memory while all of them fit into this; else they are read anew.
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
        images: str = "*/*.tif",
        table: str | None = None,
        file_column: str = "file",
        label_column: str = "label",
        class_names: list[str] | None = None,
        name: str = "geotiff_classification",
        band_names: list[str] | None = None,
        bands: list[str] | None = None,
        nodata: float | None = None,
        split: list[float] | None = None,
        split_files: dict[str, str] | None = None,
        split_rename: dict[str, str] | None = None,
        tile_px: int = 224,
        fit: Literal["refuse", "crop", "resize"] = "refuse",
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
        baselines: list[str] = ["constant", "logistic"],  # noqa: B006 - never changed; schemas read a plain default
    ) -> None:
        super().__init__(
            name=name,
            collection=open_classified_images(
                root=root,
                images=images,
                table=table,
                file_column=file_column,
                label_column=label_column,
                class_names=class_names,
                band_names=band_names,
                nodata=nodata,
                split=split,
                split_files=split_files,
                split_rename=split_rename,
                tile_px=tile_px,
                fit=fit,
                random_crop=random_crop,
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
