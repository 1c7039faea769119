"""Figures of numbers and of single samples."""

import numpy as np
import pytest

from geocompose.figures import (
    predicted_against_true,
    sample_images,
    sample_numbers,
    sample_predictions,
)
from tests.kit.drawn import NAMES, texts


def sample(height: int = 12, width: int = 16) -> dict:
    label = np.zeros((height, width), dtype=int)
    label[:, : width // 2] = 1
    label[0] = -1
    prediction = label.copy()
    prediction[0] = 0
    prediction[2, 3] = 0
    return {"image": np.full((3, height, width), 0.5), "label": label, "prediction": prediction, "title": "tile 7"}


def numbers(count: int, variables: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    truth = draw.normal(100, 20, (count, variables))
    truth[0] = np.nan
    return truth, truth + draw.normal(0, 5, (count, variables))


def test_few_numbers_are_points_about_the_line_of_equality(tmp_path, drawn):
    truth, prediction = numbers(50)
    predicted_against_true.predicted_against_true(
        truth, prediction, ["height"], tmp_path / "s.png", title="Test split",
        scores=[{"RMSE": 5.0, "R2": 0.9}], what="images"
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
    sample_numbers.sample_numbers([tile, tile], "height", tmp_path / "s.png", unit="m")
    panels = drawn[0].axes[:8]
    assert panels[0].get_ylabel() == "tile 3\nRMSE 1 m"
    truth, said, error = (panel.get_images()[0] for panel in panels[1:4])
    assert truth.get_clim() == said.get_clim()
    assert error.get_clim()[0] == -error.get_clim()[1]
    np.testing.assert_allclose(np.ma.filled(error.get_array(), np.nan)[1:], 1)
    assert {"height (m)\n5.4 % above (up to 11)", "prediction minus label (m)"} <= set(texts(drawn[0]))
    assert panels[4].get_xlabel().endswith("hatched: no label")


@pytest.mark.parametrize(
    ("off", "extended", "told"),
    [
        ({}, "neither", ""),
        ({0: -50.0}, "min", "0.3 % below (down to -50)"),
        ({0: 99.0, 1: 120.0}, "max", "0.5 % above (up to 120)"),
        ({0: -50.0, 1: 99.0}, "both", "0.3 % below (down to -50), 0.3 % above (up to 99)"),
    ],
)
def test_a_colour_bar_says_how_much_lies_outside_its_range_and_how_far(tmp_path, drawn, off, extended, told):
    label = np.linspace(0, 10, 12 * 16).reshape(12, 16)
    prediction = label.copy()
    for place, value in off.items():
        prediction[5, place] = value
    tile = {"image": np.full((3, 12, 16), 0.5), "label": label, "prediction": prediction, "title": "tile 3"}
    sample_numbers.sample_numbers([tile], "height", tmp_path / "s.png")
    colour_map, bar = drawn[0].axes[2].get_images()[0].get_cmap(), drawn[0].axes[4]
    assert bar.get_xlabel() == ("height\n" + told).strip()
    assert drawn[0].axes[2].get_images()[0].colorbar is not None
    assert drawn[0].axes[2].get_images()[0].colorbar.extend == extended
    ends = {tuple(colour_map(value)) for value in (0.0, 1.0)}
    assert tuple(colour_map.get_over()) not in ends
    assert tuple(colour_map.get_under()) not in ends


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


def test_pixels_without_data_are_hatched_and_how_images_are_shown_stands_below(tmp_path, drawn):
    nodata = np.zeros((12, 16), bool)
    nodata[:4] = True
    how = "RED, GREEN, BLUE\nstretched from 2 % to 98 %"
    number = {**sample(), "label": np.ones((12, 16)), "prediction": np.ones((12, 16)), "nodata": nodata}
    image = {"image": np.full((3, 12, 16), 0.5), "nodata": nodata, "truth": "a", "prediction": "a", "right": True}
    sample_predictions.sample_predictions(
        [sample(), {**sample(), "nodata": nodata}], NAMES, -1, tmp_path / "s.png", how
    )
    sample_numbers.sample_numbers([number], "height", tmp_path / "n.png", how=how)
    sample_images.sample_images([image], tmp_path / "i.png", "Test split", how)
    classes, numbers, images = drawn
    assert classes.legends[0].get_texts()[-1].get_text() == "no data (image)"
    assert [bool(axes.collections) for axes in classes.axes[::4]] == [False, True]
    assert classes.axes[4].get_xlabel() == how
    assert numbers.axes[0].get_xlabel() == f"{how}\nhatched: no data"
    assert numbers.axes[0].collections
    assert images.axes[0].collections
    assert images.get_supxlabel() == f"{', '.join(how.splitlines())}, hatched: no data"


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
