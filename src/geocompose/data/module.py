"""Scenes as training, validation and test batches: what every data set has in common."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader

from geocompose import bands as vocabulary
from geocompose.data import baselines as baseline_rules
from geocompose.data import tiles
from geocompose.data.arguments import check_loading
from geocompose.data.scene import Scene
from geocompose.data.split import SPLITS
from geocompose.data.statistics import CELL_PX, Statistics, scan
from geocompose.data.window import Region, grid
from geocompose.errors import UserError


class SceneData(lightning.LightningDataModule):
    """Tiles of scenes in batches; construction reads no pixel, `setup` reads and checks all of them once.

    name: how records call the data set.
    scenes, regions: the scenes, and which regions of them each of train, val and test holds.
    class_names: the label's values are places in this list.
    bands: names of the bands to read, in this order; None means all. `use_bands` may still change it.
    ignore_index: the label of pixels without label.
    tile_px: height and width of a tile. batch_size: tiles a batch. num_workers: processes that load.
    normalize: `dataset` subtracts the training split's mean and divides by its standard deviation, band by band;
        `pretraining` does so with numbers that `set_normalization` brings; `none` leaves values as they are.
    random_crop: draw training tiles anywhere in their region instead of on the grid, as many an epoch.
    dihedral: flip and turn training tiles by quarters. rotation_deg: turn them further, by up to this angle.
    baselines: names of the scores without a network that are to be computed beside.

    Attributes: the arguments, and `band_names` (all there are), `bands` (those read), `num_classes`.

    Raises:
        UserError: an argument is out of range, or a band is not there.
    """

    def __init__(
        self,
        *,
        name: str,
        scenes: Sequence[Scene],
        regions: Mapping[str, list[Region]],
        class_names: list[str],
        bands: list[str] | None,
        ignore_index: int,
        tile_px: int,
        batch_size: int,
        num_workers: int,
        normalize: Literal["dataset", "pretraining", "none"],
        random_crop: bool,
        dihedral: bool,
        rotation_deg: float,
        baselines: list[str],
    ) -> None:
        super().__init__()
        check_loading(tile_px, batch_size, num_workers, normalize, rotation_deg)
        self.name = name
        self.scenes = list(scenes)
        self.regions = {split: list(regions[split]) for split in SPLITS}
        self.class_names = list(class_names)
        self.num_classes = len(class_names)
        self.ignore_index = ignore_index
        self.tile_px = tile_px
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.normalize = normalize
        self.random_crop = random_crop
        self.dihedral = dihedral
        self.rotation_deg = rotation_deg
        self.baselines = list(baselines)
        self.band_names = list(self.scenes[0].band_names)
        self._statistics: Statistics | None = None
        self._given: tuple[list[float], list[float]] | None = None
        self._shuffle_seed = 0
        baseline_rules.check(self.baselines, self.class_names, self.band_names)
        self.use_bands(self.band_names if bands is None else bands)

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

    def places(self, bands: Sequence[str]) -> list[list[int]]:
        """Return for each scene the places of `bands` among its bands.

        Raises:
            UserError: a scene lacks one of them.
        """
        return [vocabulary.positions(bands, scene.band_names, where=scene.name) for scene in self.scenes]

    def set_normalization(self, mean: list[float], std: list[float]) -> None:
        """Normalise with these numbers, one a selected band, in place of the data set's own.

        They are a backbone's published ones under `normalize=pretraining`, or a trained model's when it meets this
        data.
        """
        assert len(mean) == len(std) == len(self.bands), (mean, std, self.bands)
        assert all(value > 0 for value in std), std
        self._given = list(mean), list(std)

    def setup(self, stage: str | None = None) -> None:
        """Read and check all pixels of all splits, once; the order of training tiles then follows torch's global seed.

        Raises:
            UserError: see `geocompose.data.statistics.scan`; also a band that is constant under `normalize=dataset`.
        """
        if self._statistics is not None:
            return
        found = scan(self.scenes, self._places, self.regions, self.class_names, self.ignore_index)
        # Sums of one value deviate by rounding; float32 pixels that differ at all do so by more than this.
        numbers = zip(self.bands, found.mean, found.std, strict=True)
        constant = [band for band, mean, std in numbers if std <= 1e-9 * abs(mean)]
        if constant and self.normalize == "dataset" and self._given is None:
            raise UserError(
                f"The band {constant[0]} has one value in all training pixels, so that it can't be normalised by its "
                "deviation. Leave it out of data.bands, or set data.normalize=none."
            )
        self._statistics = found
        self._shuffle_seed = torch.initial_seed()

    @property
    def mean(self) -> list[float]:
        """What is subtracted from each selected band."""
        return self._normalization()[0]

    @property
    def std(self) -> list[float]:
        """What each selected band is divided by after that."""
        return self._normalization()[1]

    @property
    def statistics(self) -> Statistics:
        """What the scan of `setup` found."""
        assert self._statistics is not None, "setup() comes first"
        return self._statistics

    def tile_windows(self, split: str) -> list[Region]:
        """Return scene and window of each tile of a split, in the order of the tiles' numbers."""
        return [tile for region in self.regions[split] for tile in grid(region, self.tile_px)]

    def num_tiles(self, split: str) -> int:
        """Return how many tiles a split has."""
        return len(self.tile_windows(split))

    def train_dataloader(self) -> DataLoader[tiles.Sample]:
        """Return shuffled, augmented batches of the training tiles."""
        dataset = self._tiles("train", training=True)
        last = len(dataset) % self.batch_size
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=tiles.ShuffledTiles(len(dataset), self._shuffle_seed),
            # Batch norm has no variance over one tile where the features are 1 x 1. A lone last tile is left out of its
            # epoch, another one each time; where it is the only batch, the user wanted it.
            drop_last=last == 1 and len(dataset) > 1 and self.batch_size > 1,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[tiles.Sample]:
        """Return batches of the validation tiles, in order."""
        return self.in_order("val")

    def test_dataloader(self) -> DataLoader[tiles.Sample]:
        """Return batches of the test tiles, in order."""
        return self.in_order("test")

    def in_order(self, split: str) -> DataLoader[tiles.Sample]:
        """Return batches of the tiles of any split in the order of their numbers, neither cropped nor augmented."""
        return DataLoader(
            self._tiles(split, training=False),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def pixel_blocks(self, split: str, bands: Sequence[str] | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the labelled pixels of a split: raw values, float32 (n, bands), and classes, int64 (n).

        bands: any of the data's bands; None means the selected ones. The selected bands alone decide which pixels
        count, so that all choices see the same ones; where another band has no data, the pixel's values are all 0.
        """
        places = None if bands is None else self.places(bands)
        for cell in (cell for region in self.regions[split] for cell in grid(region, CELL_PX)):
            scene = self.scenes[cell.scene]
            image, valid = scene.read_image(cell.window, self._places[cell.scene])
            if places is not None:
                image, there = scene.read_image(cell.window, places[cell.scene])
                image = np.where(there & np.isfinite(image).all(0), image, np.float32(0))
            label = scene.read_label(cell.window)
            counts = valid & (label != self.ignore_index)
            yield np.ascontiguousarray(image[:, counts].T), label[counts]

    def pixels(
        self, split: str, max_pixels: int | None = None, seed: int = 0, bands: Sequence[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return labelled pixels of a split: raw values, float32 (n, bands), and classes, int64 (n).

        max_pixels: where there are more, this many are drawn by `seed` without replacement; None means all.
        bands: as in `pixel_blocks`.
        """
        total = self.statistics.num_labelled(split)
        kept = None
        if max_pixels is not None and total > max_pixels:
            kept = np.zeros(total, dtype=bool)
            kept[np.random.default_rng(seed).choice(total, max_pixels, replace=False, shuffle=False)] = True
        values, classes, start = [], [], 0
        for block, label in self.pixel_blocks(split, bands):
            chosen = slice(None) if kept is None else kept[start : start + len(label)]
            values.append(block[chosen])
            classes.append(label[chosen])
            start += len(label)
        assert start == total, (start, total)
        return np.concatenate(values), np.concatenate(classes)

    def describe(self) -> dict[str, Any]:
        """Return what a record keeps of the data, as JSON knows it."""
        return {
            "name": self.name,
            "bands": self.bands,
            "class_names": self.class_names,
            "ignore_index": self.ignore_index,
            "tile_px": self.tile_px,
            "normalization": {
                "normalize": self.normalize,
                "source": self._normalization_source(),
                "mean": self.mean,
                "std": self.std,
            },
            "splits": {
                split: {
                    "scenes": len({region.scene for region in self.regions[split]}),
                    "tiles": self.num_tiles(split),
                    "labelled_pixels": self.statistics.num_labelled(split),
                    "class_pixels": dict(zip(self.class_names, self.statistics.class_counts[split], strict=True)),
                }
                for split in SPLITS
            },
        }

    def _normalization_source(self) -> Literal["dataset", "given", "none"]:
        if self._given is not None:
            return "given"
        return "none" if self.normalize == "none" else "dataset"

    def _normalization(self) -> tuple[list[float], list[float]]:
        if self._given is not None:
            return self._given
        assert self.normalize != "pretraining", "set_normalization() comes first under normalize=pretraining"
        if self.normalize == "none":
            return [0.0] * len(self.bands), [1.0] * len(self.bands)
        return self.statistics.mean, self.statistics.std

    def _tiles(self, split: str, *, training: bool) -> tiles.TileDataset:
        assert self._statistics is not None, "setup() comes first"
        windows = self.tile_windows(split)
        regions = [region for region in self.regions[split] for _ in grid(region, self.tile_px)]
        augment = tiles.augmentation(
            dihedral=self.dihedral, rotation_deg=self.rotation_deg, ignore_index=self.ignore_index
        )
        return tiles.TileDataset(
            self.scenes,
            self._places,
            windows,
            self.tile_px,
            self.mean,
            self.std,
            self.ignore_index,
            regions=regions if training and self.random_crop else None,
            augment=augment if training else None,
        )
