"""Baselines of regression and of labels for whole images, against their definitions."""

import csv

import numpy as np
import pytest

from geocompose import scores
from geocompose.data.baselines.rules import BASELINES, run_baselines
from tests.kit.data_modules import (
    geotiff,
    geotiff_classification,
    geotiff_multilabel,
    geotiff_regression,
    geotiff_scalar_regression,
)
from tests.kit.data_rasters import BANDS, arguments, image, label, pair, write

NUMBERS = {"images": "*_img.tif", "labels": "*_lab.tif", "tile_px": 16}


def found(data, *names):
    data.setup()
    return {result["name"]: result for result in run_baselines(data, list(names))}


def test_the_constant_of_segmentation_is_the_most_frequent_training_class(tmp_path):
    classes = label()
    classes[:, :30] = 1
    write(pair(tmp_path) / "a_lab.tif", classes)
    metrics = found(geotiff(**arguments(tmp_path)), "constant")["constant"]["metrics"]
    share = (classes[:, 48:] == 1).mean()
    assert metrics["accuracy_micro"] == pytest.approx(share)
    assert metrics["IoU_land"] == 0
    assert metrics["mIoU"] == pytest.approx(share / 2)


def test_regression_baselines_are_the_mean_and_a_line(tmp_path):
    pixels = image().astype(np.float64)
    truth = 3 * pixels[0] - 0.5 * pixels[3] + 7 + np.random.default_rng(0).normal(0, 50, (40, 60))
    write(tmp_path / "a_img.tif", image(), BANDS)
    write(tmp_path / "a_lab.tif", truth.astype("float32"))
    data = geotiff_regression(**NUMBERS, root=str(tmp_path), variables=["v"])
    results = found(data, "constant", "linear")
    test, training = truth[:, 48:], truth[:, :36]
    assert results["constant"]["metrics"]["RMSE"] == pytest.approx(
        np.sqrt(np.mean((test - training.mean()) ** 2)), rel=1e-5
    )
    assert results["constant"]["metrics"]["MAE"] == pytest.approx(np.abs(test - training.mean()).mean(), rel=1e-5)
    design = np.column_stack([np.ones(36 * 40), pixels[:, :, :36].reshape(5, -1).T])
    line = np.linalg.lstsq(design, training.ravel(), rcond=None)[0]
    error = np.column_stack([np.ones(12 * 40), pixels[:, :, 48:].reshape(5, -1).T]) @ line - test.ravel()
    assert results["linear"]["metrics"]["RMSE"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=2e-3)
    assert results["linear"]["detail"].endswith("fitted to 1440 training pixels")


def test_variables_are_fitted_by_themselves_where_they_have_labels(tmp_path):
    pixels = image()
    numbers = np.stack([pixels[0] * 2.0, pixels[1] - 5.0]).astype("float32")
    numbers[0, :, :20] = np.nan
    write(tmp_path / "a_img.tif", pixels, BANDS)
    write(tmp_path / "a_lab.tif", numbers)
    data = geotiff_regression(**NUMBERS, root=str(tmp_path), variables=["a", "b"])
    metrics = found(data, "linear")["linear"]["metrics"]
    assert metrics["R2_a"] == pytest.approx(1, abs=1e-4)
    assert metrics["R2_b"] == pytest.approx(1, abs=1e-4)


def images(root, *rows):
    """Write one image per row, brighter by the row's first number, and the table of the others."""
    with (root / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "split", *"abc"[: len(rows[0]) - 2]])
        for i, (bright, split, *cells) in enumerate(rows):
            write(root / f"{i}.tif", (image(i, 8, 8) * 0.1 + bright).astype("float32"), BANDS)
            writer.writerow([f"{i}.tif", split, *cells])
    return {"root": str(root), "table": "t.csv", "images": "*.tif", "tile_px": 8}


def test_a_class_is_told_by_band_means_and_the_constant_is_the_most_frequent(tmp_path):
    rows = [(1000 * (i % 3 == 0), "train", "xy"[i % 3 == 0]) for i in range(12)]
    rows += [(0, "val", "x"), (1000, "test", "y"), (0, "test", "x"), (1000, "test", "y")]
    data = geotiff_classification(**images(tmp_path, *rows), label_column="a")
    results = found(data, *BASELINES["classification"])
    assert results["logistic"]["metrics"]["accuracy_micro"] == 1
    assert results["constant"]["metrics"]["accuracy_micro"] == pytest.approx(1 / 3)
    assert results["constant"]["detail"].startswith("x always")
    assert not any(name.startswith("IoU") or name == "mIoU" for name in results["constant"]["metrics"])


def test_training_images_of_one_class_leave_the_logistic_constant(tmp_path):
    rows = [(i, "train", "x") for i in range(4)] + [(0, "val", "x"), (0, "test", "y"), (0, "test", "x")]
    data = geotiff_classification(**images(tmp_path, *rows), label_column="a")
    results = found(data, "constant", "logistic")
    assert results["constant"]["metrics"] == results["logistic"]["metrics"]


def test_several_classes_are_decided_one_by_one_and_unknown_ones_count_nowhere(tmp_path):
    rows = [(1000 * (i % 2), "train", i % 2, 1) for i in range(10)]
    rows += [(0, "val", 0, 1), (1000, "test", 1, 0), (0, "test", 0, 1), (1000, "test", "", 1)]
    data = geotiff_multilabel(**images(tmp_path, *rows))
    results = found(data, *BASELINES["multilabel"])
    assert results["logistic"]["metrics"]["F1_a"] == 1
    assert results["logistic"]["metrics"]["accuracy_micro"] == pytest.approx(4 / 5)
    truth = np.array([[1, 0], [0, 1], [-1, 1]])
    usual = np.tile([0, 1], (3, 1))  # a has half of the training images, not a majority
    assert results["constant"]["metrics"] == pytest.approx(
        scores.multilabel_scores(scores.multilabel_counts(truth, usual), ["a", "b"]), nan_ok=True
    )
    assert results["constant"]["detail"].endswith(": b")


def test_a_class_that_no_training_image_tells_of_is_never_predicted(tmp_path):
    rows = [(1000 * (i % 2), "train", i % 2, "") for i in range(6)] + [(0, "val", 0, 1), (0, "test", 0, 1)]
    results = found(geotiff_multilabel(**images(tmp_path, *rows)), "constant", "logistic")
    assert results["logistic"]["metrics"]["F1_b"] == results["constant"]["metrics"]["F1_b"] == 0


def test_numbers_of_images_are_told_by_their_brightness(tmp_path):
    rows = [(100 * i, "train", i, "" if i else 5) for i in range(20)]
    rows += [(500, "val", 5, 5), (700, "test", 7, 5), (900, "test", 9, 6)]
    data = geotiff_scalar_regression(**images(tmp_path, *rows), variables=["a"])
    results = found(data, *BASELINES["scalar_regression"])
    assert results["constant"]["metrics"]["RMSE"] == pytest.approx(np.sqrt(((7 - 9.5) ** 2 + (9 - 9.5) ** 2) / 2))
    assert results["linear"]["metrics"]["RMSE"] < 1
    assert results["constant"]["detail"] == "always the mean of the training images: a 9.5"
