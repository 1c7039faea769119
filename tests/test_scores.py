import math

import numpy as np
import pytest

from geocompose.scores import confusion_matrix, from_confusion


def test_scores_of_two_classes_match_a_calculation_by_hand():
    scores = from_confusion(np.array([[50, 10], [20, 20]]), ["land", "water"])
    assert scores["IoU_land"] == pytest.approx(50 / 80)
    assert scores["IoU_water"] == pytest.approx(20 / 50)
    assert scores["mIoU"] == pytest.approx((50 / 80 + 20 / 50) / 2)
    assert scores["F1_land"] == pytest.approx(2 * 50 / (60 + 70))
    assert scores["F1_water"] == pytest.approx(2 * 20 / (40 + 30))
    assert scores["F1_macro"] == pytest.approx((100 / 130 + 40 / 70) / 2)
    assert scores["accuracy_micro"] == pytest.approx(0.7)
    assert scores["accuracy_macro"] == pytest.approx((50 / 60 + 20 / 40) / 2)
    assert scores["classes_present"] == 2


def test_an_absent_class_is_nan_and_leaves_the_means_even_where_it_is_predicted():
    scores = from_confusion(np.array([[6, 0, 2], [0, 4, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert math.isnan(scores["IoU_c"])
    assert math.isnan(scores["F1_c"])
    assert scores["mIoU"] == pytest.approx((6 / 8 + 1) / 2)
    assert scores["accuracy_macro"] == pytest.approx((6 / 8 + 1) / 2)
    assert scores["classes_present"] == 2


def test_a_class_that_is_never_predicted_counts_zero():
    scores = from_confusion(np.array([[6, 0], [4, 0]]), ["a", "b"])
    assert scores["IoU_b"] == 0
    assert scores["mIoU"] == pytest.approx(0.3)


def test_no_pixel_at_all_gives_nan_and_no_class_present():
    scores = from_confusion(np.zeros((2, 2), dtype=int), ["a", "b"])
    assert scores["classes_present"] == 0
    assert all(math.isnan(value) for name, value in scores.items() if name != "classes_present")


def test_confusion_matrix_has_the_truth_in_rows():
    matrix = confusion_matrix(np.array([[0, 0, 1]]), np.array([[0, 2, 1]]), 3)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
