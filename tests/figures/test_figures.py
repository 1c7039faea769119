"""Figures and colours: what they show is checked on the drawn artists and pixels, not on the look."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from geocompose.figures import (
    class_decisions,
    confusion_matrix,
    learning_curves,
    predicted_against_true,
    sample_images,
    sample_numbers,
    sample_predictions,
)
from geocompose.figures.display import display_image
from geocompose.figures.palette import IGNORED, class_colours
from geocompose.figures.style import paint

NAMES = ["not_water", "water"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return a list that the figures drawn in a test are added to."""
    figures: list[Figure] = []

    for module in (
        class_decisions, confusion_matrix, learning_curves, predicted_against_true, sample_images, sample_numbers,
        sample_predictions,
    ):  # fmt: skip
        original = module.canvas

        @contextmanager
        def canvas(*arguments, original=original) -> Iterator[Figure]:
            with original(*arguments) as figure:
                yield figure
                figures.append(figure)

        monkeypatch.setattr(module, "canvas", canvas)
    return figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


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


def test_confusion_of_images_shows_f1_and_says_what_is_counted(tmp_path, drawn):
    matrix = np.array([[8, 2], [5, 15]], dtype=np.int64)
    confusion_matrix.confusion(matrix, NAMES, tmp_path / "m.png", "Test split", score="F1", what="images")
    assert {"F1", f"{16 / 23:.3f}", f"{30 / 37:.3f}"} <= set(texts(drawn[0]))
    confusion_matrix.confusion(
        np.eye(13, dtype=int), [str(i) for i in range(13)], tmp_path / "m.png", "", what="images"
    )
    assert drawn[1].axes[0].get_ylabel() == "true class (cells: % of its images)"


def test_decisions_show_precision_recall_and_f1_of_each_class(tmp_path, drawn):
    counts = np.array([[[5, 2], [1, 4]], [[9, 3], [0, 0]]])
    class_decisions.class_decisions(counts, NAMES, tmp_path / "d.png", "Test split")
    axes = drawn[0].axes[0]
    precision, recall = ([bar.get_width() for bar in bars] for bars in axes.containers)
    assert precision == [pytest.approx(4 / 6), 0]
    assert recall == [pytest.approx(4 / 5), 0]
    f1 = axes.get_lines()[0].get_xdata()
    assert f1[0] == pytest.approx(8 / 11)
    assert np.isnan(f1[1])
    assert {"4 found of 5; 2 false alarms", "no image has it; 3 false alarms"} <= set(texts(drawn[0]))


@pytest.mark.parametrize("num_classes", [1, 2, 12])
def test_the_legend_of_decisions_is_whole_and_one_false_alarm_is_one(tmp_path, drawn, num_classes):
    counts = np.full((num_classes, 2, 2), [[5, 1], [1, 4]])
    class_decisions.class_decisions(counts, [f"c{i}" for i in range(num_classes)], tmp_path / "d.png", "Test split")
    (figure,) = drawn
    legend = figure.legends[0].get_window_extent()
    assert figure.bbox.y0 <= legend.y0 < legend.y1 <= figure.axes[0].get_window_extent().y0
    assert "4 found of 5; 1 false alarm" in texts(figure)


def numbers(count: int, variables: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    truth = draw.normal(100, 20, (count, variables))
    truth[0] = np.nan
    return truth, truth + draw.normal(0, 5, (count, variables))


def test_few_numbers_are_points_about_the_line_of_equality(tmp_path, drawn):
    truth, prediction = numbers(50)
    predicted_against_true.predicted_against_true(
        truth, prediction, ["height"], tmp_path / "s.png", title="Test split", scores=[{"RMSE": 5.0, "R2": 0.9}], what="images"
    )  # fmt: skip
    axes = drawn[0].axes[0]
    assert len(axes.collections[0].get_offsets()) == 49
    line = axes.get_lines()[0]
    assert list(line.get_xdata()) == list(line.get_ydata())
    assert axes.get_xlim() == axes.get_ylim()
    assert "RMSE 5\nR2 0.9" in texts(drawn[0])


def test_many_numbers_of_several_variables_are_densities(tmp_path, drawn):
    truth, prediction = numbers(5000, 2)
    scores = [{"RMSE": 5.0, "R2": float("nan")}] * 2
    predicted_against_true.predicted_against_true(
        truth, prediction, ["height", "age"], tmp_path / "s.png", title="Test split", scores=scores, what="pixels"
    )
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
    assert {"Test split: height", "age"} <= set(titles)
    assert "pixels of 4,999" in texts(drawn[0])
    assert "RMSE 5\nR2 -" in texts(drawn[0])
    counted = drawn[0].axes[0].collections[0].get_array().sum()
    assert counted >= 0.99 * 4999


@pytest.mark.parametrize("truth", [np.full((5, 1), np.nan), np.full((5, 1), 3.0), np.zeros((5, 1))])
def test_unknown_and_constant_numbers_can_be_drawn(tmp_path, drawn, truth):
    predicted_against_true.predicted_against_true(
        truth, np.zeros((5, 1)), ["x"], tmp_path / "s.png", title="", scores=[{}], what="images"
    )
    assert (tmp_path / "s.png").stat().st_size > 1000


def test_samples_of_numbers_share_a_scale_and_show_the_error(tmp_path, drawn):
    label = np.linspace(0, 10, 12 * 16).reshape(12, 16)
    label[0] = np.nan
    prediction = np.nan_to_num(label) + 1
    tile = {"image": np.full((3, 12, 16), 0.5), "label": label, "prediction": prediction, "title": "tile 3"}
    sample_numbers.sample_numbers([tile, tile], "height", tmp_path / "s.png")
    panels = drawn[0].axes[:8]
    assert panels[0].get_ylabel() == "tile 3\nRMSE 1"
    truth, said, error = (panel.get_images()[0] for panel in panels[1:4])
    assert truth.get_clim() == said.get_clim()
    assert error.get_clim()[0] == -error.get_clim()[1]
    np.testing.assert_allclose(np.ma.filled(error.get_array(), np.nan)[1:], 1)
    assert {"height", "prediction minus label"} <= set(texts(drawn[0]))


def test_a_sample_without_any_number_can_be_drawn(tmp_path, drawn):
    tile = {
        "image": np.ones((3, 4, 4)), "label": np.full((4, 4), np.nan), "prediction": np.ones((4, 4)), "title": "tile 0",
    }  # fmt: skip
    sample_numbers.sample_numbers([tile], "height", tmp_path / "s.png")
    assert drawn[0].axes[0].get_ylabel() == "tile 0\nno label"


@pytest.mark.parametrize("count", [1, 5, 12])
def test_images_stand_with_what_is_true_and_what_was_predicted(tmp_path, drawn, count):
    images = [
        {"image": np.full((3, 8, 8), 0.5), "truth": "water", "prediction": "bare" if n else "water", "right": not n}
        for n in range(count)
    ]
    sample_images.sample_images(images, tmp_path / "i.png", "Test split")
    shown = [axes for axes in drawn[0].axes if axes.get_visible()]
    assert len(shown) == count
    assert shown[0].get_xlabel() == "label: water\nprediction: water"
    assert shown[-1].xaxis.label.get_color() == ("#222222" if count == 1 else "#aa003c")


def test_a_long_answer_is_cut(tmp_path, drawn):
    many = ", ".join(f"land cover class {i}" for i in range(30))
    image = {"image": np.ones((3, 8, 8)), "truth": many, "prediction": "a" * 80, "right": False}
    sample_images.sample_images([image], tmp_path / "i.png", "Test split")
    lines = drawn[0].axes[0].get_xlabel().splitlines()
    assert len(lines) <= 8
    assert max(map(len, lines)) <= 34
    assert "…" in lines[3]


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
    with pytest.raises(AssertionError, match="no sample to draw"):
        sample_images.sample_images([], tmp_path / "i.png", "")
    assert not list(tmp_path.iterdir())
