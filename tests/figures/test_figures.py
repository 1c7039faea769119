"""Figures of runs: curves, confusion, decisions."""

import numpy as np
import pytest
from matplotlib.image import imread

from geocompose.figures import (
    class_decisions,
    confusion_matrix,
    learning_curves,
)
from tests.kit.drawn import NAMES, texts


def rows(num_epochs: int) -> list[dict]:
    return [
        {"epoch": i, "train/loss": 1 / (i + 1), "val/loss": 1.1 / (i + 1), "val/mIoU": 0.5 + 0.1 * (i % 3), "lr": 1e-3}
        for i in range(num_epochs)
    ]


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_epochs", [1, 6, 60])
def test_learning_curves_show_every_epoch_and_mark_the_best(tmp_path, drawn, num_epochs):
    best = 2 if num_epochs > 2 else 0
    learning_curves.learning_curves(rows(num_epochs), tmp_path / "c.png", best_epoch=best, selection="val/mIoU")
    losses, scores = drawn[0].axes
    training, validation = losses.get_lines()[:2]
    assert list(training.get_xdata()) == list(range(1, num_epochs + 1))  # as the terminal counts
    assert validation.get_ydata()[0] == 1.1
    assert f"best mIoU {0.5 + 0.1 * (best % 3):.3f}, epoch {best + 1}" in scores.get_title(loc="right")
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
