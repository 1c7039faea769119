"""The plan of windows: every pixel written once, away from the borders of what is read."""

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.inference.windows import plan_windows

SHAPES = [(64, 64), (40, 130), (130, 40), (97, 61), (20, 90), (90, 20), (20, 20), (1, 75), (33, 1)]
TILINGS = [(32, 0), (32, 8), (32, 7), (32, 31), (1, 0), (64, 20)]


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize(("tile_px", "overlap_px"), TILINGS)
def test_windows_write_every_pixel_once_and_away_from_their_borders(height, width, tile_px, overlap_px):
    written = np.zeros((height, width), dtype=int)
    for read, write in plan_windows(height, width, tile_px, overlap_px):
        assert (read.height, read.width) == (min(height, tile_px), min(width, tile_px))
        assert read.row >= 0
        assert read.column >= 0
        assert read.row + read.height <= height
        assert read.column + read.width <= width
        written[write.row : write.row + write.height, write.column : write.column + write.width] += 1
        margins = [
            (write.row - read.row, read.row == 0),
            (write.column - read.column, read.column == 0),
            (
                read.row + read.height - write.row - write.height,
                read.row + read.height == height,
            ),
            (read.column + read.width - write.column - write.width, read.column + read.width == width),
        ]
        assert all(margin >= overlap_px // 2 or at_the_edge for margin, at_the_edge in margins)
    assert (written == 1).all()


def test_a_raster_may_declare_any_size():
    plan = plan_windows(2**31 - 1, 2**31 - 1, 224, 56)
    assert len(plan) == (-(-(2**31 - 1 - 224) // 168) + 1) ** 2
    last = plan[len(plan) - 1]
    assert last.write.row + last.write.height == last.read.column + last.read.width == 2**31 - 1
    assert plan[0].read == (0, 0, 224, 224)
    assert [window.write.column for window in plan[1:3]] == [196, 364]


def test_windows_come_row_by_row():
    corners = [(window.write.row, window.write.column) for window in plan_windows(100, 70, 32, 8)]
    assert corners == sorted(corners)


@pytest.mark.parametrize("overlap_px", [-1, 32, 40])
def test_overlap_of_a_whole_tile_is_refused(overlap_px):
    with pytest.raises(UserError, match=r"overlap_px=.* can share 0 to 31"):
        plan_windows(100, 100, 32, overlap_px)


def test_tile_without_pixels_is_refused():
    with pytest.raises(UserError, match=r"tile_px=0.*at least one pixel"):
        plan_windows(100, 100, 0, 0)
