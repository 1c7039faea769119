"""Which cells are tied with the best one: against known tests, on known truths, and on public results."""

import csv
from collections import defaultdict

import numpy as np
import pytest
from scipy.stats import studentized_range, ttest_ind

from geocompose.errors import UserError
from geocompose.statistics.comparing import simultaneous, tied_by_seeds, tied_with_best
from geocompose.statistics.pooled import Score
from tests.kit.shared import SHARED

MIOU = Score("mIoU", ("land", "water"))


def counts_of(rates, seeds=3, tiles=24, pixels=400, seed=0, vary=0.002):
    """Return the counts of cells that are wrong in a share of their pixels, which varies between their seeds."""
    random = np.random.default_rng(seed)
    found = []
    for rate in rates:
        own = rate + vary * random.standard_normal((seeds, 1, 1))
        wrong = random.binomial(pixels, np.clip(own, 0, 1), (seeds, tiles, 2))
        right = pixels - wrong
        found.append(
            np.stack([np.stack([right[..., 0], wrong[..., 0]], -1), np.stack([wrong[..., 1], right[..., 1]], -1)], -2)
        )
    return found


SCENES = [f"scene {tile // 2}" for tile in range(24)]


def test_what_is_clearly_worse_is_out_and_what_is_equal_stays():
    found = tied_with_best(counts_of([0.1, 0.1, 0.2, 0.1]), SCENES, MIOU)
    assert sorted(found.members) == [0, 1, 3]
    assert found.order[-1] == 2
    assert found.chance == "both"
    assert found.reason == ""
    assert 0.001 < found.smallest_seen < 0.05


def test_a_smaller_difference_is_seen_with_more_seeds():
    few, many = (tied_with_best(counts_of([0.1, 0.12, 0.14], seeds), SCENES, MIOU) for seeds in (3, 10))
    assert many.smallest_seen < few.smallest_seen


def test_one_place_tells_of_other_seeds_alone_and_says_so():
    found = tied_with_best(counts_of([0.1, 0.2]), ["one"] * 24, MIOU)
    assert found.chance == "seeds"
    assert "too few clusters: 1" in found.reason
    assert found.members == (0,)


def test_a_single_seed_tells_nothing_and_all_cells_stay():
    found = tied_with_best(counts_of([0.1, 0.3], seeds=1), SCENES, MIOU)
    assert found.members == (0, 1)
    assert "too few seeds: 2 of 2 cells" in found.reason
    assert np.isnan(found.smallest_seen)


def same_everywhere(wrong, seeds=3):
    """Return the counts of a cell that is wrong in as many pixels of each class and tile, whatever the seed."""
    return np.tile([[400 - wrong, wrong], [wrong, 400 - wrong]], (seeds, 24, 1, 1))


def test_two_perfect_cells_do_not_keep_a_bad_one_from_being_out():
    found = tied_with_best([same_everywhere(0), same_everywhere(0), *counts_of([0.4])], SCENES, MIOU)
    assert sorted(found.members) == [0, 1]
    assert found.chance == "both"
    assert found.pairs[0].limit > 0
    assert np.isfinite(found.smallest_seen)


@pytest.mark.parametrize("wrong", [(0, 0), (10, 10), (10, 20), (0, 10, 20)])
def test_cells_of_which_nothing_varies_are_not_told_apart(wrong):
    found = tied_with_best([same_everywhere(one) for one in wrong], SCENES, MIOU)
    assert sorted(found.members) == list(range(len(wrong)))
    assert found.pairs == ()
    assert "nothing varies" in found.reason


def test_two_equal_constant_cells_are_tied_beside_one_that_varies():
    found = tied_with_best([same_everywhere(10), same_everywhere(10), *counts_of([0.4])], SCENES, MIOU)
    assert sorted(found.members) == [0, 1]


def test_one_place_and_seeds_that_do_not_vary_tell_nothing():
    first, second = (np.repeat(one[:1], 3, axis=0) for one in counts_of([0.1, 0.4]))
    found = tied_with_best([first, second], ["one"] * 24, MIOU)
    assert found.members == (0, 1)
    assert "too few clusters: 1" in found.reason
    assert "no cell's seeds vary" in found.reason


def test_a_class_of_one_scene_alone_leaves_other_seeds_and_one_of_none_leaves_nothing():
    counts = np.zeros((2, 3, 24, 3, 3))
    counts[..., :2, :2] = counts_of([0.1, 0.4])
    absent = tied_with_best(list(counts), SCENES, Score("IoU_reef", ("land", "water", "reef")))
    assert "IoU_reef is not defined" in absent.reason
    counts[:, :, 5, 2, 2] = 50
    alone = tied_with_best(list(counts), SCENES, Score("mIoU", ("land", "water", "reef")))
    assert alone.chance == "seeds"
    assert "one alone has a class" in alone.reason
    assert alone.members == (0,)


def test_cells_must_be_scored_on_the_same_tiles_and_be_two():
    first, second = counts_of([0.1, 0.2])
    with pytest.raises(UserError, match="same tiles"):
        tied_with_best([first, second[:, ::-1] + 1], SCENES, MIOU)
    with pytest.raises(UserError, match="2 or more cells; got 1"):
        tied_by_seeds([[0.1, 0.2]])


@pytest.mark.parametrize("scores", [[[0.7] * 3, [0.8] * 3], [[0.71] * 3, [0.7] * 3, [0.1] * 5]])
def test_seeds_that_do_not_vary_tell_nothing_since_scores_may_be_rounded(scores):
    found = tied_by_seeds(scores)
    assert sorted(found.members) == list(range(len(scores)))
    assert found.pairs == ()
    assert f"the seeds of all {len(scores)} cells do not vary: scores may be rounded" in found.reason


def test_two_cells_whose_seeds_do_not_vary_are_given_the_chance_of_the_others():
    near, far = (tied_by_seeds([[0.8] * 3, [other] * 3, [0.79, 0.81, 0.8]]) for other in (0.801, 0.2))
    assert sorted(near.members) == [0, 1, 2]
    assert sorted(far.members) == [0, 2]


def test_scores_that_are_no_finite_numbers_are_refused():
    with pytest.raises(UserError, match=r"finite numbers; got \[0.3, nan\] of cell 1"):
        tied_by_seeds([[0.1, 0.2], [0.3, float("nan")]])


@pytest.mark.parametrize("seed", range(6))
def test_two_cells_are_compared_by_welchs_test(seed):
    random = np.random.default_rng(seed)
    first, second = random.normal(0.70, 0.02, 5), random.normal(0.73, 0.01, 4)
    found = tied_by_seeds([first, second])
    assert found.pairs[0].differ == (ttest_ind(first, second, equal_var=False).pvalue < 0.05)
    at_its_limit = ttest_ind(first - first.mean() + found.pairs[0].limit, second - second.mean(), equal_var=False)
    assert at_its_limit.pvalue == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("cells", [3, 12, 96])
def test_the_largest_of_all_differences_is_scipys_studentised_range(cells):
    for df in (1.7, 9.3, 60.0):
        probability = studentized_range.cdf(np.sqrt(2) * float(simultaneous(0.95, df, cells)), cells, df)
        assert probability == pytest.approx(0.95, abs=1e-3)


def test_less_is_better_of_errors():
    found = tied_by_seeds([[3.0, 3.1, 2.9], [1.0, 1.1, 0.9], [1.0, 1.05, 0.95]], higher=False)
    assert sorted(found.members) == [1, 2]


@pytest.mark.parametrize(
    ("cells", "seeds", "deviations"), [(8, 3, (1.0,)), (8, 5, (1.0, 3.0)), (18, 5, (0.3, 1.0, 3.0))]
)
def test_equal_cells_are_rarely_put_out_whatever_their_deviations(cells, seeds, deviations):
    random = np.random.default_rng(1)
    scale = np.resize(deviations, cells)[:, None]
    studies = 200
    out = sum(
        len(tied_by_seeds(scale * random.standard_normal((cells, seeds))).members) < cells for _ in range(studies)
    )
    assert out / studies < 0.06 + 2 * np.sqrt(0.06 * 0.94 / studies)


def test_the_first_two_ranks_of_geobench2_differ_on_10_of_19_data_sets():
    path = SHARED / "data" / "geobench2" / "full_finetuning.csv"
    if not path.is_file():
        pytest.skip("needs the public per-seed results of GEO-Bench-2 (../shared/data/geobench2)")
    scores = defaultdict(lambda: defaultdict(list))
    with path.open() as file:
        for row in csv.DictReader(file):
            scores[row["dataset"]][row["backbone"]].append(float(row["test metric"]))
    assert len(scores) == 19
    differ, groups = 0, {}
    for name, cells in scores.items():
        ranked = sorted(cells.values(), key=np.mean, reverse=True)
        differ += tied_by_seeds(ranked[:2]).pairs[0].differ
        groups[name] = len(tied_by_seeds(ranked).members)
    assert differ == 10
    assert groups["kuro_siwo"] > 10
    assert groups["flair2"] == 1
