"""Figures and colours: what they show is checked on the drawn artists and pixels, not on the look."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from geocompose.figures import confusion_matrix, learning_curves, sample_predictions
from geocompose.figures.display import display_image
from geocompose.figures.palette import IGNORED, class_colours
from geocompose.figures.style import paint

NAMES = ["not_water", "water"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return a list that the figures drawn in a test are added to."""
    figures: list[Figure] = []

    for module in (learning_curves, confusion_matrix, sample_predictions):
        original = module.canvas

        @contextmanager
        def canvas(*arguments, original=original) -> Iterator[Figure]:
            with original(*arguments) as figure:
                yield figure
                figures.append(figure)

        monkeypatch.setattr(module, "canvas", canvas)
    return figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def rows(num_epochs: int) -> list[dict]:
    return [
        {"epoch": i, "train/loss": 1 / (i + 1), "val/loss": 1.1 / (i + 1), "val/mIoU": 0.5 + 0.1 * (i % 3), "lr": 1e-3}
        for i in range(num_epochs)
    ]


def sample(height: int = 12, width: int = 16) -> dict:
    label = np.zeros((height, width), dtype=int)
    label[:, : width // 2] = 1
    label[0] = -1
    prediction = label.copy()
    prediction[0] = 0
    prediction[2, 3] = 0
    return {"image": np.full((3, height, width), 0.5), "label": label, "prediction": prediction, "title": "tile 7"}


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


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_epochs", [1, 6, 60])
def test_learning_curves_show_every_epoch_and_mark_the_best(tmp_path, drawn, num_epochs):
    best = 2 if num_epochs > 2 else 0
    learning_curves.learning_curves(rows(num_epochs), tmp_path / "c.png", best_epoch=best, selection="val/mIoU")
    losses, scores = drawn[0].axes
    training, validation = losses.get_lines()[:2]
    assert list(training.get_xdata()) == list(range(num_epochs))
    assert validation.get_ydata()[0] == 1.1
    assert f"best mIoU {0.5 + 0.1 * (best % 3):.3f}, epoch {best}" in scores.get_title(loc="right")
    assert imread(tmp_path / "c.png").shape[0] > 300


def test_learning_curves_leave_out_what_was_not_measured(tmp_path, drawn):
    gaps = [*rows(4), {"epoch": 4, "train/loss": 0.1, "val/loss": None, "val/mIoU": float("nan")}]
    learning_curves.learning_curves(gaps, tmp_path / "c.png", best_epoch=None, selection="val/mIoU")
    losses, scores = drawn[0].axes
    assert [len(line.get_xdata()) for line in losses.get_lines()] == [5, 4]
    assert [len(line.get_xdata()) for line in scores.get_lines()] == [4]


def test_learning_curves_show_an_error_on_a_scale_of_its_own(tmp_path, drawn):
    measured = [{**row, "val/RMSE": 12.5} for row in rows(3)]
    learning_curves.learning_curves(measured, tmp_path / "c.png", best_epoch=1, selection="val/RMSE")
    assert drawn[0].axes[1].get_ylabel() == "RMSE"
    assert drawn[0].axes[1].get_legend_handles_labels()[1] == ["RMSE"]


def test_confusion_shows_shares_counts_and_iou(tmp_path, drawn):
    matrix = np.array([[8000, 2000], [500, 1500]], dtype=np.int64)
    confusion_matrix.confusion(matrix, NAMES, tmp_path / "m.png", "Test split")
    assert {"80.0 %", "20.0 %", "25.0 %", "75.0 %", "8,000", "1,500", "0.762", "0.375"} <= set(texts(drawn[0]))
    assert drawn[0].axes[0].get_ylabel() == "true class"
    assert (tmp_path / "m.png").stat().st_size > 5000


def test_confusion_says_which_class_has_no_label(tmp_path, drawn):
    matrix = np.array([[5, 1, 2], [0, 0, 0], [1, 0, 4]], dtype=np.int64)
    confusion_matrix.confusion(matrix, ["a", "b", "c"], tmp_path / "m.png", "Test split")
    shown = texts(drawn[0])
    assert shown.count("no label") == 1
    assert sum(text.endswith(" %") for text in shown) == 6


@pytest.mark.parametrize(("num_classes", "cells"), [(13, 169), (30, 0)])
def test_confusion_of_many_classes_stays_readable(tmp_path, drawn, num_classes, cells):
    matrix = np.eye(num_classes, dtype=np.int64)
    names = [f"a rather long name {i}" for i in range(num_classes)]
    confusion_matrix.confusion(matrix, names, tmp_path / "m.png", "Test split")
    assert sum(text in ("100.0", "0.0") for text in texts(drawn[0])) == cells


def test_samples_show_image_label_prediction_and_difference(tmp_path, drawn):
    sample_predictions.sample_predictions([sample(), sample(16, 12)], NAMES, -1, tmp_path / "s.png")
    axes = drawn[0].axes
    assert len(axes) == 8
    assert [panel.get_title(loc="left") for panel in axes[:4]] == ["Image", "Label", "Prediction", "Difference"]
    assert axes[0].get_ylabel() == "tile 7\n99.4 % right"
    difference = axes[3].get_images()[0].get_array()
    coloured = np.ptp(np.asarray(difference), axis=-1) > 0.1
    assert np.argwhere(coloured).tolist() == [[2, 3]]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == [
        *NAMES,
        "differs from the label",
        "no label",
    ]


def test_sample_without_a_label_has_no_share(tmp_path, drawn):
    unlabelled = sample()
    unlabelled["label"][:] = 255
    sample_predictions.sample_predictions([unlabelled], NAMES, 255, tmp_path / "s.png")
    assert drawn[0].axes[0].get_ylabel() == "tile 7\nno label"


def test_legend_of_many_classes_is_not_wider_than_the_figure(tmp_path, drawn):
    names = [f"land cover class {i}" for i in range(20)]
    sample_predictions.sample_predictions([sample()], names, -1, tmp_path / "s.png")
    legend, figure = drawn[0].legends[0], drawn[0]
    assert legend.get_window_extent().width <= figure.bbox.width
    assert legend.get_window_extent().y0 >= 0


def test_failed_figure_leaves_no_file(tmp_path):
    with pytest.raises(AssertionError, match="no sample to draw"):
        sample_predictions.sample_predictions([], NAMES, -1, tmp_path / "s.png")
    assert not list(tmp_path.iterdir())
