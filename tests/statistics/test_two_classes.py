"""Precision, recall and thresholds from counts by probability, against scikit-learn on the probabilities themselves."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score

from geocompose.imagery.samples import Target
from geocompose.statistics.two_classes import best_threshold, matrices_at_all, precision_recall
from geocompose.tasks.split_counts import SplitCounts

TWO = Target("segmentation", ("land", "water"), -1)


def counted(seed=0, tiles=4):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (tiles, 9, 9), generator=draw)
    lead = torch.randn(tiles, 9, 9, generator=draw) + 1.2 * labels
    output = torch.stack([-lead / 2, lead / 2], dim=1)
    counts = SplitCounts(TWO, tiles)
    for tile in range(tiles):
        counts.update(output[tile : tile + 1], labels[tile : tile + 1], torch.tensor([tile]))
    known = (labels >= 0).numpy()
    return counts, labels.numpy()[known], lead.double().sigmoid().numpy()[known]


def test_the_counts_at_one_half_are_the_confusion_matrix():
    counts, labels, _ = counted()
    histogram = counts.thresholds_per_tile()
    assert histogram is not None
    assert histogram.sum() == len(labels)
    for tile, matrix in enumerate(counts.per_tile()):
        assert np.array_equal(matrices_at_all(histogram[tile])[50], matrix)


def test_a_tie_is_decided_as_the_model_decides_it():
    counts = SplitCounts(TWO, 1)
    counts.update(torch.zeros(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.long), torch.tensor([0]))
    assert np.array_equal(matrices_at_all(counts.thresholds_per_tile()[0])[50], counts.per_tile()[0])


def test_precision_recall_and_their_average_are_scikit_learns():
    counts, labels, probability = counted()
    curve = precision_recall(counts.thresholds_per_tile().sum(axis=0))
    for place in (20, 50, 73):
        said = np.floor(probability * 100) >= place
        assert curve.precision[place] == pytest.approx(precision_score(labels, said))
        assert curve.recall[place] == pytest.approx(recall_score(labels, said))
    rounded = np.floor(probability * 100)
    assert curve.average == pytest.approx(average_precision_score(labels, rounded), abs=1e-9)


def test_the_best_threshold_has_the_highest_mean_iou_and_is_near_the_middle_where_several_have():
    counts = np.zeros((2, 100))
    counts[0, 10], counts[1, 90] = 50, 50  # any threshold from 0.11 to 0.90 is right
    assert best_threshold(counts) == 50
    counts[0, 60] = 40
    assert 61 <= best_threshold(counts) <= 90


def test_more_than_two_classes_and_numbers_have_no_thresholds():
    assert SplitCounts(Target("segmentation", ("a", "b", "c"), -1), 1).thresholds_per_tile() is None
    assert SplitCounts(Target("multilabel", ("a", "b"), -1), 1).thresholds_per_tile() is None
