"""Scenes as training, validation and test batches: what every data set has in common."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader

from geocompose.data import tiles
from geocompose.data.augmentation import augmentation
from geocompose.data.batches import in_batches
from geocompose.data.census import Census, Sampling, census
from geocompose.data.declaration import DataSource
from geocompose.data.description import describe_splits
from geocompose.data.drawn import Drawn, KeptFeatures
from geocompose.data.readers import Readers, readers
from geocompose.data.scene_set import SceneSet
from geocompose.data.shares import Share
from geocompose.data.split import SPLITS
from geocompose.data.statistics import Statistics
from geocompose.data.tiling import ImageTiling
from geocompose.data.training_draw import TrainingDraw
from geocompose.errors import UserError, counted

log = logging.getLogger("geocompose")


class SceneData(SceneSet, lightning.LightningDataModule):
    """Samples of a declared data set in batches; see `SceneSet` for what it is, and for the arguments.

    Attributes beside those: those of `Loading`; to be set: `crops`, how many random crops each tile has (None: they are
    drawn anywhere), and `threads_read`, whether threads may read while a model computes.
    """

    def __init__(
        self, source: DataSource, bands: Sequence[str] | None = None, scanned: Statistics | None = None
    ) -> None:
        """Open the declaration. bands: those to read in place of the declared ones."""
        lightning.LightningDataModule.__init__(self)
        SceneSet.__init__(self, source, bands, scanned)
        loading = source.loading
        self.batch_size = loading.batch_size
        self.num_workers = loading.num_workers
        self.random_crop = loading.random_crop
        self.dihedral = loading.dihedral
        self.rotation_deg = loading.rotation_deg
        self.min_valid = loading.min_valid
        self.crops: int | None = None
        self.threads_read = True
        self._shuffle_seed = 0
        self._first_epoch = 0
        self._draw = TrainingDraw(loading.min_valid, self._look)
        self._share = Share()
        self._kept: KeptFeatures | None = None

    def setup(self, stage: str | None = None) -> None:
        """Read and check all pixels, once; the order of training tiles then follows torch's global seed.

        Raises:
            UserError: see `SceneSet.read`.
        """
        if self._statistics is not None:
            return
        self.read()
        self._shuffle_seed = torch.initial_seed()
        if self.readers.why:
            log.info("%s", self.readers.in_words)
        kept, images = self._collection.kept_decoded
        if kept < images and self._source.cache_bytes:
            log.info(
                "The pixels of %d of %s of training and validation stay in memory; the others are decoded for each "
                "sample (data.cache_mb=%d keeps all).", kept, counted(images, "image"), self._needed_mb,
            )  # fmt: skip

    @property
    def census(self) -> Census:
        """What each training tile holds; read when it is first asked for."""
        return self._draw.census

    def _look(self) -> Census:
        return census(self.scenes, self._places, self.tile_windows("train"), self.labels, self.tile_px)

    @property
    def training_tiles(self) -> np.ndarray:
        """The numbers of the training samples that are trained on: of all, those that `min_valid` keeps.

        Raises:
            UserError: it keeps none.
        """
        return self._draw.kept(self.num_tiles("train"))

    def draw_by(self, sampling: Sampling | None) -> None:
        """Draw training samples by their classes (see `geocompose.data.census.sampling_weights`), not each once.

        Raises:
            UserError: crops are drawn anywhere, so that no tile's classes are known.
        """
        if sampling is not None and self.random_crop and self.target.pixel_wise:
            raise UserError(
                f"task.sampler={sampling} draws tiles of the grid by their classes, and data.random_crop=true draws "
                "others. Set data.random_crop=false, or task.sampler=null."
            )
        self._draw.sampling = sampling

    def share(self, share: Share) -> None:
        """Give batches to several processes: this one gets its part of each."""
        self._share = share

    def train_dataloader(self) -> DataLoader[tiles.Sample]:
        """Return shuffled, augmented batches of the training samples."""
        dataset = self.tiles_of("train", training=True)
        sampler = self._order(dataset)
        # Workers fetch the first batches before Lightning tells a sampler its epoch.
        sampler.set_epoch(self._first_epoch)
        return self._in_batches(dataset, sampler)

    def _order(self, dataset: tiles.TileDataset) -> tiles.ShuffledTiles:
        return tiles.ShuffledTiles(len(dataset), self._shuffle_seed, self._draw.weights(self.num_tiles("train")))

    def drawn(self, num_epochs: int) -> Iterator[Drawn]:
        """Yield what the training samples of so many epochs are drawn as."""
        dataset = self.tiles_of("train", training=True)
        order = self._order(dataset)
        for _ in range(num_epochs):
            yield from map(dataset.drawn, order)

    def keep(self, features: KeptFeatures | None) -> None:
        """Give samples a frozen backbone's features in place of their images from now on; None gives images again."""
        self._kept = features

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the data: with which epoch a resumed run goes on."""
        assert self.trainer is not None
        return {"next_epoch": self.trainer.current_epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the epoch that a checkpoint names; Lightning calls it before batches are asked for."""
        self._first_epoch = int(state_dict["next_epoch"])

    def val_dataloader(self) -> DataLoader[tiles.Sample]:
        """Return batches of the validation samples, in order."""
        return self.in_order("val")

    def test_dataloader(self) -> DataLoader[tiles.Sample]:
        """Return batches of the test samples, in order."""
        return self.in_order("test")

    def in_order(self, split: str) -> DataLoader[tiles.Sample]:
        """Return batches of the samples of any split in the order of their numbers, neither cropped nor augmented."""
        return self._in_batches(self.tiles_of(split, training=False))

    def _in_batches(
        self, dataset: tiles.TileDataset, shuffled: tiles.ShuffledTiles | None = None
    ) -> DataLoader[tiles.Sample]:
        return in_batches(dataset, self.batch_size, readers=self.readers, share=self._share, shuffled=shuffled)

    @property
    def readers(self) -> Readers:
        """Who reads samples, see `geocompose.data.readers`."""
        in_memory = not self._collection.decodes_in_each_epoch
        return readers(
            self.num_workers,
            in_memory=in_memory,
            processes_here=self.processes_here,
            by_threads=self.threads_read,
        )

    @property
    def loading(self) -> dict[str, Any]:
        """What a record keeps of how samples are read; none of it changes a sample."""
        kept, images = self._collection.kept_decoded
        return self.readers.as_record() | ({"images_in_memory": f"{kept} of {images}"} if images else {})

    @property
    def loading_advice(self) -> str:
        """What to set where a training waits for its data."""
        kept, images = self._collection.kept_decoded
        if kept < images:
            return f"Pixels are decoded anew for each sample; data.cache_mb={self._needed_mb} keeps all."
        more = 2 * max(self.readers.processes, self.readers.threads)
        return f"More processes may read faster: data.num_workers={more}."

    @property
    def _needed_mb(self) -> int:
        return (self._collection.decoded_bytes(len(self.bands)) // 2**20 + 1) * self.processes_here

    def describe(self) -> dict[str, Any]:
        """Return what a record keeps of the data, as JSON knows it."""
        fit = {"fit": self.tiling.fit} if isinstance(self.tiling, ImageTiling) else {}
        found = self.statistics
        num_tiles = {split: self.num_tiles(split) for split in SPLITS}
        left_out = self._draw.num_left_out(num_tiles["train"])
        subset, fold = self._collection.subset, self._source.cross_validation
        return {
            "name": self.name,
            **self.inputs.as_record(),
            "target": self.target.as_record(),
            **fit,
            **self.values.as_record(),
            "read_as": self.units,
            "mismatches": self.mismatches,
            "normalization": self._normalization.describe(len(self.bands), found),
            "statistics": {"mean": found.mean, "std": found.std, "least": found.plausibility.least},
            "splits": describe_splits(self.regions, num_tiles, found, self.groups, left_out),
            **({} if fold is None else fold.as_record()),
            **({} if subset is None else {"subset": subset.as_record()}),
            "left_out": {one.kind: one.as_record() for one in self._collection.left_out},
        }

    def tiles_of(self, split: str, *, training: bool) -> tiles.TileDataset:
        """Return the samples of a split; training: as they are drawn for training."""
        assert self._statistics is not None, "setup() comes first"
        windows = [(region, tile) for region in self.regions[split] for tile in self.tiling.tiles(region)]
        if training:
            windows = [windows[number] for number in self.training_tiles]
        augment = augmentation(
            dihedral=self.dihedral,
            rotation_deg=self.rotation_deg,
            no_label=self.target.ignore_index if self.target.of_classes else float("nan"),
        )
        dataset = tiles.TileDataset(
            self.scenes,
            self._places,
            [tile for _, tile in windows],
            self.tile_px,
            self.mean,
            self.std,
            self.labels,
            regions=[region for region, _ in windows] if training and self.random_crop else None,
            augment=augment if training else None,
            coordinates=self._collection.coordinates,
        )
        dataset.kept, dataset.crops = self._kept, self.crops
        return dataset
