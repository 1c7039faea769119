"""Rasters with numbers at each pixel."""

import json

import numpy as np
import pytest
import torch

from geocompose.data.augmentation import augmentation
from geocompose.data.labels.regression import RegressionLabels
from geocompose.data.scene import ArrayScene
from geocompose.data.tiles import TileDataset
from geocompose.data.window import Region, Window
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from tests.kit.data_modules import geotiff_regression
from tests.kit.data_rasters import BANDS, image, write


def numbers(seed=0, variables=1, height=40, width=60):
    return np.random.default_rng(seed).normal(50, 10, (variables, height, width)).astype("float32")


def scene(root, label=None, names=None, key="a", pixels=None, **profile):
    write(root / f"{key}_img.tif", image() if pixels is None else pixels, BANDS)
    write(root / f"{key}_lab.tif", numbers() if label is None else label, names, **profile)
    return root


def made(root, **changes):
    given = {"root": str(root), "images": "*_img.tif", "labels": "*_lab.tif", "variables": ["height"]}
    return geotiff_regression(**(given | {"tile_px": 16, "batch_size": 4, "dihedral": False} | changes))


def loaded(root, **changes):
    data = made(root, **changes)
    data.setup()
    return data


def test_one_variable_is_a_mask_without_its_axis_and_several_have_one(tmp_path):
    batch = next(iter(loaded(scene(tmp_path)).val_dataloader()))
    assert (batch["mask"].shape, batch["mask"].dtype) == ((3, 16, 16), torch.float32)
    two = loaded(scene(tmp_path, numbers(variables=2)), variables=["height", "age"])
    batch = next(iter(two.val_dataloader()))
    assert batch["mask"].shape == (3, 2, 16, 16)
    assert set(batch) == {"image", "mask", "tile"}


def test_masks_hold_the_files_numbers_in_their_unit(tmp_path):
    data = loaded(scene(tmp_path))
    first = data.tile_windows("test")[0].window
    mask = next(iter(data.test_dataloader()))["mask"][0].numpy()
    assert np.array_equal(mask[: first.height, : first.width], numbers()[0][first.slices])
    assert np.isnan(mask[:, first.width :]).all()


def test_target_mean_and_std_are_those_of_training_labels_in_float64(tmp_path):
    label = numbers() + 1e6
    label[0, 3, 4] = np.nan
    data = made(scene(tmp_path, label))
    assert data.target == Target("regression", ("height",))
    data.setup()
    training = label[0, :, :36][~np.isnan(label[0, :, :36])].astype(np.float64)
    assert data.target.mean == pytest.approx((training.mean(),), rel=1e-12)
    assert data.target.std == pytest.approx((training.std(),), rel=1e-9)
    assert Target.from_record(json.loads(json.dumps(data.describe()))["target"]) == data.target


def test_target_statistics_merge_over_cells_with_their_own_gaps(tmp_path, monkeypatch):
    label = numbers(variables=2)
    label[0, :, :20] = np.nan
    scene(tmp_path, label)
    whole = loaded(tmp_path, variables=["height", "age"]).target
    monkeypatch.setattr("geocompose.data.statistics.CELL_PX", 7)
    cut = loaded(tmp_path, variables=["height", "age"]).target
    assert cut.mean == pytest.approx(whole.mean)
    assert cut.std == pytest.approx(whole.std)
    assert whole.mean[0] == pytest.approx(label[0, :, 20:36].mean(dtype=np.float64))


def test_normalize_target_none_is_zero_and_one(tmp_path):
    target = loaded(scene(tmp_path), normalize_target="none").target
    assert (target.mean, target.std) == ((0.0,), (1.0,))


def test_declared_nodata_and_nan_are_no_label(tmp_path):
    label = numbers()
    label[0, 0, 0], label[0, 0, 1] = -9999, np.nan
    scene(tmp_path, label, nodata=-9999)
    assert loaded(tmp_path).statistics.num_labelled("train") == 36 * 40 - 2
    write(tmp_path / "a_lab.tif", label)
    assert loaded(tmp_path, label_nodata=-9999).statistics.num_labelled("train") == 36 * 40 - 2
    assert loaded(tmp_path).describe()["splits"]["train"]["variables"]["height"]["min"] == -9999


def test_labels_read_by_windows_equal_those_kept_decoded(tmp_path):
    scene(tmp_path, numbers(variables=2), nodata=-9999)
    kept, windowed = (loaded(tmp_path, variables=["height", "age"], cache_mb=cache) for cache in (100, 0))
    for window in (Window(0, 0, 40, 60), Window(3, 7, 16, 16)):
        assert np.array_equal(kept.scenes[0].read_label(window), windowed.scenes[0].read_label(window))
    assert kept.target == windowed.target


def test_whole_numbers_in_a_label_are_numbers(tmp_path):
    data = loaded(scene(tmp_path, np.full((1, 40, 60), 7, "int16") + np.arange(60, dtype="int16")))
    assert next(iter(data.val_dataloader()))["mask"][0, 0, 0] == 7 + 36


@pytest.mark.parametrize("column", [3, 40, 59], ids=["train", "val", "test"])
def test_infinity_in_a_label_stops_in_every_split(tmp_path, column):
    label = numbers()
    label[0, 6, column] = np.inf
    with pytest.raises(UserError, match=rf"a_img\.tif has the value inf at row 6, column {column}, variable height"):
        loaded(scene(tmp_path, label))


def test_bands_of_a_label_are_found_by_name_where_they_carry_the_names(tmp_path):
    label = numbers(variables=3)
    scene(tmp_path, label, ["age", "height", "density"])
    data = loaded(tmp_path, variables=["height", "age"])
    assert np.array_equal(data.scenes[0].read_label(Window(0, 0, 40, 60)), label[[1, 0]])
    with pytest.raises(UserError, match=r"has 3 bands \(age, height, density\), but data\.variables has 2 names"):
        made(tmp_path, variables=["height", "volume"])
    in_order = made(tmp_path, variables=["a", "b", "c"])
    assert np.array_equal(in_order.scenes[0].read_label(Window(0, 0, 40, 60)), label)


def test_pixels_without_image_data_have_no_label(tmp_path):
    pixels = image()
    pixels[2, :, :5] = np.nan
    data = loaded(scene(tmp_path, pixels=pixels), nodata=float("nan"))
    assert data.statistics.num_labelled("train") == 31 * 40
    mask = next(iter(data.in_order("train")))["mask"][0]
    assert mask[:, :5].isnan().all()
    assert not mask[:, 5:].isnan().any()
    assert data.target.mean == pytest.approx((numbers()[0, :, 5:36].mean(dtype=np.float64),))


def test_a_constant_variable_is_refused_where_its_deviation_is_needed(tmp_path):
    label = numbers()
    label[:, :, :36] = 3
    scene(tmp_path, label)
    with pytest.raises(UserError, match="The variable height is 3 in all training labels"):
        loaded(tmp_path)
    assert loaded(tmp_path, normalize_target="none").target.std == (1.0,)
    published = made(tmp_path, normalize="pretraining")  # whose numbers are a backbone's, but which is trained on
    published.set_normalization([1.0] * 5, [2.0] * 5)
    with pytest.raises(UserError, match="The variable height is 3 in all training labels"):
        published.setup()
    other = made(tmp_path)
    other.set_normalization([1.0] * 5, [2.0] * 5)
    other.only_scored = True  # a trained model meets this data
    other.setup()
    assert other.target.mean == (3.0,)


def test_a_split_without_any_number_of_a_variable_is_refused(tmp_path):
    label = numbers(variables=2)
    label[1, :, 48:] = np.nan
    with pytest.raises(UserError, match=r"The test split has no label of age .*a_img\.tif"):
        loaded(scene(tmp_path, label), variables=["height", "age"])
    label[:, :, 48:] = np.nan
    with pytest.raises(UserError, match="The test split has no labelled pixel"):
        loaded(scene(tmp_path, label), variables=["height", "age"])


def test_labelled_pixels_are_given_with_their_numbers(tmp_path):
    label = numbers(variables=2)
    label[:, :, 0] = np.nan
    label[0, :, 1] = np.nan
    data = loaded(scene(tmp_path, label), variables=["height", "age"], bands=["RED"])
    values, truth = data.pixels("train")
    assert values.shape == (35 * 40, 1)
    assert np.array_equal(truth, label[:, :, 1:36].reshape(2, -1).T, equal_nan=True)
    drawn, _ = data.pixels("train", 100)
    assert len(drawn) == 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variables": []}, r"data\.variables=\[\] must be one or more different names"),
        ({"variables": ["a", "a"]}, "must be one or more different names"),
        ({"normalize_target": "datset"}, r"data\.normalize_target has no 'datset'\. Did you mean 'dataset'"),
        ({"baselines": ["logistic"]}, "no 'logistic' for regression"),
        ({"variables": ["a", "b"]}, r"has 1 bands \(unnamed\), but data\.variables has 2 names"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        made(scene(tmp_path), **change)


def test_a_label_of_complex_numbers_or_another_size_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds complex numbers"):
        made(scene(tmp_path, numbers().astype("complex64")))
    with pytest.raises(UserError, match="has 30 x 60 pixels"):
        made(scene(tmp_path, numbers(height=30)))


def fields():
    """An image whose bands are its row and column, and labels that are their sum and difference."""
    row, column = np.mgrid[:16, :16].astype(np.float32)
    return np.stack([row, column]), np.stack([row + column, row - column])


def test_augmentation_turns_image_and_numbers_together():
    labels = RegressionLabels(["sum", "difference"], "none")
    scenes, tile = [ArrayScene("s", 16, 16, ["A", "B"], fields)], Region(0, Window(0, 0, 16, 16))
    augment = augmentation(dihedral=True, rotation_deg=0, no_label=float("nan"))
    data = TileDataset(scenes, [[0, 1]], [tile], 16, [0.0, 0.0], [1.0, 1.0], labels, augment=augment)
    seen = set()
    for seed in range(40):
        sample = data[0, seed]
        row, column = sample["image"]
        assert torch.equal(sample["mask"], torch.stack([row + column, row - column]))
        seen.add((float(row[0, 0]), float(row[0, 1]), float(column[0, 0])))
    assert len(seen) == 8


def test_rotation_takes_the_nearest_number_and_leaves_corners_without_label():
    labels = RegressionLabels(["sum", "difference"], "none")
    scenes, tile = [ArrayScene("s", 16, 16, ["A", "B"], fields)], Region(0, Window(0, 0, 16, 16))
    augment = augmentation(dihedral=False, rotation_deg=45, no_label=float("nan"))
    data = TileDataset(scenes, [[0, 1]], [tile], 16, [0.0, 0.0], [1.0, 1.0], labels, augment=augment)
    masks = [data[0, seed]["mask"] for seed in range(30)]
    assert any(mask[:, 0, 0].isnan().all() for mask in masks)
    assert all((mask[~mask.isnan()] % 1 == 0).all() for mask in masks)
    assert all(not mask[:, 8, 8].isnan().any() for mask in masks)
