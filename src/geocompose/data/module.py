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
from geocompose.data.baselines import raw_values
from geocompose.data.baselines import rules as baseline_rules
from geocompose.data.batches import in_batches
from geocompose.data.census import Census, Sampling, census
from geocompose.data.conversion import convert
from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.declaration import DataSource
from geocompose.data.description import describe_splits
from geocompose.data.drawn import Drawn, KeptFeatures
from geocompose.data.known_values import tell
from geocompose.data.left_out import check_frames, say
from geocompose.data.normalization_rule import NormalizationRule
from geocompose.data.overlap import MEANT, SCORED, check_ground, check_pixels
from geocompose.data.readers import Readers, readers
from geocompose.data.shares import Share
from geocompose.data.split import SPLITS
from geocompose.data.statistics import Statistics, scan
from geocompose.data.tiling import ImageTiling
from geocompose.data.training_draw import TrainingDraw
from geocompose.data.window import Region
from geocompose.errors import UserError, counted
from geocompose.imagery.samples import Inputs
from geocompose.imagery.units import Conversion

log = logging.getLogger("geocompose")


class SceneData(lightning.LightningDataModule):
    """Samples of a declared data set in batches; construction reads no pixel, `setup` reads and checks all once.

    source: the declaration, which is opened if it is not yet. `use_bands` may change its bands.
    scanned: statistics of these bands in their own units (`read_as` None), where all pixels were read already.

    Attributes: name, baselines and those of `Loading`; `band_names` (all there are), `bands` (those read); `target`,
    what the labels ask a model for (its mean and deviation are known after `setup`); `scenes`, their `groups` (None
    where they have none), `regions`; `tile_px`, height and width of a sample; `values`; `units` of the selected bands
    as they are read (None where unknown); `mismatches`, what differs from a model's pretraining and is intended; to be
    set: `only_scored`, where nothing is trained on the data, `crops`, how many random crops each tile has (None: they
    are drawn anywhere), `processes_here`, how many processes of a run read it on this machine, and `threads_read`,
    whether threads may read while a model computes.

    Raises:
        UserError: a band or baseline is not there, or the data can't be opened.
    """

    def __init__(
        self, source: DataSource, bands: Sequence[str] | None = None, scanned: Statistics | None = None
    ) -> None:
        """Open the declaration. bands: those to read in place of the declared ones."""
        super().__init__()
        collection, loading = source.collection, source.loading
        self.name = source.title
        self.scenes = list(collection.scenes)
        self.groups = None if collection.groups is None else list(collection.groups)
        self.regions = {split: list(collection.regions[split]) for split in SPLITS}
        self.labels = collection.labels
        self.target = collection.labels.target
        self.tiling = collection.tiling
        self.tile_px = collection.tiling.tile_px
        self.batch_size = loading.batch_size
        self.num_workers = loading.num_workers
        self.normalize = loading.normalize
        self.random_crop = loading.random_crop
        self.dihedral = loading.dihedral
        self.rotation_deg = loading.rotation_deg
        self.min_valid = loading.min_valid
        self.baselines = list(source.baselines)
        self.band_names = collection.band_names
        self.values = source.known_values
        self.mismatches: list[str] = []
        self.only_scored = False
        self.crops: int | None = None
        self.processes_here = 1
        self.threads_read = True
        self._source = source
        self._collection = collection
        self._statistics: Statistics | None = None
        self._normalization = NormalizationRule(loading.normalize)
        self._shuffle_seed = 0
        self._first_epoch = 0
        self._draw = TrainingDraw(loading.min_valid, self._look)
        self._share = Share()
        self._kept: KeptFeatures | None = None
        baseline_rules.check(self.baselines, self.target, self.band_names, collection.num_frames)
        chosen = source.bands if bands is None else bands
        self.use_bands(list(self.band_names if chosen is None else chosen))
        tell(self.scenes, self._places, self.values)
        self._scanned = ((self.bands, self.conversions), scanned) if scanned is not None else None

    @property
    def class_names(self) -> list[str]:
        """The classes, where labels are classes."""
        assert self.target.of_classes, self.target.kind
        return list(self.target.names)

    @property
    def num_classes(self) -> int:
        """How many classes there are, where labels are classes."""
        return len(self.class_names)

    @property
    def ignore_index(self) -> int:
        """The value of what has no label, where labels are classes."""
        assert self.target.of_classes, self.target.kind
        return self.target.ignore_index

    @property
    def inputs(self) -> Inputs:
        """What a sample gives a model."""
        return self._collection.inputs(self.bands)

    def use_bands(self, bands: list[str]) -> None:
        """Choose and order the bands that are read, by the data's names or their aliases; before `setup`.

        Raises:
            UserError: no band, a band twice, or a band that a scene does not have.
        """
        assert self._statistics is None, "bands are chosen before setup"
        if not bands:
            raise UserError(
                f"data.bands=[] reads nothing. Name some of {', '.join(self.band_names)}, or set it to null."
            )
        self._places = self.places(bands)
        self.bands = list(bands)
        self.target = self.labels.target.of_bands(bands)
        self.read_as([None] * len(bands))

    def read_as(self, units: Sequence[str | None]) -> None:
        """Convert values to these units while reading, one per selected band, where a rule exists; before `setup`.

        Where none does, and for None, they stay as they are, without a declared offset. See
        `geocompose.data.conversion.convert`.
        """
        assert self._statistics is None, "units are chosen before setup"
        self.units = convert(self.scenes, self._places, self.bands, self.values, units)

    def places(self, bands: Sequence[str]) -> list[list[int]]:
        """Return for each scene the places of `bands` among its bands.

        Raises:
            UserError: a scene lacks one of them.
        """
        return self._collection.places(bands)

    def set_normalization(self, mean: list[float], std: list[float]) -> None:
        """Normalise with these numbers, one per selected band, in place of the data set's own.

        They are a backbone's published ones under `normalize=pretraining`, or a trained model's when it meets this
        data.
        """
        assert len(mean) == len(self.bands), (mean, self.bands)
        self._normalization.give(mean, std)

    def setup(self, stage: str | None = None) -> None:
        """Read and check all pixels of all splits, once; the order of training tiles then follows torch's global seed.

        Raises:
            UserError: see `geocompose.data.statistics.scan`; also a value that its unit does not have, a band that is
                constant under `normalize=dataset`, and training labels from which nothing can be learnt, unless
                `set_normalization` said that another data set was trained on.
        """
        if self._statistics is not None:
            return
        found = self._scan()
        found.plausibility.check()
        found.plausibility.say()
        self.labels.say_lone(list(found.labels.values()))
        self._normalization.check(self.bands, found)
        excuse = MEANT if self._source.allows_overlap else SCORED if self.only_scored else None
        check_ground(self.scenes, self.regions, excuse=excuse)
        check_pixels(self.scenes, self.regions, found.hashes, excuse=excuse)
        if not self._normalization.is_given:
            self.labels.check_training(found.labels["train"])
        self._statistics = found
        scaled = self.labels.scaled(found.labels["train"])
        self.target = self.labels.of_images(scaled, self.bands, self.mean, self.std, found.std)
        self._shuffle_seed = torch.initial_seed()
        say(self._collection.left_out, found.left_out, of_pixels=self.target.pixel_wise)
        if self.readers.why:
            log.info("%s", self.readers.in_words)
        kept, images = self._collection.kept_decoded
        if kept < images and self._source.cache_bytes:
            log.info(
                "The pixels of %d of %s of training and validation stay in memory; the others are decoded for each "
                "sample (data.cache_mb=%d keeps all).", kept, counted(images, "image"), self._needed_mb,
            )  # fmt: skip

    def _scan(self) -> Statistics:
        """Return statistics of the selected bands as they are read, without reading again what was read already."""
        if self._scanned is not None and self._scanned[0] == (self.bands, self.conversions):
            return self._scanned[1]
        if self._source.cache_bytes:
            self._collection.keep_decoded(len(self.bands), self._source.cache_bytes // self.processes_here)
        if self._source.refuses_missing_frames:
            check_frames(self.scenes, self._places)
        return scan(self.scenes, self._places, self.regions, self.labels, self.tiling, self.values)

    @property
    def conversions(self) -> list[list[Conversion]]:
        """What is done to the values of the selected bands, scene by scene."""
        return [
            [(scene.conversions or ())[place] for place in places]
            for scene, places in zip(self.scenes, self._places, strict=True)
        ]

    @property
    def mean(self) -> list[float]:
        """What is subtracted from each selected band."""
        return self._normalization.numbers(len(self.bands), self._statistics)[0]

    @property
    def std(self) -> list[float]:
        """What each selected band is divided by after that."""
        return self._normalization.numbers(len(self.bands), self._statistics)[1]

    @property
    def statistics(self) -> Statistics:
        """What the scan of `setup` found."""
        assert self._statistics is not None, "setup() comes first"
        return self._statistics

    @property
    def coordinates(self) -> Coordinates:
        """When and where the scenes were taken, as far as that is given."""
        return self._collection.coordinates

    def tile_windows(self, split: str) -> list[Region]:
        """Return scene and window of each sample of a split, in the order of the samples' numbers."""
        return [tile for region in self.regions[split] for tile in self.tiling.tiles(region)]

    def num_tiles(self, split: str) -> int:
        """Return how many samples a split has."""
        return len(self.tile_windows(split))

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

    def pixels(
        self, split: str, max_pixels: int | None = None, seed: int = 0, bands: Sequence[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return labelled pixels of a split, see `geocompose.data.baselines.raw_values.pixels`."""
        return raw_values.pixels(self, split, max_pixels, seed, bands)

    def selected_places(self, scene: int) -> list[int]:
        """Return the places of the selected bands among those of a scene."""
        return self._places[scene]

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
