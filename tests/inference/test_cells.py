"""A raster read by whole blocks, each once, and windows cut out of them: what is read, when, and how much is held."""

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.inference import cells
from geocompose.inference.cells import CellReader, CellShape, cell_shape, lane_px
from geocompose.inference.windows import plan_windows


class Raster:
    """Pixels whose values say where they are, which counts how often each is read."""

    def __init__(self, height, width):
        self.pixels = np.arange(2 * height * width, dtype="float32").reshape(2, height, width)
        self.valid = self.pixels[0] % 7 > 0
        self.times = np.zeros((height, width), int)

    def read(self, window):
        self.times[window.slices] += 1
        return self.pixels[:, *window.slices], self.valid[window.slices]


@pytest.mark.parametrize(("height", "width"), [(40, 130), (97, 61), (20, 20), (64, 64), (1, 75)])
@pytest.mark.parametrize("shape", [(16, 16), (64, 8), (5, 1000), (1000, 1000)])
@pytest.mark.parametrize("threads", [1, 3])
def test_each_window_is_what_the_raster_has_there_and_each_pixel_is_read_once(height, width, shape, threads):
    raster, plan = Raster(height, width), plan_windows(height, width, 32, 8)
    shape = CellShape(min(shape[0], height), min(shape[1], width))
    reader = CellReader(raster.read, (height, width), shape, threads)
    found = []
    for window, (pixels, valid) in reader.windows(plan, plan.lanes(width)):
        np.testing.assert_array_equal(pixels, raster.pixels[:, *window.read.slices])
        np.testing.assert_array_equal(valid, raster.valid[window.read.slices])
        found.append(window)
    assert found == list(plan)
    assert (raster.times == 1).all()
    assert not reader._held


@pytest.mark.parametrize("width_px", [32, 70, 111])
def test_lanes_have_every_window_once_and_read_only_their_seams_twice(width_px):
    raster, plan = Raster(90, 300), plan_windows(90, 300, 32, 8)
    lanes = plan.lanes(width_px)
    reader = CellReader(raster.read, (90, 300), CellShape(16, 16))
    found = [window for window, _ in reader.windows(plan, lanes)]
    assert sorted(found) == sorted(plan)
    assert max(sum(plan.at(0, column).write.width for column in lane) for lane in lanes) <= width_px
    assert (raster.times >= 1).all()
    assert (raster.times == raster.times[0]).all()
    in_two = sum(times > 1 for times in raster.times[0])
    assert in_two <= (len(lanes) - 1) * (8 + 2 * 16)


def most_held(side, tile_px=32, shape=(16, 16)):
    raster, plan = Raster(side, side), plan_windows(side, side, tile_px, 8)
    reader = CellReader(raster.read, (side, side), CellShape(*shape))
    for _ in reader.windows(plan, plan.lanes(lane_px(side, tile_px, CellShape(*shape), 9))):
        pass
    return reader.most_px


def test_what_is_held_is_a_strip_of_the_raster_and_no_more_for_a_wide_one(monkeypatch):
    assert most_held(320) <= 320 * (32 + 16 + 16)  # a row of windows, and what reaches beyond it
    monkeypatch.setattr(cells, "HELD_BYTES", 9 * 48 * 100)
    assert most_held(1200) <= 1.1 * most_held(300)


def test_a_failure_to_read_is_raised_and_nothing_is_read_after_it():
    raster, plan = Raster(200, 200), plan_windows(200, 200, 32, 8)

    def read(window):
        if window.row >= 64:
            raise UserError("damaged")
        return raster.read(window)

    with pytest.raises(UserError, match="damaged"):
        list(CellReader(read, (200, 200), CellShape(16, 16)).windows(plan, plan.lanes(200)))
    assert raster.times[64:].sum() == 0


@pytest.mark.parametrize(
    ("size", "block", "expected"),
    [
        ((10_000, 10_000), (256, 256), (512, 512)),  # small tiles, several at once
        ((10_000, 10_000), (512, 512), (512, 512)),
        ((10_980, 10_980), (1024, 1024), (1024, 1024)),  # Sentinel-2's JPEG 2000
        ((10_000, 10_000), (1, 10_000), (26, 10_000)),  # strips
        ((10_000, 10_000), (10_000, 10_000), (1024, 1024)),  # one block: nothing whole fits
        ((300, 200), (512, 512), (300, 200)),
        ((70, 50), (1, 50), (70, 50)),
    ],
)
def test_cells_are_whole_blocks(size, block, expected):
    assert cell_shape(*size, block) == expected
