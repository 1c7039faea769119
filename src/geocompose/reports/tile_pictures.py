"""Pictures of a report: where a model is right and wrong over its scenes, and its worst and best tiles. No torch.

All of it comes from what a run keeps (predictions.npz, docs/records.md). Images themselves are given where the data is
at hand.
"""

import base64
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.image
import numpy as np

from geocompose.errors import UserError, first_line
from geocompose.figures.palette import IGNORED, class_colours
from geocompose.reports.cells import ReportedCell, ScoredSplit
from geocompose.reports.numbers import of_score
from geocompose.reports.scored_tiles import Tile
from geocompose.runs.arrays import read_arrays

_RIGHT, _WRONG, _OVER, _UNDER = (176, 213, 203), (170, 0, 60), (178, 24, 43), (33, 102, 172)
_MOST_SCENES, _MAP_PX = 6, 560
_TILES, _TILE_PX = 4, 200
_MOST_PIXELS = 2**34  # of a scene, which is 130,000 px square
_MAPPED = ("segmentation", "regression", "reconstruction")


@dataclass(frozen=True)
class Picture:
    """An image of the page: a data URI, and what it shows, in words."""

    uri: str
    title: str
    width: int
    height: int


@dataclass(frozen=True)
class TileRow:
    """One tile: its pictures (image, label, prediction, errors; the first only where the data was at hand)."""

    title: str
    score: str
    pictures: tuple[Picture, ...]
    words: str = ""


@dataclass(frozen=True)
class Pictures:
    """What a test set shows of its best cell. legend: of maps, name and colour; missing: what is not shown, and why."""

    maps: tuple[Picture, ...] = ()
    worst: tuple[TileRow, ...] = ()
    best: tuple[TileRow, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    missing: str = ""


def extreme_tiles(cell: ReportedCell, scored: ScoredSplit) -> tuple[list[int], list[int]]:
    """Return the worst and the best of a cell's mostly labelled tiles, by the mean over its seeds."""
    quality = _quality(cell, scored)
    labelled = _labels(cell, scored)
    candidates = np.flatnonzero((labelled >= 0.5 * labelled.max()) & np.isfinite(quality))
    ranked = candidates[np.argsort(quality[candidates], kind="stable")].tolist()
    half = min(_TILES, (len(ranked) + 1) // 2)
    return ranked[:half], ranked[max(half, len(ranked) - _TILES) :][::-1]


def pictures(cell: ReportedCell, scored: ScoredSplit, images: Mapping[int, np.ndarray], no_images: str) -> Pictures:
    """Return the pictures of a cell: of its first seed, whose predictions its runs have kept.

    images: (3, H, W) in 0 ... 1, by the tile's number, of the tiles that `extreme_tiles` names; no_images: why there
    are none.
    """
    if not all(run.folder.predictions.is_file() for run in cell.runs[0]):
        return Pictures(missing="its runs have kept no predictions (action.predictions_mb)")
    try:
        return _drawn(cell, scored, images, no_images)
    except (UserError, ValueError, IndexError, TypeError, MemoryError) as error:
        return Pictures(missing=f"its runs' predictions can't be shown ({first_line(error)})")


def _drawn(cell: ReportedCell, scored: ScoredSplit, images: Mapping[int, np.ndarray], no_images: str) -> Pictures:
    kind = scored.score.kind
    worst, best = extreme_tiles(cell, scored)
    kept = [read_arrays(run.folder.predictions, ("prediction", "label")) for run in cell.runs[0]]
    if not all({"prediction", "label"} <= set(each) for each in kept):
        return Pictures(missing="its runs' predictions.npz lack prediction or label")
    said, truth = ([row for each in kept for row in each[name]] for name in ("prediction", "label"))
    if len(said) != len(scored.tiles) or scored.split != "test":
        return Pictures(missing="its runs' predictions are of other tiles than their counts")
    painter = _Painter(scored, said, truth)
    rows = [
        tuple(_row(painter, number, cell, scored, images.get(number)) for number in numbers)
        for numbers in (worst, best)
    ]
    maps = painter.maps() if kind in _MAPPED else ()
    return Pictures(maps, rows[0], rows[1], painter.legend(), no_images)


def _quality(cell: ReportedCell, scored: ScoredSplit) -> np.ndarray:
    counts = cell.counts
    if scored.score.kind == "multilabel":
        right = np.diagonal(counts, axis1=-2, axis2=-1).sum(axis=(-1, -2))
        return (right / np.maximum(counts.sum(axis=(-1, -2, -3)), 1)).mean(axis=0)
    if scored.score.of_classes:
        right = np.diagonal(counts, axis1=-2, axis2=-1).sum(axis=-1)
        return (right / np.maximum(counts.sum(axis=(-1, -2)), 1)).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return -np.sqrt(counts[..., 4].sum(axis=-1) / counts[..., 0].sum(axis=-1)).mean(axis=0)


def _labels(cell: ReportedCell, scored: ScoredSplit) -> np.ndarray:
    first = cell.counts[0]
    return first[..., 0].sum(axis=-1) if not scored.score.of_classes else first.reshape(len(first), -1).sum(axis=-1)


def _row(
    painter: "_Painter", number: int, cell: ReportedCell, scored: ScoredSplit, image: np.ndarray | None
) -> TileRow:
    tile, quality = scored.tiles[number], float(_quality(cell, scored)[number])
    told = f"{100 * quality:.0f} % right" if scored.score.of_classes else f"RMSE {of_score(-quality)}"
    shown = [] if image is None else [_picture(np.moveaxis(image, 0, -1), "image", _TILE_PX)]
    words = ""
    if scored.score.kind in _MAPPED:
        shown += painter.tile(number)
    else:
        words = painter.words(number)
    return TileRow(f"tile {number}: {tile.place}", told, tuple(shown), words)


@dataclass(frozen=True)
class _Painter:
    """Draws labels, predictions and errors of tiles: (H, W) each, or (variables, H, W), of which the first is shown."""

    scored: ScoredSplit
    said: Sequence[np.ndarray]
    truth: Sequence[np.ndarray]

    @property
    def classes(self) -> bool:
        return self.scored.score.kind == "segmentation"

    def legend(self) -> tuple[tuple[str, str], ...]:
        if not self.classes:
            return ()
        names = self.scored.score.names
        colours = [
            *zip(names, class_colours(names), strict=True),
            ("right", _RIGHT),
            ("wrong", _WRONG),
            ("no label", IGNORED),
        ]
        return tuple((name, f"rgb{colour}") for name, colour in colours)

    def tile(self, number: int) -> list[Picture]:
        said, truth = self._cut(number)
        if self.classes:
            return [
                _picture(self._painted(truth), "label", _TILE_PX),
                _picture(self._painted(np.where(self._known(truth), said, 255)), "prediction", _TILE_PX),
                _picture(self._errors(said, truth), "wrong", _TILE_PX),
            ]
        low, high = self._range
        names = self.scored.score.names
        what = "hidden pixels" if self.scored.score.kind == "reconstruction" else "label"
        of_several = f" of {names[0]}" if len(names) > 1 else ""
        return [
            _picture(_grey(truth, low, high), f"{what}{of_several}, {of_score(low)} to {of_score(high)}", _TILE_PX),
            _picture(_grey(said, low, high), "prediction", _TILE_PX),
            _picture(
                self._errors(said, truth), f"too much (red), too little (blue), up to {of_score(self._far)}", _TILE_PX
            ),
        ]

    def words(self, number: int) -> str:
        said, truth = self.said[number], self.truth[number]
        names = self.scored.score.names
        if self.scored.score.kind == "classification":
            known = int(truth) < len(names)
            return f"is {names[int(truth)] if known else 'unknown'}, taken for {names[int(said)]}"
        if self.scored.score.kind == "multilabel":
            told = [
                ", ".join(name for name, on in zip(names, values, strict=True) if on == 1) or "none"
                for values in (truth, said)
            ]
            return f"is {told[0]}; taken for {told[1]}"
        pairs = zip(names, np.ravel(truth), np.ravel(said), strict=False)
        return "; ".join(
            f"{name} is {of_score(float(is_))}, said {of_score(float(taken))}" for name, is_, taken in pairs
        )

    def maps(self) -> tuple[Picture, ...]:
        """Return where the model is wrong, a picture per scene, of the scenes with the most tiles."""
        scenes: dict[str, list[int]] = defaultdict(list)
        for number, tile in enumerate(self.scored.tiles):
            scenes[tile.scene].append(number)
        largest = sorted(scenes, key=lambda name: -len(scenes[name]))[:_MOST_SCENES]
        return tuple(self._map(name, scenes[name]) for name in largest)

    def _map(self, scene: str, numbers: Sequence[int]) -> Picture:
        tiles = [self.scored.tiles[number] for number in numbers]
        top, left = min(tile.row for tile in tiles), min(tile.column for tile in tiles)
        height = max(tile.row + tile.height for tile in tiles) - top
        width = max(tile.column + tile.width for tile in tiles) - left
        if height * width > _MOST_PIXELS:
            raise UserError(f"{scene} spans {height:,} x {width:,} pixels")
        # Every n-th pixel of each tile, so that a scene of any size takes no more memory than its picture.
        step = max(1, -(-max(height, width) // _MAP_PX))
        whole = np.full((-(-height // step), -(-width // step), 3), IGNORED, dtype=np.uint8)
        for number, tile in zip(numbers, tiles, strict=True):
            row, column = tile.row - top, tile.column - left
            first_row, first_column = -row % step, -column % step
            shown = self._errors(*(each[first_row::step, first_column::step] for each in self._cut(number)))
            at_row, at_column = (row + first_row) // step, (column + first_column) // step
            whole[at_row : at_row + shown.shape[0], at_column : at_column + shown.shape[1]] = shown
        return _picture(whole, scene, _MAP_PX)

    def _cut(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what lies inside the scene of a tile's prediction and label."""
        tile: Tile = self.scored.tiles[number]
        said, truth = (each[number] for each in (self.said, self.truth))
        said, truth = (each if each.ndim == 2 else each[0] for each in (said, truth))
        return said[: tile.height, : tile.width], truth[: tile.height, : tile.width]

    def _known(self, truth: np.ndarray) -> np.ndarray:
        return truth < len(self.scored.score.names) if self.classes else np.isfinite(truth)

    def _painted(self, classes: np.ndarray) -> np.ndarray:
        names = self.scored.score.names
        colours = np.array([*class_colours(names), IGNORED]) / 255
        return colours[np.where(classes < len(names), classes, len(names))]

    def _errors(self, said: np.ndarray, truth: np.ndarray) -> np.ndarray:
        known = self._known(truth)
        if self.classes:
            found = np.where((said == truth)[..., None], _RIGHT, _WRONG)
        else:
            share = np.clip((said - truth) / self._far, -1, 1)[..., None]
            end = np.where(share > 0, _OVER, _UNDER)
            found = np.nan_to_num((1 - np.abs(share)) * np.array(_RIGHT) + np.abs(share) * end)
        return np.where(known[..., None], found, IGNORED).astype(np.uint8)

    @property
    def _range(self) -> tuple[float, float]:
        values = np.concatenate([np.ravel(each if each.ndim == 2 else each[0]) for each in self.truth])
        low, high = np.nanpercentile(values.astype(np.float64), (1, 99))
        return float(low), float(high) if high > low else float(low) + 1.0

    @property
    def _far(self) -> float:
        low, high = self._range
        return (high - low) / 2


def _grey(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)
    painted = np.repeat(share[..., None], 3, axis=-1)
    return np.where(np.isfinite(values)[..., None], painted, np.array(IGNORED) / 255)


def _picture(image: np.ndarray, title: str, most_px: int) -> Picture:
    """Return an image (H, W, 3), 0 ... 1 or uint8, as a data URI; of a larger one every n-th pixel."""
    step = max(1, -(-max(image.shape[:2]) // most_px))
    shown = np.ascontiguousarray(image[::step, ::step])
    written = io.BytesIO()
    matplotlib.image.imsave(written, shown, format="png")
    uri = "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
    return Picture(uri, title, shown.shape[1], shown.shape[0])
