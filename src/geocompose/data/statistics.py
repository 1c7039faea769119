"""One pass over all regions: each band's mean and deviation, a tally of the labels, and the checks of every pixel."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from geocompose.data.label_survey import advice_on_values, unlisted_pixels
from geocompose.data.label_values import UnlistedValueError
from geocompose.data.labels.base import Labels
from geocompose.data.labels.tally import ClassTally, MultilabelTally, Tally
from geocompose.data.left_out import SplitCount, TileCount, labelled
from geocompose.data.moments import Moments
from geocompose.data.pixel_hash import PixelHash
from geocompose.data.plausibility import Plausibility
from geocompose.data.rasters.valid import check_finite
from geocompose.data.scene import Scene
from geocompose.data.split import SPLITS
from geocompose.data.tiling import Tiling
from geocompose.data.window import Region, Window, grid
from geocompose.errors import UserError
from geocompose.imagery.units import Values

CELL_PX = 1024  # a scan holds this square in memory: 55 MB as float32 in 13 bands


@dataclass(frozen=True)
class Statistics:
    """What the scan found.

    mean, std: a number for each selected band, over the training regions' valid pixels in all frames, labelled or not.
    labels: for each split a tally of its labels, where the image is valid. left_out: what of each does not count.
    hashes: for each split those of the pixels of each region, none where no pixel is valid.
    plausibility: which values are odd in the unit in which they were read.
    """

    mean: list[float]
    std: list[float]
    labels: dict[str, Tally]
    plausibility: Plausibility
    left_out: dict[str, SplitCount] = field(default_factory=dict)
    hashes: dict[str, list[tuple[bytes, ...]]] = field(default_factory=dict)

    def num_labelled(self, split: str) -> int:
        """Return how many pixels, or images, of a split have a label and an image."""
        return self.labels[split].num_labelled

    @property
    def class_counts(self) -> dict[str, list[int]]:
        """For each split a count of pixels, or images, of each class; for labels that are classes."""
        counts = {}
        for split, tally in self.labels.items():
            assert isinstance(tally, ClassTally | MultilabelTally), "these labels are numbers"
            counts[split] = tally.counts.tolist()
        return counts


def scan(
    scenes: Sequence[Scene],
    bands: Sequence[Sequence[int]],
    regions: Mapping[str, Sequence[Region]],
    labels: Labels,
    tiling: Tiling,
    values: Values | None = None,
) -> Statistics:
    """Return statistics of the regions after having looked at every pixel of every split.

    bands: for each scene the places of the selected bands.
    tiling: which windows have a label, where whole images are labelled. values: what is known of the images' values.

    Raises:
        UserError: NaN or infinity that is not declared nodata; a label that its kind does not have; a split without
            labels.
    """
    names = [scenes[0].band_names[band] for band in bands[0]]
    moments, plausibility = Moments(len(bands[0])), Plausibility(names, scenes, bands, values)
    tallies = {split: labels.tally() for split in SPLITS}
    counts = {split: SplitCount() for split in SPLITS}
    hashes: dict[str, list[tuple[bytes, ...]]] = {split: [] for split in SPLITS}
    look = _scan_pixels if labels.target.pixel_wise else _scan_image
    for split in SPLITS:
        for whole in regions[split]:
            scene, chosen = scenes[whole.scene], bands[whole.scene]
            sums = _Sums(
                moments if split == "train" else None, tallies[split], counts[split], PixelHash(), plausibility
            )
            try:
                look(scene, chosen, whole, labels, tiling, sums)
            except UnlistedValueError as error:
                raise UserError(f"{error} {advice_on_values(scenes, regions)}".rstrip()) from error
            absent = scene.absent_frames(chosen)
            counts[split].frames += [f"{scene.name}, frame {frame + 1}" for frame in absent]
            counts[split].masked = counts[split].masked or bool(scene.masked_frames(chosen))
            hashes[split].append(sums.pixels.digests)
        _check_labelled(tallies[split], split, labels, _names(scenes, regions[split]))
    return Statistics(moments.mean.tolist(), moments.std.tolist(), tallies, plausibility, counts, hashes)


@dataclass(frozen=True)
class _Sums:
    """What a region is added to: the moments of the bands (None where it does not count), labels, counts, hash
    and what is odd."""

    moments: Moments | None
    tally: Tally
    count: SplitCount
    pixels: PixelHash
    plausibility: Plausibility


def _scan_pixels(
    scene: Scene, bands: Sequence[int], whole: Region, labels: Labels, tiling: Tiling, sums: _Sums
) -> None:
    """Read a region whose pixels have labels."""
    tally, count = sums.tally, sums.count
    tiles = TileCount(whole, tiling.tile_px)
    for window, valid in _images(scene, bands, whole, sums):
        label = scene.read_label(window)
        labels.check(label, scene, window)
        label = labels.without(label, valid)
        tally.add(label)
        counting = labelled(label, labels.target)
        tiles.add(window, counting)
        count.counting += int(counting.sum())
        count.unlisted += unlisted_pixels(scene, window)
    count.tiles += tiles.counts.size
    for tile in [tile for tile, pixels in zip(tiling.tiles(whole), tiles.counts.flat, strict=True) if not pixels]:
        count.empty.append(f"{scene.name} at {tile.window.in_words}" if tiles.counts.size > 1 else scene.name)


def _scan_image(scene: Scene, bands: Sequence[int], whole: Region, labels: Labels, tiling: Tiling, sums: _Sums) -> None:
    """Read a region whose tiles have a label each."""
    tally, count = sums.tally, sums.count
    tiles = tiling.tiles(whole)
    shown = [False] * len(tiles)
    for window, valid in _images(scene, bands, whole, sums):
        shown = [seen or _any(valid, window, tile.window) for seen, tile in zip(shown, tiles, strict=True)]
        count.counting += int(valid.sum())
    count.tiles += len(tiles)
    for tile, seen in zip(tiles, shown, strict=True):
        label = scene.read_label(tile.window)
        labels.check(label, scene, tile.window)
        label = labels.without(label, np.array(seen))
        tally.add(label)
        if not labelled(label, labels.target).any():
            count.empty.append(scene.name)


def _images(scene: Scene, bands: Sequence[int], whole: Region, sums: _Sums) -> Iterator[tuple[Window, np.ndarray]]:
    """Yield the windows of a region with where they are valid, checked and added to the moments."""
    moments, count = sums.moments, sums.count
    for _, window in grid(whole, CELL_PX):
        image, valid = scene.read_image(window, bands)
        masked = scene.masked_frames(bands)
        if masked:
            image = np.delete(image, masked, axis=1)
        check_image(image, valid, scene, bands, window)
        values = image[..., valid].reshape(len(image), -1)
        sums.plausibility.add(whole.scene, values)
        if moments is not None:
            moments.add(values)
        count.pixels += valid.size
        sums.pixels.add(image, valid)
        yield window, valid


def _any(valid: np.ndarray, window: Window, tile: Window) -> bool:
    """Return whether a pixel of `tile` is valid, as far as it lies in `window`."""
    rows, columns = tile._replace(row=tile.row - window.row, column=tile.column - window.column).slices
    return bool(valid[max(rows.start, 0) : max(rows.stop, 0), max(columns.start, 0) : max(columns.stop, 0)].any())


def _check_labelled(tally: Tally, split: str, labels: Labels, where: str) -> None:
    if not tally.num_labelled:
        what, keys = "image", "data.nodata"
        if labels.target.pixel_wise:
            what = "pixel"
            keys = f"data.nodata and data.{'ignore_index' if labels.target.of_classes else 'label_nodata'}"
        raise UserError(
            f"The {split} split has no labelled {what} with image data in {where}. "
            f"Check the labels, {keys}, or split in another way (data.split, data.seed)."
        )
    if tally.unlabelled_names:
        raise UserError(
            f"The {split} split has no label of {', '.join(tally.unlabelled_names)} with image data in {where}. "
            "Check the labels, leave it out, or split in another way (data.split, data.seed)."
        )


def check_image(image: np.ndarray, valid: np.ndarray, scene: Scene, bands: Sequence[int], window: Window) -> None:
    """Refuse NaN or infinity that is not declared nodata.

    Raises:
        UserError: names file, band and place.
    """
    check_finite(
        image,
        valid,
        bands=[scene.band_names[band] for band in bands],
        origin_of=lambda band: scene.origin_of(bands[band]),
        window=window,
        conversions=None if scene.conversions is None else [scene.conversions[band] for band in bands],
    )


def _names(scenes: Sequence[Scene], regions: Sequence[Region]) -> str:
    names = [scenes[region.scene].name for region in regions]
    return names[0] if len(names) == 1 else f"{len(names)} scenes ({names[0]}, ...)"
