"""How many windows at a time: by what one takes of the free memory, and the same map whatever the number."""

import numpy as np
import pytest
import torch
from torch import nn

from geocompose.inference import batch_choice, raster
from geocompose.inference.batch_choice import choose_batch
from tests.kit.inference_rasters import predict, read, write

IMAGE = torch.zeros(1, 1, 256, 256)  # 0.25 MB


def five_maps(image):
    """Hold five maps of the image's size at a time, one after the other in two steps."""
    for _ in range(2):
        held = [image + number for number in range(5)]
        del held
    return image


@pytest.fixture
def free_mb(monkeypatch):
    monkeypatch.setattr(batch_choice, "best_device", lambda: torch.device("cpu"))
    return lambda number: monkeypatch.setattr(batch_choice, "free_bytes", lambda: number * 2**20)


@pytest.mark.parametrize(("mb", "expected"), [(1, 1), (10, 1), (20, 2), (40, 4), (79, 4), (80, 8), (10_000, 16)])
def test_as_many_as_fit_into_a_share_of_what_is_free(free_mb, mb, expected):
    # 1.25 MB are held at a time and as much again is left to libraries; a quarter of what is free may be taken.
    free_mb(mb)
    batch = choose_batch(five_maps, IMAGE, {})
    assert batch.window_bytes == 5 * IMAGE.nbytes
    assert batch.size == expected


def test_what_was_chosen_is_said_with_its_reason(free_mb):
    free_mb(40)
    said = choose_batch(five_maps, IMAGE, {}).in_words("window")
    assert said == "4 windows at a time, each of 1 MB as measured (action.batch_size sets another number)."


class Net(nn.Module):
    """Logits of three classes with context of 3 pixels around each; random, not trained."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1), nn.GELU(),
            nn.Conv2d(8, 3, 3, padding=1),
        )  # fmt: skip
        self.eval()

    def forward(self, image):
        return self.layers(image)


@pytest.fixture
def scene(tmp_path):
    pixels = np.random.default_rng(0).normal(size=(1, 111, 87)).astype("float32")
    pixels[:, 20:60, :40] = -9  # without data: batches of the model are then others than those of windows
    return write(tmp_path / "s.tif", pixels, ["RED"], nodata=-9, tiled=True, blockxsize=16, blockysize=16)


NAMES = ["a", "b", "c"]


@pytest.mark.parametrize("batch_size", [1, 4, 7, None])
def test_a_map_is_the_same_for_every_batch_size(scene, tmp_path, batch_size):
    predict(Net(), scene, tmp_path / "one.tif", names=NAMES, content="probabilities", batch_size=3)
    predict(Net(), scene, tmp_path / "two.tif", names=NAMES, content="probabilities", batch_size=batch_size)
    one, two = read(tmp_path / "one.tif"), read(tmp_path / "two.tif")
    np.testing.assert_allclose(two, one, atol=1e-6)
    predict(Net(), scene, tmp_path / "classes.tif", names=NAMES, batch_size=batch_size)
    classes, first, second = read(tmp_path / "classes.tif")[0], *np.sort(one, axis=0)[-1:-3:-1]
    known = np.isfinite(first)
    assert (classes[~known] == 255).all()
    clear = known & (first - second > 1e-5)  # of the others, two classes are equally probable
    np.testing.assert_array_equal(classes[clear], one.argmax(axis=0)[clear])


def test_a_map_is_the_same_for_every_number_of_reading_threads(scene, tmp_path, monkeypatch):
    predict(Net(), scene, tmp_path / "one.tif", names=NAMES)
    monkeypatch.setattr(raster, "reading_threads", lambda: 4)
    predict(Net(), scene, tmp_path / "four.tif", names=NAMES)
    np.testing.assert_array_equal(read(tmp_path / "four.tif"), read(tmp_path / "one.tif"))


def test_a_receptive_field_within_the_overlap_gives_the_map_of_the_whole_raster(tmp_path):
    pixels = np.random.default_rng(1).normal(size=(1, 75, 90)).astype("float32")
    scene = write(tmp_path / "s.tif", pixels, ["RED"])
    with torch.inference_mode():
        whole = Net()(torch.from_numpy(pixels[None])).softmax(dim=1)[0].numpy()
    for overlap_px, is_exact in ((6, True), (4, False)):  # three pixels around each are what the model sees
        predict(Net(), scene, tmp_path / "m.tif", names=NAMES, content="probabilities", overlap_px=overlap_px)
        assert np.allclose(read(tmp_path / "m.tif"), whole, atol=1e-6) == is_exact
