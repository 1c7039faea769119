"""data.fraction: a part of the training samples, nested, the same for every seed of a run, and recorded."""

import numpy as np
import pytest

from geocompose.data.subset import in_ranges
from geocompose.errors import UserError
from tests.kit import data_modules as make
from tests.kit.data_rasters import arguments, pair
from tests.kit.labelled_images import flat, from_table, ready, table

SMALL = {"num_scenes": 4, "scene_px": 128, "baselines": []}
SYNTHETIC = [
    make.synthetic_segmentation, make.synthetic_regression, make.synthetic_classification, make.synthetic_multilabel,
    make.synthetic_scalar_regression, make.synthetic_reconstruction,
]  # fmt: skip


def rasters(root, **changes):
    """Three images of 40 x 60 pixels: nine tiles of 16 pixels and three smaller ones in each."""
    for seed, key in enumerate("abcdef"):
        pair(root, key, seed)
    return make.geotiff(**arguments(root, **changes))


def trained_on(data):
    return set(data.tile_windows("train"))


@pytest.mark.parametrize("kind", SYNTHETIC, ids=lambda kind: kind.args[0].__name__)
def test_a_smaller_part_lies_within_a_larger_one_and_the_other_splits_stay_whole(kind):
    every, half, tenth = (kind(**SMALL, tile_px=32, fraction=fraction) for fraction in (1, 0.5, 0.1))
    assert trained_on(tenth) < trained_on(half) < trained_on(every)
    assert [data.num_tiles("train") for data in (every, half, tenth)] == [32, 16, 3]
    for split in ("val", "test"):
        assert tenth.tile_windows(split) == half.tile_windows(split) == every.tile_windows(split)
    assert len(ready(tenth).train_dataloader().dataset) == 3


def test_the_part_follows_from_the_seed_of_the_data_alone(tmp_path):
    first = trained_on(rasters(tmp_path, fraction=0.2))
    assert trained_on(rasters(tmp_path, fraction=0.2)) == first
    # Another seed draws other images for training, so the split is given.
    lists = {split: f"{split}.txt" for split in ("train", "val", "test")}
    for split, keys in zip(lists, ("abcd", "e", "f"), strict=True):
        (tmp_path / lists[split]).write_text("\n".join(keys))
    drawn = [trained_on(rasters(tmp_path, fraction=0.2, split_files=lists, seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_statistics_classes_and_baselines_come_from_the_chosen_tiles_alone(tmp_path):
    part, every = (ready(rasters(tmp_path, fraction=fraction)) for fraction in (0.1, 1.0))
    tiles = part.tile_windows("train")
    read = [part.scenes[scene].read_image(window, range(5))[0].reshape(5, -1) for scene, window in tiles]
    pixels = np.concatenate(read, axis=1)
    assert part.mean == pytest.approx(pixels.mean(1))
    assert part.mean != every.mean
    assert sum(part.statistics.class_counts["train"]) == pixels.shape[1] == len(part.pixels("train")[1])
    assert part.statistics.class_counts["test"] == every.statistics.class_counts["test"]
    assert part.census.share.shape == (part.num_tiles("train"),)


def test_a_record_says_which_tiles_were_drawn_of_how_many(tmp_path):
    part, every = (ready(rasters(tmp_path, fraction=fraction)) for fraction in (0.25, 1.0))
    told = part.describe()["subset"]
    numbers = [
        number
        for run in told.pop("chosen").split(",")
        for number in range(int(run.split("-")[0]), int(run.split("-")[-1]) + 1)
    ]
    assert told == {"fraction": 0.25, "unit": "tile", "total": every.num_tiles("train"), "count": len(numbers)}
    assert [every.tile_windows("train")[number] for number in numbers] == part.tile_windows("train")
    assert "subset" not in every.describe()
    assert in_ranges([0, 4, 5, 6, 9]) == "0,4-6,9"


def test_where_crops_lie_anywhere_whole_images_are_drawn(tmp_path):
    part = ready(rasters(tmp_path, fraction=0.5, random_crop=True, split=[0.7, 0.15, 0.15]))
    assert {region.window[2:] for region in part.regions["train"]} == {(40, 60)}
    assert part.describe()["subset"]["unit"] == "image"
    assert (part.describe()["subset"]["count"], part.describe()["subset"]["total"]) == (2, 4)


def test_of_images_with_a_label_each_whole_ones_are_drawn_of_any_size(tmp_path):
    root = table(flat(tmp_path, 12, height=20), ("file", "label"), *[(f"chip_{i}", "ab"[i % 2]) for i in range(12)])
    part = ready(from_table(root, fraction=0.5, fit="crop", random_crop=True, split=[0.67, 0.165, 0.165]))
    assert {region.window[2:] for region in part.regions["train"]} == {(20, 16)}
    assert part.describe()["subset"]["unit"] == "image"


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan")])
def test_a_fraction_that_is_not_a_share_is_refused(fraction):
    with pytest.raises(UserError, match=r"data\.fraction must be a share of the training tiles, above 0 and at most 1"):
        make.synthetic_segmentation(fraction=fraction)


def test_less_than_one_tile_is_refused_and_told_how_much_would_do(tmp_path):
    with pytest.raises(UserError, match=r"data\.fraction=0\.01 of 32 training tiles is less than one. Write 0\.032"):
        make.synthetic_segmentation(**SMALL, tile_px=32, fraction=0.01)
    make.synthetic_segmentation(**SMALL, tile_px=32, fraction=0.032)
    with pytest.raises(UserError, match=r"of 1 training image is .*data\.random_crop=false, which draws tiles"):
        make.geotiff(**arguments(pair(tmp_path), random_crop=True, fraction=0.5))
