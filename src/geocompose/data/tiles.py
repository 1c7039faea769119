"""Tiles of fixed size, normalised and augmented: what a data loader iterates over."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from geocompose.data.augmentation import AS_IT_IS, Augmentation, View
from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.drawn import FEATURES, Drawn, KeptFeatures
from geocompose.data.fitting import fitted_image
from geocompose.data.given_numbers import BandNumbers
from geocompose.data.labels.base import Labels
from geocompose.data.normalization import Normalization, without_frames
from geocompose.data.planes import Planes
from geocompose.data.scene import Scene
from geocompose.data.window import Region, Window

Sample = dict[str, torch.Tensor | int | list[torch.Tensor]]

KEPT_LABEL_BYTES = 2**28  # labels of kept features stay in memory up to this size, so that no image is read for them
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

    Attributes: `kept`, a frozen backbone's features of the samples; with them a sample has `features`, a list of
    tensors, in place of its image and coordinates. `crops`: how many random crops a tile has; None: any.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        bands: Sequence[Sequence[int]],
        tiles: Sequence[Region],
        tile_px: int,
        mean: BandNumbers,
        std: BandNumbers,
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
        self.kept: KeptFeatures | None = None
        self.crops: int | None = None
        self._normalized = Normalization(mean, std)
        self._labels: dict[Region, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, item: int | tuple[int, int]) -> Sample:
        """Return the sample of a tile; a pair (tile, seed) says which random crop and augmentation of it.

        `BLANK` is the first tile's again, with `BLANK` as its tile.
        """
        return self.sample(item)

    def sample(self, item: int | tuple[int, int], into: torch.Tensor | None = None) -> Sample:
        """Return what `__getitem__` does. into: where its image is written, if it can be made there."""
        if item == BLANK:
            return {**self._sample(0, None, into), "tile": BLANK}
        return self._sample(*_seeded(item), into)

    def drawn(self, item: int | tuple[int, int]) -> Drawn:
        """Return what `__getitem__` reads for an item that is not `BLANK`."""
        return self._draw(*_seeded(item))

    def _draw(self, index: int, generator: torch.Generator | None) -> Drawn:
        region = self.tiles[index]
        if self.regions is not None:
            region = Region(region.scene, self._crop(self.regions[index].window, region, generator))
        return Drawn(region, AS_IT_IS if self.augment is None else self.augment.draw_view(generator))

    def _sample(self, index: int, generator: torch.Generator | None, into: torch.Tensor | None) -> Sample:
        drawn = self._draw(index, generator)
        region, view = drawn
        if self.kept is not None:
            target = view.of(self._label(region)) if self.labels.key == "mask" else self._label(region)
            return {FEATURES: self.kept.of(drawn), self.labels.key: target, "tile": index}
        image, valid = self._read(drawn, into)
        target = self._labelled(self.scenes[region.scene], region.window, valid)
        if self.labels.key == "mask":
            target = view.of(target)
        if self.augment is not None:
            image, target = self._turned(image, target, self.augment, generator)
        return {"image": image, self.labels.key: target, "tile": index, **self._beside(region)}

    def image(self, drawn: Drawn) -> Sample:
        """Return what a model is given of a sample: `image`, and coordinates where they are known."""
        return {"image": self._read(drawn)[0], **self._beside(drawn.region)}

    def seen(self, index: int) -> np.ndarray:
        """Return where the image of a tile as it lies holds data, bool (tile_px, tile_px)."""
        region = self.tiles[index]
        valid = self.scenes[region.scene].read_planes(region.window, self.bands[region.scene]).valid
        whole: np.ndarray = fitted_image(valid[np.newaxis].astype(np.float32), self.tile_px)[0] >= 0.5
        return whole

    def _read(self, drawn: Drawn, into: torch.Tensor | None = None) -> tuple[torch.Tensor, np.ndarray]:
        """Return the image of a sample in its view, contiguous, and where its window is valid, bool (height, width)."""
        scene, bands = self.scenes[drawn.region.scene], self.bands[drawn.region.scene]
        planes = scene.read_planes(drawn.region.window, bands)
        return self._image(planes, scene.masked_frames(bands), drawn.view, into), planes.valid

    def _image(self, planes: Planes, masked: Sequence[int], view: View, into: torch.Tensor | None) -> torch.Tensor:
        """Return the image that planes make, in a view. masked: frames passed over."""
        if planes.valid.shape != (self.tile_px, self.tile_px):
            normalized = without_frames(self._normalized(planes.image(), planes.valid), masked)
            return view.of(torch.from_numpy(fitted_image(normalized, self.tile_px)))
        frames = () if planes.num_frames is None else (planes.num_frames,)
        shape = (len(planes.stored) // (planes.num_frames or 1), *frames, self.tile_px, self.tile_px)
        image = torch.empty(shape, dtype=torch.float32) if into is None else into
        assert image.shape == shape, (image.shape, shape)
        self._normalized.write(planes, image.numpy(), view.of_plane)
        without_frames(image.numpy(), masked)
        return image

    def _label(self, region: Region) -> torch.Tensor:
        """Return the label of a window alone; where its image has no data, there is none."""
        label = self._labels.get(region)
        if label is None:
            scene, window = self.scenes[region.scene], region.window
            valid = scene.read_planes(window, self.bands[region.scene]).valid
            label = self._labelled(scene, window, valid)
            if (len(self._labels) + 1) * label.nbytes <= KEPT_LABEL_BYTES:
                self._labels[region] = label
        return label

    def _labelled(self, scene: Scene, window: Window, valid: np.ndarray) -> torch.Tensor:
        label = self.labels.without(scene.read_label(window), valid)
        below, right = max(0, self.tile_px - window.height), max(0, self.tile_px - window.width)
        if below or right:
            label = self.labels.padded(label, below, right)
        return torch.as_tensor(self.labels.as_sample(label))

    def _beside(self, region: Region) -> dict[str, torch.Tensor]:
        beside = self.coordinates.of(region.scene, region.window)
        return {name: torch.from_numpy(value) for name, value in beside.items()}

    def _turned(
        self, image: torch.Tensor, target: torch.Tensor, augment: Augmentation, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.labels.key != "mask":
            return augment.turn(image, None, generator)[0], target
        image, mask = augment.turn(image, target, generator)
        assert mask is not None
        return image, mask

    def _crop(self, of: Window, tile: Region, generator: torch.Generator | None) -> Window:
        """Return a window of a tile's size, uniformly drawn inside a region (the whole of it where it is smaller)."""
        # The crop comes before reading, not as a transform after it: a whole region may not fit into memory.
        if self.crops is not None:
            return self._numbered_crop(of, tile, int(torch.randint(self.crops, (), generator=generator)))
        height, width = min(self.tile_px, of.height), min(self.tile_px, of.width)
        row = int(torch.randint(of.height - height + 1, (), generator=generator))
        column = int(torch.randint(of.width - width + 1, (), generator=generator))
        return Window(of.row + row, of.column + column, height, width)

    def _numbered_crop(self, of: Window, tile: Region, number: int) -> Window:
        """Return one of a tile's crops, which are the same in every run."""
        height, width = min(self.tile_px, of.height), min(self.tile_px, of.width)
        drawn = np.random.default_rng([tile.scene, *tile.window, number])
        row, column = drawn.integers((of.height - height + 1, of.width - width + 1)).tolist()
        return Window(of.row + row, of.column + column, height, width)

    def all_drawn(self, views: Sequence[View]) -> list[Drawn]:
        """Return all that training samples can be drawn as, in these views; crops have to be numbered."""
        if self.regions is None:
            regions = list(self.tiles)
        else:
            assert self.crops is not None, "crops anywhere can't be listed"
            regions = [
                Region(tile.scene, self._numbered_crop(within.window, tile, number))
                for tile, within in zip(self.tiles, self.regions, strict=True)
                for number in range(self.crops)
            ]
        return [Drawn(region, view) for region in dict.fromkeys(regions) for view in views]


def _seeded(item: int | tuple[int, int]) -> tuple[int, torch.Generator | None]:
    """Return a tile, and what its crop and augmentation are drawn from; None is torch's global generator.

    A generator of its own: from the global one the training draws while threads read samples.
    """
    return (item, None) if isinstance(item, int) else (item[0], torch.Generator().manual_seed(item[1]))


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
