"""Which training tiles are left out, and how rare classes are drawn."""

import numpy as np
import pytest

from geocompose.data.census import Census, sampling_weights
from geocompose.data.tiles import ShuffledTiles
from geocompose.errors import UserError
from tests.kit.data_modules import geotiff, synthetic_multilabel
from tests.kit.data_rasters import BANDS, arguments, image, label, write


def counted(*rows: list[int], known: list[list[int]] | None = None) -> Census:
    classes = np.array(rows)
    there = np.repeat(classes.sum(axis=1, keepdims=True), classes.shape[1], axis=1) if known is None else known
    return Census(np.ones(len(rows)), classes, np.array(there))


def test_each_class_is_equally_likely_and_each_of_its_pixels():
    # Class b has 4 pixels, all in two tiles; class c occurs nowhere; the last tile has no label.
    weights = sampling_weights("rare_classes", counted([90, 3, 0], [99, 1, 0], [11, 0, 0], [0, 0, 0]))
    assert weights == pytest.approx([(90 / 200 + 3 / 4) / 2, (99 / 200 + 1 / 4) / 2, 11 / 200 / 2, 0])
    assert weights.sum() == pytest.approx(1)


def test_images_without_any_of_several_classes_are_a_class_of_their_own():
    known = [[1, 1], [1, 1], [1, 1], [0, 0]]
    weights = sampling_weights("rare_classes", counted([1, 0], [1, 1], [0, 0], [0, 0], known=known))
    assert weights == pytest.approx([(1 / 2) / 3, (1 / 2 + 1) / 3, 1 / 3, 0])


def test_tiles_are_drawn_as_often_as_they_weigh_and_the_same_after_an_interruption():
    weights = np.array([0.7, 0.0, 0.2, 0.1])
    sampler = ShuffledTiles(4, seed=5, weights=weights)
    epochs = [list(sampler) for _ in range(2000)]
    share = np.bincount([tile for epoch in epochs for tile, _ in epoch], minlength=4) / 8000
    assert share == pytest.approx(weights, abs=0.02)
    resumed = ShuffledTiles(4, seed=5, weights=weights)
    resumed.set_epoch(7)
    assert list(resumed) == epochs[7]
    assert len(resumed) == 4
    assert list(ShuffledTiles(4, seed=6, weights=weights)) != epochs[0]


@pytest.fixture
def folder(tmp_path):
    """A raster of 48 x 60 pixels, whose first 16 rows are nodata, and labels that lack a part of the next 16."""
    pixels, classes = image(0, 48, 60), label(0, 48, 60)
    pixels[:, :16] = -9999
    classes[16:32, :12] = -1
    write(tmp_path / "a_img.tif", pixels, BANDS, nodata=-9999)
    write(tmp_path / "a_lab.tif", classes)
    return tmp_path


def test_tiles_without_enough_valid_pixels_are_left_out_of_training_alone(folder):
    every, some = (geotiff(**arguments(folder, min_valid=least, class_names=["a", "b"])) for least in (0.0, 0.5))
    for data in (every, some):
        data.setup()
    train = every.tile_windows("train")  # 36 columns: tiles of 16, 16 and 4 columns in three rows
    assert len(train) == 9
    # Row 0 has no data; of row 1 the first tile has a quarter; the third of each row is 4 of 16 columns.
    assert some.training_tiles.tolist() == [4, 6, 7]
    assert len(some.train_dataloader().dataset) == 3
    assert len(every.train_dataloader().dataset) == 9
    for split in ("val", "test"):
        assert some.num_tiles(split) == every.num_tiles(split) == len(some.in_order(split).dataset)
    assert some.describe()["splits"]["train"]["tiles_left_out"] == 6
    assert "tiles_left_out" not in every.describe()["splits"]["train"]
    assert some.mean == every.mean  # statistics are of all training pixels


def test_images_are_measured_by_their_own_pixels():
    data = synthetic_multilabel(num_scenes=4, scene_px=64, min_valid=1.0)
    data.setup()
    assert len(data.training_tiles) == data.num_tiles("train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_valid": 1.5}, "data.min_valid must be a share .* from 0 .* to 1; got 1.5"),
        ({"min_valid": float("nan")}, "data.min_valid must be a share"),
        ({"min_valid": 0.5, "random_crop": True}, "data.min_valid=0.5 looks at the tiles of the grid"),
    ],
)
def test_a_share_that_cannot_be_is_refused(changes, message, folder):
    with pytest.raises(UserError, match=message):
        geotiff(**arguments(folder, **changes))


def test_a_share_that_no_tile_has_is_refused(folder):
    write(folder / "a_lab.tif", np.where(np.arange(60) % 2, label(0, 48, 60), -1).astype("int16"))
    data = geotiff(**arguments(folder, min_valid=0.6))
    data.setup()
    with pytest.raises(UserError, match=r"leaves out all 9 training tiles: the largest share .* is 0.5"):
        data.train_dataloader()


def test_random_crops_of_pixels_have_no_classes_to_draw_by(folder):
    data = geotiff(**arguments(folder, random_crop=True))
    with pytest.raises(UserError, match=r"task\.sampler=rare_classes draws tiles of the grid"):
        data.draw_by("rare_classes")
