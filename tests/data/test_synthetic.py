import json

import numpy as np
import pytest
import torch

from geocompose.data.baselines.rules import run_baselines
from geocompose.data.synthetic.fields import random_field
from geocompose.data.synthetic.spectral import CLASS_NAMES, make_landscape
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.data_modules import synthetic_segmentation


@pytest.fixture(scope="module")
def default():
    data = synthetic_segmentation()
    data.setup()
    return data


def test_the_default_scenes_are_six_band_georeferenced_landscapes(default):
    assert default.band_names == ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"]
    assert default.class_names == list(CLASS_NAMES)
    assert {scene.crs for scene in default.scenes} == {"EPSG:32633"}
    assert len({scene.transform for scene in default.scenes}) == 8
    assert {split: default.num_tiles(split) for split in default.regions} == {"train": 64, "val": 32, "test": 32}


def test_every_class_is_in_every_split_and_about_one_percent_is_unlabelled(default):
    for split, counts in default.statistics.class_counts.items():
        assert min(counts) > 0.05 * sum(counts), split
        assert 0.985 < sum(counts) / (len(default.regions[split]) * 256**2) < 0.995


def test_a_pixel_alone_does_not_tell_its_class_and_its_surroundings_say_more(default):
    (result,) = run_baselines(default, ["logistic"])
    assert 0.70 < result["metrics"]["mIoU"] < 0.88
    assert min(result["metrics"][f"IoU_{name}"] for name in CLASS_NAMES) < 0.6


def test_values_are_digital_numbers_of_reflectance(default):
    image, valid = default.scenes[0].read_image(Window(0, 0, 256, 256), range(6))
    assert valid.all()
    assert image.min() >= 1
    assert 500 < np.median(image) < 4000


def test_batches_are_normalised(default):
    images = torch.cat([batch["image"] for batch in default.train_dataloader()])
    assert images.shape == (64, 6, 64, 64)
    assert images.mean().abs() < 1e-3
    assert images.std() == pytest.approx(1, abs=1e-2)


def test_the_data_seed_alone_decides_the_data():
    torch.manual_seed(1)
    first = make_landscape(3, 1, 64, -1)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002 - the old global generator must not matter either
    again, other = make_landscape(3, 1, 64, -1), make_landscape(4, 1, 64, -1)
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], make_landscape(3, 2, 64, -1)[0])


def test_a_scene_does_not_depend_on_how_many_there_are():
    few, many = (synthetic_segmentation(num_scenes=count, scene_px=64) for count in (3, 6))
    window = Window(0, 0, 64, 64)
    assert np.array_equal(few.scenes[2].read_image(window, [0])[0], many.scenes[2].read_image(window, [0])[0])


def test_a_single_scene_is_split_by_columns():
    data = synthetic_segmentation(num_scenes=1, scene_px=128)
    assert [regions[0].window.width for regions in data.regions.values()] == [64, 32, 32]


def test_bands_can_be_chosen_by_alias():
    data = synthetic_segmentation(num_scenes=3, scene_px=64, bands=["B11", "GREEN"])
    data.setup()
    assert next(iter(data.val_dataloader()))["image"].shape[1] == 2
    json.dumps(data.describe())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_scenes": 0}, r"data\.num_scenes=0 must be 1 or more"),
        ({"scene_px": 8}, r"data\.scene_px=8 must be 32 or more"),
        ({"seed": -1}, r"data\.seed=-1"),
        ({"bands": ["GREN"]}, "Did you mean 'GREEN'"),
        ({"baselines": ["ndwi"]}, "is for data of two classes"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        synthetic_segmentation(**change)


@pytest.mark.parametrize("size_px", [5, 64, 97, 600])
def test_a_field_is_its_spectrums_inverse_to_the_bit(size_px):
    scale_px, roughness, twice = size_px / 5, 0.8, 2 * size_px
    frequency = np.hypot(np.fft.fftfreq(twice)[:, None], np.fft.rfftfreq(twice)[None])
    amplitude = (1 + (frequency * scale_px * 2) ** 2) ** -(0.5 + roughness)
    drawn = np.random.default_rng(3).standard_normal((twice, twice))
    whole = np.fft.irfft2(np.fft.rfft2(drawn) * amplitude, s=(twice, twice))[:size_px, :size_px]
    for _ in range(2):  # made, and kept
        field = random_field(np.random.default_rng(3), size_px, scale_px, roughness)
        np.testing.assert_array_equal(field, (whole - whole.mean()) / whole.std())
