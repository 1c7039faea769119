"""What explains scores: known shares are found, and their intervals hold them."""

import itertools

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.statistics.factors import Scores, explained

BACKBONES, DECODERS, METHODS = (0.0, 0.02, 0.05, 0.09), (0.0, 0.03, -0.02, 0.01), (0.0, 0.01)
CELLS = [
    {"backbone": str(b), "decoder": str(d), "peft": str(p)}
    for b, d, p in itertools.product(range(4), range(4), range(2))
]
MEANS = np.array([BACKBONES[int(c["backbone"])] + DECODERS[int(c["decoder"])] + METHODS[int(c["peft"])] for c in CELLS])


def truth(deviation):
    squares = {"backbone": np.var(BACKBONES), "decoder": np.var(DECODERS), "peft": np.var(METHODS), "interactions": 0.0}
    squares["seed"] = deviation**2 * (len(CELLS) - 1) / len(CELLS)
    whole = sum(squares.values())
    return {name: value / whole for name, value in squares.items()}


def drawn(deviation, random, seeds=3):
    return [Scores(mean + deviation * random.standard_normal(seeds)) for mean in MEANS]


def test_shares_are_those_of_the_truth_and_sum_to_one():
    random = np.random.default_rng(0)
    found = explained(CELLS, drawn(0.01, random, seeds=40))
    assert list(found) == ["backbone", "decoder", "peft", "interactions", "seed"]
    assert sum(one.share for one in found.values()) == pytest.approx(1)
    for name, share in truth(0.01).items():
        assert found[name].share == pytest.approx(share, abs=0.02)


def test_intervals_hold_the_truth():
    random, studies = np.random.default_rng(1), 40
    held = dict.fromkeys(("backbone", "decoder", "seed"), 0)
    for _ in range(studies):
        found = explained(CELLS, drawn(0.02, random))
        for name in held:
            interval = found[name].interval
            held[name] += interval.low <= truth(0.02)[name] <= interval.high
    # 95 % of 40, less two and a half standard errors of that count
    assert min(held.values()) >= 34, held


def test_chance_among_seeds_is_no_effect():
    random = np.random.default_rng(2)
    shares = [
        explained(CELLS, [Scores(0.02 * random.standard_normal(3)) for _ in CELLS])["backbone"].share for _ in range(10)
    ]
    assert np.mean(shares) < 0.08  # without taking chance off: 3 degrees of freedom of 31, a third of each seed's


def test_refused_cells_and_factors_that_go_together_are_shared_out():
    kept = [place for place, cell in enumerate(CELLS) if (cell["backbone"], cell["decoder"]) != ("3", "1")]
    random = np.random.default_rng(3)
    scores = drawn(0.005, random)
    found = explained([CELLS[place] for place in kept], [scores[place] for place in kept])
    assert found["backbone"].share > found["decoder"].share > found["peft"].share
    twice = [cell | {"again": cell["backbone"]} for cell in CELLS]
    shared = explained(twice, scores)
    assert shared["again"].share == pytest.approx(shared["backbone"].share)


def test_a_rate_with_many_values_is_a_curve_and_explains_no_more_than_it_can():
    random = np.random.default_rng(4)
    rates = 10 ** random.uniform(-5, -2, 24)
    cells = [{"optimizer.lr": float(rate), "decoder": str(place % 2)} for place, rate in enumerate(rates)]
    scores = [Scores(np.array([0.1 * (place % 2), 0.1 * (place % 2) + 1e-3])) for place in range(24)]
    found = explained(cells, scores)
    assert found["decoder"].share > 0.85
    assert found["optimizer.lr"].share < 0.15


def test_one_seed_of_each_cell_is_refused_since_chance_looks_like_an_effect():
    with pytest.raises(UserError, match="two seeds or more of some compositions"):
        explained(CELLS, [Scores(np.array([mean])) for mean in MEANS])
    one = [Scores(np.array([mean])) for mean in MEANS[1:]]
    assert "seed" in explained(CELLS, [Scores(MEANS[0] + np.array([-0.01, 0.01])), *one])


def test_too_little_is_refused():
    with pytest.raises(UserError, match="3 or more cells"):
        explained(CELLS[:2], drawn(0.01, np.random.default_rng(0))[:2])
    with pytest.raises(UserError, match="same factors"):
        explained([*CELLS[:3], {"other": "a"}], drawn(0.01, np.random.default_rng(0))[:4])
