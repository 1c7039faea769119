"""task.class_weights=balanced, task.positive_weights=balanced: numbers from the training labels, recorded and said."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from geocompose.errors import UserError
from geocompose.tasks.class_losses import segmentation_loss
from geocompose.training.class_balance import balanced_positive_weights, balanced_weights
from tests.kit.command import SMALL, only_run, record_of, run


def test_the_weights_are_scikit_learns_and_an_absent_class_weighs_one():
    labels = np.repeat([0, 1, 3], [70, 20, 10])
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    assert balanced_weights([70, 20, 0, 10]) == pytest.approx([expected[0], expected[1], 1.0, expected[2]])


def test_all_yes_weigh_as_much_as_all_no():
    assert balanced_positive_weights([2, 0, 10, 8], [10, 10, 10, 9]) == [4.0, 1.0, 1.0, 0.125]


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_a_run_is_that_with_the_numbers_themselves(kind, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL, f"task={kind}", "trainer.max_epochs=1"]
    with caplog.at_level("INFO", "geocompose"):
        run(*small, "study=word", "task.class_weights=balanced")
    word = record_of(only_run("word"))
    counts = next(
        value for key, value in word["data"]["splits"]["train"].items() if key in ("class_pixels", "class_images")
    )
    weights = balanced_weights(list(counts.values()))
    assert word["training"]["class_weights"] == pytest.approx(dict(zip(counts, weights, strict=True)))
    assert "task.class_weights=balanced is n / (classes * n of the class)" in caplog.text
    assert any("balanced" in line for line in map(str, word["said"]))
    absent = [name for name, count in counts.items() if not count]
    assert ("gets the weight 1" in caplog.text) == bool(absent)
    run(*small, "study=numbers", f"task.class_weights={weights}")
    assert record_of(only_run("numbers"))["metrics"] == word["metrics"]
    run(*small, "study=plain")
    assert record_of(only_run("plain"))["metrics"] != word["metrics"]
    assert "class_weights" not in record_of(only_run("plain"))["training"]


def test_yes_and_no_of_labels_are_balanced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "task=multilabel", "trainer.max_epochs=1", "study=a", "task.positive_weights=balanced")
    record = record_of(only_run("a"))
    train = record["data"]["splits"]["train"]
    expected = balanced_positive_weights(
        list(train["class_images"].values()), [train["labelled_images"]] * len(train["class_images"])
    )
    assert list(record["training"]["positive_weights"].values()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task=multilabel", "task.class_weights=balanced"], "positive_weights=balanced, or task.loss=balanced_bce"),
        (["task=multilabel", "task.loss=jaccard", "task.positive_weights=balanced"], "belongs to the loss bce"),
        (["task.class_weights=balanced", "task.loss=dice"], "class_weights belongs to the loss ce or focal"),
        (["task.class_weights=ballanced"], "class_weights"),
        (["task=regression", "task.class_weights=balanced"], "class_weights"),
    ],
)
def test_what_has_no_use_for_it_is_refused(overrides, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "task=regression" in overrides:
        overrides = [overrides[0], f"+{overrides[1]}"]
    with pytest.raises(UserError, match=message):
        run(*SMALL, *overrides)
    assert not (tmp_path / "outputs").exists()


def test_a_loss_alone_does_not_know_the_labels():
    with pytest.raises(UserError, match="computed from training labels, which are not known here"):
        segmentation_loss("ce", 3, -1, "balanced")  # type: ignore[arg-type]
