"""Tiles of fixed size, normalised and augmented: what a data loader iterates over."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from geocompose.data.augmentation import Augmentation
from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.fitting import fitted_image
from geocompose.data.labels.base import Labels
from geocompose.data.normalization import Normalization, without_frames
from geocompose.data.scene import Scene
from geocompose.data.window import Region, Window

Sample = dict[str, torch.Tensor | int]

BLANK = -1  # in place of a tile: a sample that only fills a batch up, and doesn't count


class TileDataset(Dataset[Sample]):
    """The samples of one split.

    A sample has `image`, float32 (bands, [frames,] tile_px, tile_px), normalised; `tile`, its place in its split; and a
    label: `mask`, where pixels have labels, int64 or float32 ([variables,] tile_px, tile_px); else `label`, int64 () or
    (classes), or float32 () or (variables). Where a tile is cut off at its region's edge, or the image has no data, the
    image is 0 (the mean) and the mask has no label; a frame that models pass over is NaN. Where they are given,
    `temporal_coords` and `location_coords` are there too.

    scenes, bands: the scenes, and for each the places of the selected bands.
    tiles: the window of each sample. One with a side longer than tile_px is shrunk.
    labels: the kind of label that the scenes have.
    regions: for each tile the region that a random crop may be taken from; None for the tiles as they are.
    coordinates: when and where the scenes were taken; None where that is not given.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        bands: Sequence[Sequence[int]],
        tiles: Sequence[Region],
        tile_px: int,
        mean: Sequence[float],
        std: Sequence[float],
        labels: Labels,
        regions: Sequence[Region] | None = None,
        augment: Augmentation | None = None,
        coordinates: Coordinates | None = None,
    ) -> None:
        assert regions is None or len(regions) == len(tiles)
        self.scenes = scenes
        self.bands = bands
        self.tiles = tiles
        self.tile_px = tile_px
        self.labels = labels
        self.regions = regions
        self.augment = augment
        self.coordinates = coordinates or Coordinates()
        self._normalized = Normalization(mean, std)

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, item: int | tuple[int, int]) -> Sample:
        """Return the sample of a tile; a pair (tile, seed) says which random crop and augmentation of it.

        `BLANK` is the first tile's again, with `BLANK` as its tile.
        """
        if item == BLANK:
            return {**self._sample(0), "tile": BLANK}
        if isinstance(item, int):
            return self._sample(item)
        index, seed = item
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would also reseed every accelerator.
            torch.default_generator.manual_seed(seed)
            return self._sample(index)

    def _sample(self, index: int) -> Sample:
        scene = self.scenes[self.tiles[index].scene]
        window = self.tiles[index].window if self.regions is None else self._crop(self.regions[index].window)
        bands = self.bands[self.tiles[index].scene]
        raw, valid = scene.read_image(window, bands)
        label = self.labels.without(scene.read_label(window), valid)
        below, right = max(0, self.tile_px - window.height), max(0, self.tile_px - window.width)
        if below or right:
            label = self.labels.padded(label, below, right)
        normalized = without_frames(self._normalized(raw, valid), scene.masked_frames(bands))
        image = torch.from_numpy(fitted_image(normalized, self.tile_px))
        target = torch.as_tensor(self.labels.as_sample(label))
        if self.augment is not None:
            image, target = self._augmented(image, target, self.augment)
        beside = self.coordinates.of(self.tiles[index].scene, window)
        return {
            "image": image,
            self.labels.key: target,
            "tile": index,
            **{name: torch.from_numpy(value) for name, value in beside.items()},
        }

    def _augmented(
        self, image: torch.Tensor, target: torch.Tensor, augment: Augmentation
    ) -> tuple[torch.Tensor, torch.Tensor]:
        view = augment.draw_view()
        image = view.of(image)
        if self.labels.key != "mask":
            return augment.turn(image, None)[0], target
        image, mask = augment.turn(image, view.of(target))
        assert mask is not None
        return image, mask

    def _crop(self, region: Window) -> Window:
        """Return a window of a tile's size, uniformly drawn inside a region (the whole of it where it is smaller)."""
        # The crop comes before reading, not as a transform after it: a whole region may not fit into memory.
        height, width = min(self.tile_px, region.height), min(self.tile_px, region.width)
        row = int(torch.randint(region.height - height + 1, ()))
        column = int(torch.randint(region.width - width + 1, ()))
        return Window(region.row + row, region.column + column, height, width)


class ShuffledTiles(Sampler[tuple[int, int]]):
    """Every tile once per epoch in random order, each with a seed for its crop and augmentation.

    weights: how likely each tile is drawn, with sum 1. As many tiles as there are make an epoch then, drawn
    independently of each other: one may come several times, or not at all.

    Both depend on `seed` and the epoch alone: neither the number of workers, nor what else draws random numbers, nor an
    interruption between epochs changes what a model is trained on.
    """

    def __init__(self, num_tiles: int, seed: int, weights: Sequence[float] | np.ndarray | None = None) -> None:
        assert weights is None or len(weights) == num_tiles, (num_tiles, weights)
        self.num_tiles = num_tiles
        self.weights = None if weights is None else torch.as_tensor(np.asarray(weights, dtype=np.float64))
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration is for (the trainer does); else each follows the one before."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_tiles

    def __iter__(self) -> Iterator[tuple[int, int]]:
        start = np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(start >> np.uint64(1)))
        self.epoch += 1
        if self.weights is None:
            order = torch.randperm(self.num_tiles, generator=generator).tolist()
        else:
            # By the inverse of the cumulative distribution: torch.multinomial takes 2^24 tiles at most.
            bounds = self.weights.cumsum(0)
            drawn = torch.rand(self.num_tiles, dtype=torch.float64, generator=generator) * bounds[-1]
            order = torch.searchsorted(bounds, drawn, right=True).clamp(max=self.num_tiles - 1).tolist()
        seeds = torch.randint(2**62, (self.num_tiles,), generator=generator).tolist()
        return iter(list(zip(order, seeds, strict=True)))
