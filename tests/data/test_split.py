from itertools import combinations

import numpy as np
import pytest
from affine import Affine

from geocompose.data.scene import ArrayScene
from geocompose.data.split import SPLITS, split_by_fractions
from geocompose.errors import UserError


def scene(width=512, height=8, pixel_width=10.0, name="s"):
    return ArrayScene(name, height, width, ["RED"], lambda: None, transform=Affine(pixel_width, 0, 0, 0, -10, 0))


def columns(regions):
    return {split: (r.window.column, r.window.column + r.window.width) for split, [r] in regions.items()}


def test_one_scene_is_split_into_blocks_from_west_to_east():
    regions = split_by_fractions([scene()], [0.625, 0.125, 0.25], seed=3)
    assert columns(regions) == {"train": (0, 320), "val": (320, 384), "test": (384, 512)}
    assert all(region.window.height == 8 for [region] in regions.values())


def test_a_negative_pixel_width_puts_training_at_the_last_columns():
    regions = split_by_fractions([scene(pixel_width=-10.0)], [0.625, 0.125, 0.25], seed=0)
    assert columns(regions) == {"train": (192, 512), "val": (128, 192), "test": (0, 128)}


def test_a_buffer_is_taken_from_the_western_block():
    regions = split_by_fractions([scene()], [0.625, 0.125, 0.25], seed=0, buffer_px=10)
    assert columns(regions) == {"train": (0, 310), "val": (320, 374), "test": (384, 512)}
    mirrored = split_by_fractions([scene(pixel_width=-10.0)], [0.625, 0.125, 0.25], seed=0, buffer_px=10)
    assert columns(mirrored) == {"train": (202, 512), "val": (138, 192), "test": (0, 128)}


@pytest.mark.parametrize("widths", [[517], [30, 40, 50], [64] * 11])
@pytest.mark.parametrize("seed", [0, 1])
def test_splits_never_share_a_pixel(widths, seed):
    scenes = [scene(width) for width in widths]
    covered = {split: [np.zeros((8, width), dtype=bool) for width in widths] for split in SPLITS}
    for split, regions in split_by_fractions(scenes, [0.5, 0.2, 0.3], seed=seed).items():
        assert regions
        for region in regions:
            covered[split][region.scene][region.window.slices] = True
    for first, second in combinations(SPLITS, 2):
        assert not any((a & b).any() for a, b in zip(covered[first], covered[second], strict=True))
    assert all(sum(covered[split][i].sum() for split in SPLITS) == 8 * width for i, width in enumerate(widths))


def test_several_scenes_are_split_whole_by_the_data_seed():
    scenes = [scene(16) for _ in range(10)]

    def members(seed):
        regions = split_by_fractions(scenes, None, seed=seed)
        return {split: [region.scene for region in regions[split]] for split in SPLITS}

    assert members(0) == members(0)
    assert members(0) != members(1)
    assert [len(members(0)[split]) for split in SPLITS] == [6, 2, 2]


def test_each_split_gets_a_scene_where_there_are_three():
    regions = split_by_fractions([scene(16)] * 3, [0.8, 0.1, 0.1], seed=0)
    assert [len(regions[split]) for split in SPLITS] == [1, 1, 1]


@pytest.mark.parametrize("fractions", [[0.5, 0.5], [0.6, 0.4, 0.0], [0.6, 0.2, 0.3], [1.2, -0.1, -0.1]])
def test_other_fractions_are_refused(fractions):
    with pytest.raises(UserError, match=r"data\.split=.* must be three positive fractions with sum 1"):
        split_by_fractions([scene()], fractions, seed=0)


def test_a_split_without_a_pixel_is_refused():
    with pytest.raises(UserError, match="The test split of s would have no pixel"):
        split_by_fractions([scene(4)], [0.8, 0.1, 0.1], seed=0)
    with pytest.raises(UserError, match=r"no pixel.*split_buffer_px=64"):
        split_by_fractions([scene()], [0.625, 0.125, 0.25], seed=0, buffer_px=64)


def test_two_scenes_are_too_few():
    with pytest.raises(UserError, match="2 images can't be split into train, val and test"):
        split_by_fractions([scene(), scene()], None, seed=0)


def test_a_buffer_between_whole_scenes_or_a_negative_one_is_refused():
    with pytest.raises(UserError, match=r"split_buffer_px=8 is for a single raster"):
        split_by_fractions([scene()] * 4, None, seed=0, buffer_px=8)
    with pytest.raises(UserError, match="must not be negative"):
        split_by_fractions([scene()], None, seed=0, buffer_px=-1)
