"""Gradient boosting without a network: what trees tell that a line does not, the same every time."""

import numpy as np
import pytest

from geocompose.data.baselines import boosting
from geocompose.data.baselines.boosting import boosted_classes, boosted_numbers
from geocompose.data.baselines.rules import BASELINES, count_baselines, run_baselines
from tests.kit.data_modules import (
    geotiff,
    synthetic_classification,
    synthetic_multilabel,
    synthetic_regression,
    synthetic_scalar_regression,
)
from tests.kit.data_rasters import BANDS, arguments, image, write

NAME = "gradient_boosting"


def test_a_rule_that_no_line_tells_is_found(tmp_path):
    pixels = image(0, 48, 120)
    inside = (pixels[0] > 1000) & (pixels[0] < 2000)  # a band of values, with the other class on both sides
    write(tmp_path / "a_img.tif", pixels, BANDS)
    write(tmp_path / "a_lab.tif", inside.astype("int16"))
    data = geotiff(**arguments(tmp_path))
    data.setup()
    logistic, boosted = run_baselines(data, ["logistic", NAME])
    assert boosted["metrics"]["mIoU"] > 0.97
    assert logistic["metrics"]["mIoU"] < 0.6
    assert boosted["detail"] == "per-pixel gradient boosting on 5 bands, fitted to 3456 training pixels"


def test_it_is_the_same_every_time_and_of_bounded_size(tmp_path, monkeypatch):
    write(tmp_path / "a_img.tif", image(0, 48, 120), BANDS)
    write(tmp_path / "a_lab.tif", (image(0, 48, 120)[1] > 1500).astype("int16"))
    data = geotiff(**arguments(tmp_path))
    data.setup()
    monkeypatch.setattr(boosting, "MAX_PIXELS", 900)
    (first,), (second,) = (count_baselines(data, [NAME]) for _ in range(2))
    assert "900 training pixels" in first.detail
    assert np.array_equal(first.per_tile, second.per_tile)


@pytest.mark.parametrize(
    ("make", "metric", "better"),
    [
        (synthetic_classification, "F1_macro", 1),
        (synthetic_multilabel, "accuracy_micro", 1),
        (synthetic_regression, "RMSE", -1),
        (synthetic_scalar_regression, "RMSE", -1),
    ],
)
def test_every_kind_has_it_and_it_beats_a_constant(make, metric, better, monkeypatch):
    monkeypatch.setattr(boosting, "ITERATIONS", 30)
    data = make()
    data.setup()
    assert NAME in BASELINES[data.target.kind]
    boosted, constant = (result["metrics"][metric] for result in run_baselines(data, [NAME, "constant"]))
    assert better * boosted > better * constant


def test_a_missing_value_is_a_branch_of_its_own():
    values = np.linspace(0, 1, 400)[:, None].repeat(2, axis=1)
    values[::2, 1] = np.nan
    classes = np.arange(400) % 2
    assert (boosted_classes(values, classes).predict(values) == classes).all()
    numbers = np.stack([classes * 5.0, values[:, 0]], axis=1)
    numbers[:50, 1] = np.nan  # a number that isn't known
    found = boosted_numbers(values, numbers).predict(values)
    assert np.abs(found[:, 0] - numbers[:, 0]).max() < 0.1


def test_a_class_without_a_choice_is_said_always():
    assert boosted_classes(np.zeros((5, 2)), np.full(5, 3)).predict(np.zeros((2, 2))).tolist() == [3, 3]
