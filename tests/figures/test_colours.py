"""Colours of classes, and images to look at."""

import subprocess
import sys

import numpy as np
import pytest

from geocompose.figures.display import display_image
from geocompose.figures.palette import IGNORED, class_colours
from geocompose.figures.style import paint
from tests.kit.drawn import NAMES

# --- colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_classes", [1, 2, 12, 13, 40])
def test_classes_have_different_colours_and_always_the_same_ones(num_classes):
    names = [f"class {i}" for i in range(num_classes)]
    colours = class_colours(names)
    assert len(set(colours)) == num_classes
    assert IGNORED not in colours
    assert colours == class_colours(names)
    assert class_colours([*names, "one more"])[:num_classes] == colours


def test_water_is_blue_wherever_it_stands():
    assert class_colours(["water", "bare"])[0] == class_colours(["bare", "Water"])[1] == (0, 114, 178)


def test_two_customary_names_never_share_a_colour():
    assert len(set(class_colours(["water", "flood", "forest", "trees"]))) == 4


def test_painted_classes_are_in_their_colours_and_others_grey():
    painted = np.round(paint(np.array([[0, 1, -1, 2]]), NAMES) * 255).astype(int)
    assert [tuple(pixel) for pixel in painted[0]] == [*class_colours(NAMES), IGNORED, IGNORED]


def test_colours_need_no_matplotlib():
    code = "import sys, geocompose.figures.palette; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- images to look at ------------------------------------------------------------------------------------------------


def test_red_green_and_blue_are_shown_by_name():
    raw = np.stack([np.tile(np.arange(10.0) * factor, (10, 1)) for factor in (1, -1, 5, 0)])
    image = display_image(raw, ["B2", "B3", "B4", "B8A"])
    assert image.shape == (3, 10, 10)
    assert image.dtype == np.float32
    assert image[0, 0, 0] == 0
    assert image[0, 0, -1] == 1
    assert image[1, 0, 0] == 1
    assert image[1, 0, -1] == 0
    np.testing.assert_allclose(image[2], image[0])


@pytest.mark.parametrize(("names", "shown"), [(["VV", "VH"], [0, 0, 0]), (["a", "b", "c", "d"], [0, 1, 2])])
def test_other_bands_are_shown_in_order_or_grey(names, shown):
    raw = np.random.default_rng(0).normal(size=(len(names), 20, 20))
    image = display_image(raw, names)
    for channel, source in zip(image, shown, strict=True):
        assert np.corrcoef(channel.ravel(), raw[source].ravel())[0, 1] > 0.9


def test_pixels_without_data_are_white_and_do_not_stretch():
    raw = np.tile(np.linspace(100, 200, 50), (3, 50, 1))
    expected = display_image(raw, ["RED", "GREEN", "BLUE"])
    spoilt, valid = raw.copy(), np.ones((50, 50), dtype=bool)
    spoilt[:, 10] = -9999
    spoilt[0, 20] = np.nan
    valid[10] = False
    image = display_image(spoilt, ["RED", "GREEN", "BLUE"], valid)
    assert (image[:, [10, 20]] == 1).all()
    np.testing.assert_allclose(np.delete(image, [10, 20], axis=1), np.delete(expected, [10, 20], axis=1))


def test_image_without_data_is_white_and_a_constant_one_grey():
    assert (display_image(np.full((3, 4, 4), np.nan), ["RED", "GREEN", "BLUE"]) == 1).all()
    assert (display_image(np.full((1, 4, 4), 7), ["VV"]) == 0.5).all()
