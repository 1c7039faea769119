"""Blocks of neighbouring tiles as clusters, and the likeness that is left between neighbours."""

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.statistics.blocks import likeness, spatial_blocks

ROWS, COLUMNS = (axis.ravel().tolist() for axis in np.mgrid[:12, :12])


def test_blocks_are_squares_of_neighbours():
    labels = spatial_blocks([0, 0, 1, 2, 5], [0, 1, 1, 0, 3], 2)
    assert labels == ["rows 0-1, columns 0-1"] * 3 + ["rows 2-3, columns 0-1", "rows 4-5, columns 2-3"]
    assert len(set(spatial_blocks(ROWS, COLUMNS, 3))) == 16
    assert len(set(spatial_blocks(ROWS, COLUMNS, (1, 12)))) == 12


@pytest.mark.parametrize("size", [0, (2, 0), -1])
def test_a_block_has_a_tile_at_least(size):
    with pytest.raises(UserError, match="1 or more"):
        spatial_blocks([0], [0], size)


def test_rows_and_columns_are_one_per_tile():
    with pytest.raises(UserError, match="2 rows and 1 columns"):
        spatial_blocks([0, 1], [0], 1)
    with pytest.raises(UserError, match="3, 2, 2"):
        likeness([1.0, 2.0, 3.0], [0, 1], [0, 1])


def test_independent_places_are_not_alike():
    found = [likeness(np.random.default_rng(i).normal(size=144), ROWS, COLUMNS) for i in range(200)]
    assert found[0].pairs == 2 * 11 * 12
    assert abs(np.mean([each.correlation for each in found])) < 0.02


def test_deviations_of_independent_places_are_standard():
    """This holds the formula of Moran's variance, on a raster small enough for its terms to matter."""
    rows, columns = (axis.ravel().tolist() for axis in np.mgrid[:3, :3])
    random = np.random.default_rng(0)
    found = [likeness(random.normal(size=9), rows, columns).deviations for _ in range(4000)]
    assert np.mean(found) == pytest.approx(0, abs=0.05)
    assert np.std(found) == pytest.approx(1, abs=0.03)


def test_likeness_is_the_correlation_of_neighbours_and_ends_with_blocks_that_are_large_enough():
    random = np.random.default_rng(0)
    patches = np.repeat(np.repeat(random.normal(size=(6, 6)), 2, axis=0), 2, axis=1)
    values = (patches + 0.5 * random.normal(size=(12, 12))).ravel()
    tiles = likeness(values, ROWS, COLUMNS)
    assert tiles.correlation == pytest.approx(0.5 * 1 / 1.25, abs=0.15)  # every other neighbour is of the same patch
    assert tiles.deviations > 4
    blocks = values.reshape(6, 2, 6, 2).mean(axis=(1, 3)).ravel()
    rows, columns = (axis.ravel().tolist() for axis in np.mgrid[:6, :6])
    assert abs(likeness(blocks, rows, columns).deviations) < 2


@pytest.mark.parametrize(
    ("values", "rows"), [([1.0] * 5, range(5)), ([1.0, 2.0, 3.0], range(3)), ([1, 2, 3, 4], range(0, 8, 2))]
)
def test_without_neighbours_or_differences_likeness_is_not_known(values, rows):
    assert np.isnan(likeness(values, list(rows), [0] * len(values)).correlation)


def test_places_of_two_rasters_are_refused():
    with pytest.raises(UserError, match="at one place"):
        likeness([1.0, 2.0], [0, 0], [0, 0])
