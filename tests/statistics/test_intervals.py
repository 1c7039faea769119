"""Intervals on cases whose answer is known: closed forms, and what can't be told."""

import numpy as np
import pytest
from scipy import stats

from geocompose.errors import UserError
from geocompose.scores import from_confusion, regression_sums
from geocompose.statistics.intervals import difference, estimate
from geocompose.statistics.pooled import Score

WATER = Score("mIoU", ("land", "water"))
ACCURACY = Score("accuracy_micro", ("land", "water"))
EVERY = ("interval", "on_these_tiles", "of_these_models")


def tile(right: float, wrong: float) -> np.ndarray:
    """Return counts of a tile whose half is water: right and wrong pixels of each class."""
    return np.array([[right, wrong], [wrong, right]])


def equal_tiles(errors) -> np.ndarray:
    """Return counts (seeds, tiles, 2, 2) of tiles with 100 pixels per class; accuracy is 1 - errors / 100."""
    return np.array([[tile(100 - wrong, wrong) for wrong in seed] for seed in errors])


def drawn(seeds: int, tiles: int, random=None) -> np.ndarray:
    random = random or np.random.default_rng(0)
    hard = random.normal(20, 4, tiles)
    errors = hard + random.normal(0, 2, (seeds, 1)) + random.normal(0, 1, (seeds, tiles))
    return equal_tiles(np.round(errors))


def half(interval) -> float:
    return (interval.high - interval.low) / 2


def on_logits(share, half):
    """Return the limits of a share whose half width is taken on the logit scale."""
    logit, width = np.log(share / (1 - share)), half / (share * (1 - share))
    return 1 / (1 + np.exp(width - logit)), 1 / (1 + np.exp(-width - logit))


def test_the_mean_is_the_mean_over_seeds_of_scores_of_pooled_counts():
    counts = drawn(3, 8)
    expected = np.mean([from_confusion(seed.sum(axis=0), WATER.names)["mIoU"] for seed in counts])
    assert estimate(counts, range(8), WATER).mean == pytest.approx(expected)


def test_a_model_without_chance_on_equal_tiles_has_students_interval_of_a_mean():
    errors = [[45, 47, 52, 48, 44, 54]]
    found = estimate(equal_tiles(errors)[0], range(6), ACCURACY)
    low, high = on_logits(1 - np.mean(errors) / 100, stats.t.ppf(0.975, 5) * stats.sem(errors[0]) / 100)
    # Not to the last digit: tiles with more errors weigh a little more.
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), rel=2e-3)
    assert found.effective_clusters == pytest.approx(6, rel=1e-2)
    assert not found.on_these_tiles.known
    assert "no chance" in found.on_these_tiles.reason


def test_on_these_tiles_is_students_interval_over_seeds():
    counts = drawn(5, 8)
    found = estimate(counts, range(8), ACCURACY).on_these_tiles
    scores = [np.trace(seed.sum(axis=0)) / seed.sum() for seed in counts]
    expected = on_logits(np.mean(scores), stats.t.ppf(0.975, 4) * stats.sem(scores))
    assert (found.low, found.high) == pytest.approx(expected)


def test_equal_clusters_have_the_two_way_variance():
    """The textbook's mean squares: (MS seeds + MS clusters - MS interaction) / (S G)."""
    seeds, tiles = 6, 9
    counts = drawn(seeds, tiles)
    accuracy = np.trace(counts, axis1=2, axis2=3) / 200
    of_seeds = tiles * accuracy.mean(axis=1).var(ddof=1)
    of_tiles = seeds * accuracy.mean(axis=0).var(ddof=1)
    rest = accuracy - accuracy.mean(axis=0) - accuracy.mean(axis=1, keepdims=True) + accuracy.mean()
    both = (rest**2).sum() / ((seeds - 1) * (tiles - 1))
    variance = (of_seeds + of_tiles - both) / (seeds * tiles)
    a, b = (of_seeds - both) / (seeds * tiles), of_tiles / (seeds * tiles)
    df = variance**2 / (a**2 / (seeds - 1.6) + b**2 / (tiles - 1))
    found = estimate(counts, range(tiles), ACCURACY)
    expected = on_logits(accuracy.mean(), stats.t.ppf(0.975, df) * np.sqrt(variance))
    assert (found.interval.low, found.interval.high) == pytest.approx(expected, rel=1e-3)
    assert found.seeds_share == pytest.approx(a / variance, rel=5e-3)


def test_copies_of_a_tile_in_its_cluster_change_nothing():
    counts = drawn(5, 6)
    once = estimate(counts, list("abcdef"), WATER)
    copied = estimate(np.repeat(counts, 10, axis=1), np.repeat(list("abcdef"), 10), WATER)
    assert half(copied.interval) == pytest.approx(half(once.interval), rel=1e-6)
    as_if_new = estimate(np.repeat(counts, 10, axis=1), range(60), WATER)
    assert half(as_if_new.of_these_models) < 0.4 * half(once.of_these_models)


def test_neither_the_order_of_tiles_nor_names_of_clusters_nor_empty_tiles_matter():
    counts, labels = drawn(4, 12), np.repeat(list("abcdef"), 2)
    order = np.random.default_rng(1).permutation(12)
    found = estimate(counts, labels, WATER)
    other = estimate(
        np.concatenate([counts[:, order], np.zeros((4, 2, 2, 2))], axis=1),
        [f"scene {label}" for label in labels[order]] + ["empty", "scene a"],
        WATER,
    )
    assert (other.mean, other.interval.low, other.clusters) == pytest.approx((found.mean, found.interval.low, 6))


def test_a_difference_to_itself_has_the_seeds_chance_alone():
    counts = drawn(5, 12)
    found = difference(counts, counts[0], range(12), WATER)
    alone = estimate(counts, range(12), WATER)
    assert half(found.interval) < half(alone.interval)
    assert half(found.on_these_tiles) == pytest.approx(half(alone.on_these_tiles), rel=0.01)


def test_a_difference_is_of_paired_tiles_and_of_unpaired_seeds():
    first = drawn(5, 12)
    second = first[:4] + np.random.default_rng(5).integers(1, 3, (4, 12, 1, 1)) * np.array([[1, -1], [-1, 1]])
    found = difference(first, second, range(12), WATER)
    assert found.mean == pytest.approx(estimate(first, range(12), WATER).mean - estimate(second, range(12), WATER).mean)
    assert half(found.of_these_models) < 0.3 * half(estimate(first, range(12), WATER).of_these_models)
    # Equal seeds are no pairs: what both have in common over seeds does not cancel.
    same = difference(first, first, range(12), WATER)
    assert same.mean == 0
    assert half(same.on_these_tiles) > half(estimate(first, range(12), WATER).on_these_tiles)
    back = difference(second, first, range(12), WATER)
    assert (back.mean, back.interval.low) == pytest.approx((-found.mean, -found.interval.high))


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_fewer_than_five_clusters_are_too_few_but_these_tiles_can_be_told_of(number):
    found = estimate(drawn(5, 12), [i % number for i in range(12)], WATER)
    assert not found.interval.known
    assert found.interval.reason.startswith(f"too few clusters: {number}")
    assert not found.of_these_models.known
    assert found.on_these_tiles.known
    assert str(found.interval) == found.interval.reason


def test_one_cluster_with_nearly_everything_is_too_few_however_many_others_there_are():
    counts = drawn(5, 10)
    counts[:, 0] *= 500
    found = estimate(counts, range(10), WATER)
    assert "worth 2.0 equal ones" in found.interval.reason


def test_one_seed_is_too_few_but_its_model_can_be_told_of():
    found = estimate(drawn(1, 12), range(12), WATER)
    assert found.interval.reason.startswith("too few seeds: 1")
    assert found.on_these_tiles.reason.startswith("too few seeds: 1")
    assert found.of_these_models.known


def test_two_seeds_give_a_wide_interval_that_holds_both_parts():
    found = estimate(drawn(2, 12), range(12), WATER)
    assert half(found.interval) > max(half(found.on_these_tiles), half(found.of_these_models))


def test_the_same_score_everywhere_is_nothing_to_go_by():
    found = estimate(equal_tiles(np.zeros((3, 6))), range(6), WATER)
    assert found.mean == 1
    assert all("nothing varies" in getattr(found, name).reason for name in EVERY)


def with_rare(where: list[int], tiles: int = 8) -> np.ndarray:
    """Return counts (4, tiles, 3, 3) whose third class is in some tiles only."""
    random = np.random.default_rng(2)
    counts = np.zeros((4, tiles, 3, 3))
    counts[:, :, :2, :2] = drawn(4, tiles, random)
    for place in where:
        right = random.integers(20, 40, 4)
        counts[:, place, 2, 2], counts[:, place, 2, 0] = right, 40 - right
    return counts


RARE = ("land", "water", "reef")


@pytest.mark.parametrize("metric", ["mIoU", "IoU_reef", "F1_macro", "accuracy_macro"])
def test_a_class_of_one_cluster_alone_is_too_few_for_all_that_is_made_of_it(metric):
    found = estimate(with_rare([5]), range(8), Score(metric, RARE))
    assert found.interval.reason.startswith("too few clusters: 5 alone")
    assert found.on_these_tiles.known


@pytest.mark.parametrize("metric", ["accuracy_micro", "IoU_land", "F1_water"])
def test_what_is_not_made_of_the_class_has_its_interval(metric):
    assert estimate(with_rare([5]), range(8), Score(metric, RARE)).interval.known


def test_a_class_of_few_clusters_makes_them_count_for_fewer():
    few, many = (estimate(with_rare(where), range(8), Score("IoU_reef", RARE)) for where in ([0, 3], list(range(8))))
    assert few.effective_clusters < 2.1
    assert not few.interval.known
    assert many.effective_clusters > 7
    assert many.interval.known


def test_a_class_that_no_tile_has_takes_no_part():
    absent = with_rare([])
    found = estimate(absent, range(8), Score("mIoU", RARE))
    assert found.interval.known
    assert found.mean == pytest.approx(estimate(absent[..., :2, :2], range(8), WATER).mean)
    reef = estimate(absent, range(8), Score("IoU_reef", RARE))
    assert np.isnan(reef.mean)
    assert all("not defined" in getattr(reef, name).reason for name in EVERY)


def test_an_rmse_comes_from_pooled_sums():
    random = np.random.default_rng(3)
    truth = random.normal(5, 2, (10, 50, 1))
    said = truth + random.normal(0, 1, (3, 10, 50, 1)) * np.linspace(0.5, 1.5, 10)[:, None, None]
    sums = np.array([[regression_sums(truth[t], seed[t]) for t in range(10)] for seed in said])
    found = estimate(sums, range(10), Score("RMSE", ("height",), "regression"))
    assert found.mean == pytest.approx(np.mean([np.sqrt(((seed - truth) ** 2).mean()) for seed in said]))
    # By hand: the part of tile t is (its mean square - all tiles' mean square) / (2 RMSE), on tiles of equal size.
    squares = ((said - truth) ** 2).mean(axis=(2, 3))
    parts = ((squares - squares.mean(axis=1, keepdims=True)) / (2 * np.sqrt(squares.mean(axis=1, keepdims=True)))).mean(
        0
    )
    by_hand = np.sqrt((parts**2).sum() / (10 * 9))
    df = found.effective_clusters - 1
    assert half(found.of_these_models) == pytest.approx(stats.t.ppf(0.975, df) * by_hand, rel=0.03)


def test_labels_of_images_have_intervals_too():
    counts = np.random.default_rng(4).integers(5, 20, (3, 9, 2, 2, 2)).astype(float)
    counts[1:, :, :, :, :] = counts[0]
    counts[1, :, :, 0, 0] += 1
    counts[1, :, :, 0, 1] -= 1
    found = estimate(counts, range(9), Score("F1_macro", ("a", "b"), "multilabel"))
    assert found.interval.known


def test_limits_of_a_share_stay_within_0_and_1_and_the_side_with_more_room_is_longer():
    errors = [[0, 0, 1, 0, 30], [0, 1, 0, 0, 33], [1, 0, 0, 0, 35]]
    found = estimate(equal_tiles(errors), range(5), ACCURACY)
    assert 0 < found.interval.low < found.mean < found.interval.high < 1
    assert found.mean - found.interval.low > 2 * (found.interval.high - found.mean)


def test_an_iou_of_a_mean_is_as_wide_as_alone_where_all_others_are_perfect():
    """MOVER's check: of two classes with one that never varies, the mean's margins are half of the other's."""
    random = np.random.default_rng(6)
    counts = np.zeros((4, 8, 3, 3))
    counts[..., 0, 0], counts[..., 2, 2], counts[..., 2, 1] = 1000, 300, 0
    wrong = random.integers(20, 60, (4, 8))
    counts[..., 1, 1], counts[..., 1, 2] = 100 - wrong, wrong
    names = ("sure", "hard", "other")
    mean, hard, other = (estimate(counts, range(8), Score(m, names)) for m in ("mIoU", "IoU_hard", "IoU_other"))
    margins = [one.mean - one.interval.low for one in (mean, hard, other)]
    assert margins[0] == pytest.approx((margins[1] + margins[2]) / 3, rel=0.02)  # both err by the same pixels


def test_a_higher_level_is_a_wider_interval():
    counts = drawn(5, 12)
    halves = [half(estimate(counts, range(12), WATER, level=level).interval) for level in (0.8, 0.95, 0.99)]
    assert halves == sorted(halves)


@pytest.mark.parametrize(
    ("counts", "clusters", "said"),
    [
        (np.full((2, 6, 2, 2), np.nan), range(6), "finite"),
        (np.full((2, 6, 2, 2), -1.0), range(6), "0 or more"),
        (np.ones((2, 6, 3, 3)), range(6), r"\(seeds, tiles, 2, 2\)"),
        (np.ones((0, 6, 2, 2)), range(6), r"got \(0, 6, 2, 2\)"),
        (np.ones((2, 6, 2, 2)), range(5), "5 labels for 6 tiles"),
        (np.ones((2, 6, 2, 2)), [1, 2, None, 4, "", float("nan")], "3 tiles have none, first tile 2"),
    ],
)
def test_what_does_not_fit_together_is_refused(counts, clusters, said):
    with pytest.raises(UserError, match=said):
        estimate(counts, list(clusters), WATER)


def test_other_tiles_are_refused_by_their_labels():
    counts = drawn(2, 6)
    counts[1, 3] = [[90, 20], [5, 95]]
    with pytest.raises(UserError, match="1 of 6 tiles differ, first of tile 3"):
        estimate(counts, range(6), WATER)
    with pytest.raises(UserError, match="tile 3"):
        difference(counts[0], counts[1], range(6), WATER)
    with pytest.raises(UserError, match="6 and 5 tiles"):
        difference(counts[0], counts[0, :5], range(6), WATER)


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'mIoU'"):
        Score("miou", ("a", "b"))


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_is_a_share(level):
    with pytest.raises(UserError, match="between 0 and 1"):
        estimate(drawn(2, 6), range(6), WATER, level=level)
