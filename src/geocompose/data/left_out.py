"""What of a split does not count: tiles without a label, pixels without data or label; counted in the scan."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geocompose.data.files.left_out import FilesLeftOut
from geocompose.data.scene import Scene
from geocompose.data.split import SPLITS
from geocompose.data.window import Region, Window
from geocompose.errors import UserError, shortened
from geocompose.imagery.samples import Target

log = logging.getLogger("geocompose")

_SHOWN = 3
_USUAL_SHARE = 0.98  # of pixels that count: what is at and above it stands in the record alone


@dataclass
class SplitCount:
    """What of one split counts, and what does not.

    pixels: of all its regions. counting: those with image data and, where pixels have labels, a label.
    unlisted: pixels with a value that means no class, read as no label.
    frames: the scenes' frames that have no data at all, a name for each. masked: whether models pass over those.
    tiles: its samples. empty: where those without a label or without data lie, a name for each.
    """

    pixels: int = 0
    counting: int = 0
    unlisted: int = 0
    frames: list[str] = field(default_factory=list)
    masked: bool = False
    tiles: int = 0
    empty: list[str] = field(default_factory=list)

    def as_record(self) -> dict[str, Any]:
        """Return what a record keeps, as JSON knows it."""
        return {
            "tiles_without_label": len(self.empty),
            "share_of_pixels_that_count": self.counting / self.pixels if self.pixels else None,
            "frames_without_data": len(self.frames),
            "pixels_with_unlisted_values": self.unlisted,
        }


class TileCount:
    """How many pixels count in each tile of a region, whose pixels come in other windows than its tiles."""

    def __init__(self, region: Region, tile_px: int) -> None:
        self._region, self._tile_px = region.window, tile_px
        rows, columns = (-(-side // tile_px) for side in (region.window.height, region.window.width))
        self.counts = np.zeros((rows, columns), np.int64)

    def add(self, window: Window, counting: np.ndarray) -> None:
        """Take in a window of the region. counting: bool (height, width)."""
        top, left = window.row - self._region.row, window.column - self._region.column
        rows, columns = (self._starts(first, side) for first, side in ((top, window.height), (left, window.width)))
        sums = np.add.reduceat(np.add.reduceat(counting.astype(np.int64), rows, 0), columns, 1)
        row, column = top // self._tile_px, left // self._tile_px
        self.counts[row : row + len(rows), column : column + len(columns)] += sums

    def _starts(self, first: int, side: int) -> list[int]:
        """Return where tiles begin within `side` pixels from `first` on."""
        return [0, *range(self._tile_px - first % self._tile_px, side, self._tile_px)]


def labelled(label: np.ndarray, target: Target) -> np.ndarray:
    """Return where there is a label: bool (height, width) where pixels have labels, else ()."""
    if not target.of_classes:
        return np.asarray(~np.isnan(label).all(0))
    return np.asarray((label >= 0).any() if target.kind == "multilabel" else label != target.ignore_index)


def say(files: Sequence[FilesLeftOut], counts: Mapping[str, SplitCount], *, of_pixels: bool) -> None:
    """Say in a line for each kind what is left out of the files, tiles and pixels of a data set.

    of_pixels: whether pixels have labels, rather than images.
    """
    for one in files:
        log.warning("%s", one.in_words)
    empty = _per_split(counts, lambda split: len(split.empty), lambda split: split.tiles)
    if empty:
        names = shortened((name for split in SPLITS if split in counts for name in counts[split].empty), _SHOWN)
        what = "tiles without a labelled pixel" if of_pixels else "images without a label or without data"
        log.warning("Left out: %s: %s (%s).", what, empty, names)
    absent = {name: len(split.frames) for name, split in counts.items() if split.frames}
    if absent:
        frames = (frame for split in SPLITS if split in counts for frame in counts[split].frames)
        names = shortened(frames, _SHOWN, between="; ")
        number = ", ".join(f"{one:,} in {name}" for name, one in absent.items())
        masked = any(split.masked for split in counts.values())
        fate = "they are masked" if masked else "their series do not count (data.missing_frames=leave_out)"
        log.warning("Frames without data: %s (%s); %s.", number, names, fate)
    if any(split.unlisted for split in counts.values()):
        found = _per_split(counts, lambda split: split.unlisted, lambda split: split.pixels)
        log.warning("Left out: pixels with values that data.label_values does not list: %s.", found)
    if any(split.counting < _USUAL_SHARE * split.pixels for split in counts.values()):
        shares = [f"{_percent(counts[name])} of {name}" for name in SPLITS if name in counts and counts[name].pixels]
        what = "with image data and a label" if of_pixels else "with image data"
        log.info("Pixels that count, %s: %s.", what, ", ".join(shares))


def check_frames(scenes: Sequence[Scene], bands: Sequence[Sequence[int]]) -> None:
    """Refuse frames without data. bands: for each scene the places of the selected bands.

    Raises:
        UserError: names some, and how many there are.
    """
    found = [
        f"{scene.name}, frame {frame + 1}"
        for scene, chosen in zip(scenes, bands, strict=True)
        for frame in scene.absent_frames(chosen)
    ]
    if found:
        raise UserError(
            f"Frames have no data: {shortened(found, _SHOWN, between='; ')}. data.missing_frames=refuse stops for "
            "this; mask passes over such a frame, and leave_out leaves its series out."
        )


def _per_split(
    counts: Mapping[str, SplitCount], number: Callable[[SplitCount], int], total: Callable[[SplitCount], int]
) -> str:
    found = [(name, number(counts[name]), total(counts[name])) for name in SPLITS if name in counts]
    return ", ".join(f"{one:,} of {of:,} in {name}" for name, one, of in found if one)


def _percent(split: SplitCount) -> str:
    share = 100 * split.counting / split.pixels
    return f"{share:.3g} %" if share < 99.9 or split.counting == split.pixels else "over 99.9 %"
