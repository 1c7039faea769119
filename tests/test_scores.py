import math
from dataclasses import replace
from typing import get_args

import hydra.utils
import numpy as np
import pytest
import yaml
from sklearn.metrics import f1_score, mean_absolute_error, mean_squared_error, r2_score

from geocompose.imagery.samples import Kind, Target
from geocompose.scores import (
    MANY_SCORES,
    SCORES,
    better,
    confusion_matrix,
    from_confusion,
    image_scores_from_confusion,
    multilabel_counts,
    multilabel_scores,
    regression_scores,
    regression_sums,
    scores_of,
)
from tests.kit.places import CONF


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


# Images


def test_scores_of_images_are_those_of_pixels_without_iou():
    matrix = np.array([[50, 10], [20, 20]])
    scores = image_scores_from_confusion(matrix, ["land", "water"])
    expected = from_confusion(matrix, ["land", "water"])
    assert list(scores) == ["F1_macro", "accuracy_micro", "accuracy_macro", "classes_present", "F1_land", "F1_water"]
    assert all(scores[name] == expected[name] for name in scores)


def labelled_images() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.integers(0, 2, (40, 3)), draw.integers(0, 2, (40, 3))


def test_scores_of_labels_are_scikit_learns():
    truth, said = labelled_images()
    scores = multilabel_scores(multilabel_counts(truth, said), ["a", "b", "c"])
    assert scores["F1_macro"] == pytest.approx(f1_score(truth, said, average="macro"))
    assert scores["F1_micro"] == pytest.approx(f1_score(truth, said, average="micro"))
    assert [scores[f"F1_{name}"] for name in "abc"] == pytest.approx(f1_score(truth, said, average=None))
    assert scores["accuracy_micro"] == pytest.approx((truth == said).mean())
    assert scores["classes_present"] == 3


def test_unknown_labels_count_nowhere():
    truth, said = labelled_images()
    truth[:10, 1] = -1
    counts = multilabel_counts(truth, said)
    assert counts.dtype == np.int64
    assert counts.sum(axis=(1, 2)).tolist() == [40, 30, 40]
    assert np.array_equal(counts[1], multilabel_counts(truth[10:], said[10:])[1])
    assert counts[1, 1, 0] == ((truth[:, 1] == 1) & (said[:, 1] == 0)).sum(), "rows are the truth"


def test_a_class_that_no_image_has_is_nan_and_leaves_the_mean():
    counts = np.array([[[3, 1], [0, 4]], [[5, 3], [0, 0]]])
    scores = multilabel_scores(counts, ["a", "b"])
    assert math.isnan(scores["F1_b"])
    assert scores["F1_macro"] == scores["F1_a"] == pytest.approx(8 / 9)
    assert scores["F1_micro"] == pytest.approx(8 / (4 + 8))
    assert scores["classes_present"] == 1
    empty = multilabel_scores(np.zeros((2, 2, 2), dtype=int), ["a", "b"])
    assert all(math.isnan(value) for name, value in empty.items() if name != "classes_present")


# Numbers


def measured() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    truth = draw.normal(loc=[300.0, 0.0], scale=[20.0, 1.0], size=(500, 2))
    return truth, truth + draw.normal(loc=[3.0, 0.1], scale=[10.0, 0.5], size=(500, 2))


def test_scores_of_numbers_are_scikit_learns():
    truth, said = measured()
    scores = regression_scores(regression_sums(truth[:, :1], said[:, :1]), ["height"])
    assert list(scores) == ["RMSE", "MAE", "R2"]
    assert scores["RMSE"] == pytest.approx(mean_squared_error(truth[:, 0], said[:, 0]) ** 0.5)
    assert scores["MAE"] == pytest.approx(mean_absolute_error(truth[:, 0], said[:, 0]))
    assert scores["R2"] == pytest.approx(r2_score(truth[:, 0], said[:, 0]))


def test_several_variables_have_scores_of_their_own_and_their_mean():
    truth, said = measured()
    both = regression_scores(regression_sums(truth, said), ["height", "age"])
    for place, name in enumerate(["height", "age"]):
        own = regression_scores(regression_sums(truth[:, [place]], said[:, [place]]), [name])
        assert all(both[f"{key}_{name}"] == pytest.approx(value) for key, value in own.items())
    assert both["RMSE"] == pytest.approx((both["RMSE_height"] + both["RMSE_age"]) / 2)


def test_sums_of_parts_are_the_sums_of_the_whole_and_nan_counts_nowhere():
    truth, said = measured()
    truth[:100, 0] = np.nan
    whole = regression_sums(truth, said)
    assert whole[:, 0].tolist() == [400, 500]
    np.testing.assert_allclose(
        sum(regression_sums(truth[i : i + 50], said[i : i + 50]) for i in range(0, 500, 50)), whole
    )
    np.testing.assert_allclose(whole[0], regression_sums(truth[100:], said[100:])[0])


def test_r2_of_a_constant_truth_is_undefined():
    said = np.random.default_rng(2).normal(size=(1000, 1))
    scores = regression_scores(regression_sums(np.full((1000, 1), 0.1), said), ["x"])
    assert math.isnan(scores["R2"])
    assert scores["RMSE"] > 0


def test_r2_of_large_numbers_that_vary_little_is_right():
    draw = np.random.default_rng(3)
    truth = 1e4 + draw.normal(size=(2000, 1))
    said = truth + 0.5 * draw.normal(size=(2000, 1))
    assert regression_scores(regression_sums(truth, said), ["x"])["R2"] == pytest.approx(
        r2_score(truth, said), abs=1e-6
    )


def test_a_variable_without_label_leaves_the_means():
    truth, said = measured()
    truth[:, 1] = np.nan
    scores = regression_scores(regression_sums(truth, said), ["height", "age"])
    assert math.isnan(scores["RMSE_age"])
    assert scores["RMSE"] == scores["RMSE_height"]
    nothing = regression_scores(np.zeros((1, 6)), ["x"])
    assert all(math.isnan(value) for value in nothing.values())


def test_every_kind_of_target_has_its_scores():
    assert set(SCORES) == set(get_args(Kind))


def test_the_union_counts_a_class_that_is_predicted_alone():
    scores = from_confusion(np.array([[6, 0, 2], [0, 4, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert scores["mIoU_union"] == pytest.approx((6 / 8 + 1 + 0) / 3)
    assert scores["mIoU"] == pytest.approx((6 / 8 + 1) / 2)
    everywhere = from_confusion(np.array([[6, 2], [1, 4]]), ["a", "b"])
    assert everywhere["mIoU_union"] == everywhere["mIoU"]


def test_a_class_that_is_nowhere_counts_0_among_all_and_not_in_the_union():
    matrix, names = np.array([[6, 2, 0], [1, 4, 0], [0, 0, 0]]), ["a", "b", "c"]
    scores = from_confusion(matrix, names)
    assert scores["mIoU_all"] == pytest.approx((6 / 9 + 4 / 7 + 0) / 3)
    assert scores["mIoU_union"] == pytest.approx((6 / 9 + 4 / 7) / 2)
    # As PANGAEA computes it: intersections over unions, a union of nothing being 1e-6.
    right, union = np.diag(matrix), matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    assert scores["mIoU_all"] == pytest.approx((right / (union + 1e-6)).mean(), abs=1e-6)


def test_the_union_is_what_torchmetrics_calls_miou():
    torchmetrics = pytest.importorskip("torchmetrics")
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(3)
    truth, said = draw.integers(0, 3, 500), draw.integers(0, 5, 500)  # 3 and 4 are predicted only, 5 is nowhere
    peer = torchmetrics.JaccardIndex("multiclass", num_classes=6, average="macro")
    expected = float(peer(torch.from_numpy(said), torch.from_numpy(truth)))
    scores = from_confusion(confusion_matrix(truth, said, 6), list("abcdef"))
    assert scores["mIoU_union"] == pytest.approx(expected, abs=1e-6)
    assert scores["mIoU"] != pytest.approx(expected, abs=0.01)


def test_errors_of_several_variables_are_compared_in_training_deviations():
    target = Target("regression", ("tonnes", "share"), mean=(0.0, 0.0), std=(1.0, 1.0), deviation=(200.0, 0.1))
    truth = np.array([[100.0, 0.2], [300.0, 0.4]])
    error = np.array([[20.0, 0.05], [-20.0, -0.05]])
    scores = scores_of(regression_sums(truth, truth + error), target)
    assert scores["nRMSE"] == pytest.approx((20 / 200 + 0.05 / 0.1) / 2)
    assert "nRMSE" not in scores_of(regression_sums(truth[:, :1], truth[:, :1]), replace(target, names=("tonnes",)))
    steady = scores_of(regression_sums(truth, truth + 1), replace(target, deviation=(200.0, 0.0)))
    assert steady["nRMSE"] == pytest.approx(1 / 200)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_of_every_metric_it_is_known_which_values_are_better(kind):
    of_numbers = dict.fromkeys(("regression", "scalar_regression", "reconstruction"), (2, 6))
    number = {"multilabel": (2, 2, 2), **of_numbers}.get(kind, (2, 2))
    names = [*SCORES[kind](np.zeros(number), ("RMSE", "mIoU_x")), "loss", "ECE", "scene_mIoU", "nRMSE"]
    found = {name: better(f"test/{name}") for name in names}
    assert found.pop("classes_present", None) is None
    errors = ("RMSE", "MAE", "nRMSE", "loss", "ECE")
    assert found == {name: "lower" if name.split("_")[0] in errors else "higher" for name in found}
    assert {name: better(name) for name in found} == found


def test_a_metric_of_ones_own_has_no_direction():
    assert better("val/my_score") is None


@pytest.mark.parametrize("name", get_args(Kind))
def test_tasks_select_their_best_epoch_in_the_direction_of_their_metric(name):
    task = hydra.utils.get_class(yaml.safe_load((CONF / "task" / f"{name}.yaml").read_text())["_target_"])
    metric, mode = task.selection
    assert {"max": "higher", "min": "lower"}[mode] == better(metric)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_scores_of_many_counts_at_once_are_those_of_each(kind):
    random, names = np.random.default_rng(0), ("a", "b", "c")
    inner = {"multilabel": (3, 2, 2), "segmentation": (3, 3), "classification": (3, 3)}.get(kind, (3, 6))
    counts = random.integers(1, 40, (2, 4, *inner)).astype(float)
    counts[0, 0], counts[0, 1, 0], counts[0, 2, ..., 1] = 0, 0, 0  # nothing at all, an absent class, one never said
    found = MANY_SCORES[kind](counts, names)
    for place in np.ndindex(2, 4):
        alone = SCORES[kind](counts[place], names)
        assert {name: float(values[place]) for name, values in found.items()} == pytest.approx(alone, nan_ok=True)
