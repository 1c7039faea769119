"""data.fold: each image, or group of images, is tested in one fold; validation is drawn from the others."""

from collections import Counter

import pytest

from geocompose.data.split import SPLITS
from geocompose.errors import UserError
from tests.data.test_groups import EVENTS, events, of, splits_of_groups
from tests.kit.data_modules import geotiff, synthetic_segmentation
from tests.kit.data_rasters import arguments, pair
from tests.kit.labelled_images import from_table, ready, split_table


def members(data):
    return {split: {data.scenes[region.scene].name for region in data.regions[split]} for split in SPLITS}


@pytest.mark.parametrize("groups", [None, "{group}_*.tif"])
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_each_image_is_tested_in_one_fold_and_never_learned_from_there(tmp_path, folds, groups):
    events(tmp_path)
    found = [of(tmp_path, groups=groups, fold=fold, folds=folds) for fold in range(folds)]
    tested = Counter(name for data in found for name in members(data)["test"])
    assert len(tested) == sum(EVENTS.values())
    assert set(tested.values()) == {1}
    for data in found:
        parts = members(data)
        assert all(parts.values())
        assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == len(data.scenes)
        if groups:
            assert all(len(splits) == 1 for splits in splits_of_groups(data).values())


def test_folds_are_of_one_size_and_validation_has_its_share_of_the_rest(tmp_path):
    events(tmp_path, dict.fromkeys("abcde", 2))
    for fold in range(5):
        assert [len(part) for part in members(of(tmp_path, fold=fold)).values()] == [6, 2, 2]
        other = of(tmp_path, fold=fold, split=[0.4, 0.4, 0.2])
        assert [len(part) for part in members(other).values()] == [4, 4, 2]


def test_the_draw_follows_from_the_seed_of_the_data_and_is_recorded():
    first, same, other = (synthetic_segmentation(num_scenes=6, scene_px=64, fold=1, folds=3, seed=s) for s in (0, 0, 1))
    assert first.regions == same.regions
    assert first.regions != other.regions
    told = ready(first).describe()
    assert (told["fold"], told["folds"]) == (1, 3)
    assert "fold" not in ready(synthetic_segmentation(num_scenes=3, scene_px=64)).describe()


def test_a_part_of_a_fold_is_trained_on_and_all_of_it_tested(tmp_path):
    data = of(events(tmp_path), groups="{group}_*.tif", fold=0, fraction=0.1)
    every = of(tmp_path, groups="{group}_*.tif", fold=0)
    assert set(data.tile_windows("train")) < set(every.tile_windows("train"))
    assert data.regions["test"] == every.regions["test"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fold": 5}, r"data\.fold=5 is not one of data\.folds=5 folds, which are numbered from 0 to 4"),
        ({"fold": -1}, r"data\.fold=-1 is not one of"),
        ({"fold": 0, "folds": 1}, r"data\.folds=1 must be 2 or more"),
        ({"folds": 10}, r"data\.folds=10 changes nothing without data\.fold"),
        ({"fold": 0, "folds": 7, "groups": "{group}_*.tif"}, r"data\.folds=7 needs as many groups.*are 6 groups"),
        ({"fold": 0, "split": "folders"}, r"data\.fold=0 .* data\.split=folders gives others"),
        ({"fold": 0, "split_buffer_px": 8}, r"data\.split_buffer_px=8 is for a single raster"),
        ({"fold": 0, "split": [0.5, 0.5]}, r"data\.split=.* must be three positive fractions"),
    ],
)
def test_what_can_not_be_a_fold_is_refused(tmp_path, changes, message):
    events(tmp_path / "train")
    for split in ("val", "test"):
        pair(tmp_path / split, split, 1000)
    patterns = {"images": "**/*_img.tif", "labels": "**/*_lab.tif"}
    root = tmp_path if changes.get("split") == "folders" else tmp_path / "train"
    with pytest.raises(UserError, match=message):
        of(root, **patterns, **changes)


def test_lists_and_a_column_of_splits_exclude_folds(tmp_path):
    events(tmp_path, dict.fromkeys("abc", 2))
    for split, name in zip(SPLITS, "abc", strict=True):
        (tmp_path / f"{split}.txt").write_text(f"{name}_0")
    with pytest.raises(UserError, match=r"data\.fold=0 .* data\.split_files gives others.*data\.groups"):
        of(tmp_path, split_files={split: f"{split}.txt" for split in SPLITS}, fold=0)
    with pytest.raises(UserError, match=r"data\.fold=0 .* the column split of data\.table gives others"):
        from_table(split_table(tmp_path / "t"), fold=0)


def test_one_image_or_two_are_too_few_for_folds(tmp_path):
    with pytest.raises(UserError, match=r"data\.folds=5 needs as many images.* is 1 image\. Write data\.fold=null"):
        geotiff(**arguments(pair(tmp_path), fold=0))
    pair(tmp_path, "b", 1)
    with pytest.raises(UserError, match=r"data\.fold=1 leaves one image of 2 for train and val"):
        geotiff(**arguments(tmp_path, fold=1, folds=2))
