"""Splits, normalisation, batches and pixels of rasters; what a record says of them."""

import json
import pickle

import numpy as np
import pytest
import torch

from geocompose.data.window import Window
from geocompose.imagery.samples import Target
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, pair, write
from tests.kit.loaded import loaded


def test_split_files_choose_scenes(tmp_path):
    for i in range(4):
        pair(tmp_path, f"k{i}", seed=i)
    files = {}
    for split, names in {"train": "k3\nk0", "val": "k1_img.tif", "test": "k2"}.items():
        files[split] = f"{split}.txt"
        (tmp_path / files[split]).write_text(names)
    data = loaded(tmp_path, split_files=files)
    assert {split: [region.scene for region in data.regions[split]] for split in data.regions} == {
        "train": [0, 3],
        "val": [1],
        "test": [2],
    }


def test_normalisation_can_be_given_and_is_none_on_request(tmp_path):
    pair(tmp_path)
    data = geotiff(**arguments(tmp_path, bands=["RED"], normalize="pretraining"))
    with pytest.raises(AssertionError, match="set_normalization"):
        _ = data.mean
    data.set_normalization([100.0], [50.0])
    data.setup()
    first = next(iter(data.val_dataloader()))["image"][0, 0, 0, 0]
    window = data.tile_windows("val")[0].window
    assert first == pytest.approx((image()[2, window.row, window.column] - 100) / 50)
    assert data.describe()["normalization"] == {
        "normalize": "pretraining",
        "source": "given",
        "mean": [100.0],
        "std": [50.0],
    }
    assert loaded(tmp_path, normalize="none").mean == [0.0] * 5


def test_a_lone_last_training_tile_is_left_out_and_a_lone_batch_is_kept(tmp_path):
    pair(tmp_path)
    data = loaded(tmp_path)
    assert data.num_tiles("train") == 9
    sizes = [len(batch["tile"]) for batch in data.train_dataloader()]
    assert sizes == [4, 4]
    assert [len(batch["tile"]) for batch in loaded(tmp_path, tile_px=64).train_dataloader()] == [1]
    assert len(loaded(tmp_path, batch_size=1).train_dataloader()) == 9
    assert sum(len(batch["tile"]) for batch in data.test_dataloader()) == data.num_tiles("test") == 3


def test_batches_follow_the_global_seed_and_not_the_number_of_workers(tmp_path):
    pair(tmp_path)

    def batches(seed, **changes):
        torch.manual_seed(seed)
        data = loaded(tmp_path, random_crop=True, dihedral=True, **changes)
        return [batch["image"] for _ in range(2) for batch in data.train_dataloader()]

    first = batches(1)
    torch.rand(5)
    assert all(map(torch.equal, first, batches(1)))
    assert all(map(torch.equal, first, batches(1, num_workers=1)))
    assert not all(map(torch.equal, first, batches(2)))


def test_any_split_can_be_read_in_order_without_augmentation(tmp_path):
    data = loaded(pair(tmp_path), random_crop=True, dihedral=True, rotation_deg=30.0, normalize="none")
    batches = list(data.in_order("train"))
    assert torch.cat([batch["tile"] for batch in batches]).tolist() == list(range(9))
    assert np.array_equal(batches[0]["image"][1].numpy(), image()[:, :16, 16:32])


def test_setup_is_done_once(tmp_path):
    data = loaded(pair(tmp_path))
    (tmp_path / "a_img.tif").unlink()
    data.setup("test")


def test_description_is_json(tmp_path):
    text = json.loads(json.dumps(loaded(pair(tmp_path)).describe()))
    assert text["splits"]["train"]["tiles"] == 9
    assert text["splits"]["train"]["labelled_pixels"] == 36 * 40
    assert sum(text["splits"]["test"]["class_pixels"].values()) == 12 * 40
    assert text["bands"] == BANDS
    assert text["target"] == {
        "kind": "segmentation",
        "names": ["land", "water"],
        "ignore_index": -1,
        "mean": None,
        "std": None,
    }
    assert Target.from_record(text["target"]) == loaded(tmp_path).target


def test_pixels_are_raw_labelled_and_drawn_by_seed(tmp_path):
    classes = label()
    classes[:, :3] = -1
    write(pair(tmp_path) / "a_lab.tif", classes)
    data = loaded(tmp_path, bands=["RED"])
    values, truth = data.pixels("train")
    assert values.shape == (33 * 40, 1)
    assert np.array_equal(values[:, 0], image()[2, :, 3:36].ravel())
    assert np.array_equal(truth, classes[:, 3:36].ravel())
    drawn, again = data.pixels("train", 100, seed=1), data.pixels("train", 100, seed=1)
    assert len(drawn[0]) == 100
    assert np.array_equal(drawn[0], again[0])
    assert not np.array_equal(drawn[0], data.pixels("train", 100, seed=2)[0])
    assert np.array_equal(data.pixels("train", bands=["SWIR_1", "BLUE"])[0][0], image()[[4, 0], 0, 3])


def test_a_raster_scene_is_sent_without_its_pixels(tmp_path):
    scene = loaded(pair(tmp_path)).scenes[0]
    sent = pickle.loads(pickle.dumps(scene))
    assert len(pickle.dumps(scene)) < 4000
    window = Window(1, 2, 5, 6)
    assert np.array_equal(sent.read_image(window, [1])[0], scene.read_image(window, [1])[0])
