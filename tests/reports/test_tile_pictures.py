"""Pictures of what runs have kept: maps of errors, the worst and the best tiles."""

from types import SimpleNamespace

import numpy as np
import pytest

from geocompose.reports.cells import ReportedCell, ScoredSplit
from geocompose.reports.numbers import of_score
from geocompose.reports.scored_tiles import Tile
from geocompose.reports.tile_pictures import pictures
from geocompose.scores import regression_sums
from geocompose.statistics.pooled import Score

NAMES = ("BLUE", "RED")


def shown(tmp_path, kind, said, truth):
    """Return the pictures of tiles of numbers, (tiles, variables, rows, columns)."""
    file = tmp_path / "predictions.npz"
    np.savez(file, prediction=said, label=truth)
    run = SimpleNamespace(folder=SimpleNamespace(predictions=file))
    flat = ([each.reshape(len(NAMES), -1).T for each in part] for part in (truth, said))
    counts = np.array([regression_sums(each, other) for each, other in zip(*flat, strict=True)])[None]
    tiles = tuple(Tile(f"scene{number // 2}", 0, 4 * (number % 2), 4, 4) for number in range(len(said)))
    cell = ReportedCell("fcn", {}, {}, ((run,),), counts)
    return pictures(cell, ScoredSplit("made", Score("RMSE", NAMES, kind), "test", tiles), {}, "")


@pytest.mark.parametrize(
    ("kind", "what"), [("regression", "label of BLUE"), ("reconstruction", "hidden pixels of BLUE")]
)
def test_numbers_are_mapped_and_the_worst_tile_comes_first(tmp_path, kind, what):
    random = np.random.default_rng(0)
    truth = random.normal(1000, 300, (4, 2, 4, 4))
    truth[:, :, :2] = np.nan if kind == "reconstruction" else truth[:, :, :2]
    said = np.nan_to_num(truth, nan=1000.0) + np.array([10, 400, 20, 30])[:, None, None, None]
    found = shown(tmp_path, kind, said, truth)
    assert found.missing == ""
    assert [picture.title for picture in found.maps] == ["scene0", "scene1"]
    assert found.worst[0].title == "tile 1: scene0, row 0, column 4"
    assert found.worst[0].score == "RMSE 400"
    assert found.worst[0].pictures[0].title.startswith(f"{what}, ")
    assert "tile 0" in found.best[0].title


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (0.001234, "0.00123"), (0.0, "0.000"), (12.345, "12.3"), (1843.2, "1843"), (2e7, "2e+07")],
)
def test_scores_have_the_digits_that_can_matter(value, text):
    assert of_score(value) == text
