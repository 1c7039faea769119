"""Images and labels that are rasters on disk."""

from typing import Literal

from geocompose.data.arguments import check_at_least
from geocompose.data.collection import open_collection
from geocompose.data.module import SceneData


class GeoTiffData(SceneData):
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
    name, ignore_index, tile_px, batch_size, num_workers, normalize, random_crop, dihedral, rotation_deg, baselines: see
        `SceneData`.

    Raises:
        UserError: files, rasters, splits or arguments don't fit; the message says which and what to write.
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
        seed: int = 0,
        baselines: list[str] = ["logistic"],  # noqa: B006 - never changed; schemas read a plain default
    ) -> None:
        check_at_least("cache_mb", cache_mb, 0)
        opened = open_collection(
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
            seed=seed,
        )
        super().__init__(
            name=name,
            scenes=opened.scenes,
            regions=opened.regions,
            class_names=class_names,
            bands=bands,
            ignore_index=ignore_index,
            tile_px=tile_px,
            batch_size=batch_size,
            num_workers=num_workers,
            normalize=normalize,
            random_crop=random_crop,
            dihedral=dihedral,
            rotation_deg=rotation_deg,
            baselines=baselines,
        )
        self._rasters = opened.scenes
        self._cache_bytes = cache_mb * 2**20

    def setup(self, stage: str | None = None) -> None:
        """Decide whether pixels are kept decoded, then read and check all of them; see `SceneData.setup`."""
        fits = sum(raster.decoded_bytes(len(self.bands)) for raster in self._rasters) <= self._cache_bytes
        for raster in self._rasters:
            raster.keep_decoded = fits
        super().setup(stage)
