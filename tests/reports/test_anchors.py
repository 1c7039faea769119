"""Runs held against published results: what counts, what a verdict rests on, and what it says."""

import numpy as np
import pytest

from geocompose.catalog.anchors import ANCHORS, TOLERANCE
from geocompose.reports.anchors import held_against
from geocompose.runs import load_rules
from geocompose.studies.reading import read_studies
from tests.kit.made_studies import made_run
from tests.kit.places import CONF

VOLATILE = load_rules(CONF).volatile
NAME = "peft_paper_sen1floods11 backbone=prithvi_eo_v2_300 peft=lora"
(ANCHOR,) = (anchor for anchor in ANCHORS if anchor.name == NAME)
TYPED = (f"experiment={ANCHOR.experiment}", "data.root=/d", "study=anchors", "launcher.workers=2", "trainer.devices=1")


def run(study, seed, value, *typed, **more):
    made = {
        "choices": {"experiment": ANCHOR.experiment, "decoder": "linear", **ANCHOR.choices},
        "seeds": {"seed": seed, "data.seed": 0},
        "data": {"name": "sen1floods11", "target": {"names": ["not_water", "water"]}},
        "metrics": {ANCHOR.metric: value, "val/mIoU": value},
    }
    identity = f"{len(list(study.glob('*'))) if study.exists() else 0:010x}"
    return made_run(study, identity, *TYPED, f"seed={seed}", *typed, **(made | more))


def held(study):
    found = held_against(read_studies([study]).runs.values(), VOLATILE)
    assert [one.anchor for one in found] == list(ANCHORS)
    return next(one for one in found if one.name == NAME)


def test_without_a_run_every_anchor_is_not_run_and_says_so():
    found = held_against([], VOLATILE)
    assert {one.verdict for one in found} == {"not run"}
    assert all(one.why.startswith(f"no data here: no run has experiment={one.anchor.experiment}") for one in found)
    assert any(one.source == "arXiv 2412.04204, table 5 (second-hand)" for one in found)


@pytest.mark.parametrize(("off", "verdict"), [(0.0, "reproduced"), (-0.019, "reproduced"), (-0.021, "not reproduced")])
def test_the_mean_over_seeds_is_held_against_the_tolerance(tmp_path, off, verdict):
    for seed, wide in enumerate((-0.05, 0.0, 0.05)):
        run(tmp_path, seed, ANCHOR.value + off + wide)
    one = held(tmp_path)
    assert one.verdict == verdict
    assert one.ours == pytest.approx(ANCHOR.value + off)
    assert (one.published, one.seeds) == (ANCHOR.value, (0, 1, 2))
    assert f"{abs(off):.4f}" in one.why
    assert (ANCHOR.reasons[0] in one.why) is (verdict == "not reproduced")
    assert ANCHOR.tolerance == TOLERANCE


def test_one_seed_is_said_to_tell_little(tmp_path):
    run(tmp_path, 0, ANCHOR.value)
    assert held(tmp_path).why.endswith("One seed tells little: 3 or more do")


def test_the_published_spread_widens_the_tolerance():
    wide = next(one for one in ANCHORS if one.spread is not None and one.spread > TOLERANCE / 2)
    assert wide.tolerance == 2 * wide.spread


def test_runs_that_changed_what_is_pinned_do_not_count(tmp_path):
    run(tmp_path, 0, ANCHOR.value, "trainer.max_epochs=1")
    one = held(tmp_path)
    assert (one.verdict, one.ours) == ("not run", None)
    assert one.why == "1 run here, changed in what it pins: trainer.max_epochs"
    run(tmp_path, 1, ANCHOR.value + 0.01)
    assert held(tmp_path).seeds == (1,)


@pytest.mark.parametrize(
    "more", [{"status": "failed", "error": "lost"}, {"metrics": {ANCHOR.metric: float("nan"), "val/mIoU": 0.5}}]
)
def test_runs_without_the_metric_do_not_count(tmp_path, more):
    run(tmp_path, 0, ANCHOR.value, **more)
    assert held(tmp_path).why == f"1 run here, none finished with a {ANCHOR.metric}"


def test_runs_of_another_option_are_of_another_anchor(tmp_path):
    choices = {"experiment": ANCHOR.experiment, "backbone": "prithvi_eo_v2_300", "peft": "none"}
    run(tmp_path, 0, ANCHOR.value, choices=choices)
    assert held(tmp_path).verdict == "not run"


def test_runs_of_different_weights_are_no_result_together(tmp_path):
    for seed, digest in enumerate(("a" * 64, "b" * 64)):
        run(tmp_path, seed, ANCHOR.value, "backbone.ckpt_path=x.pt", weights={"source": "x.pt", "sha256": digest})
    one = held(tmp_path)
    assert (one.verdict, one.ours) == ("not run", None)
    assert one.why == f"2 runs here, of different weights: sha256 {'a' * 12}, {'b' * 12}"


def test_of_searched_rates_those_that_validate_best_count(tmp_path):
    for seed in (0, 1):
        run(tmp_path, seed, ANCHOR.value, "optimizer.lr=1e-3", metrics={ANCHOR.metric: 0.95, "val/mIoU": 0.80})
        run(tmp_path, seed, ANCHOR.value, "optimizer.lr=3e-3", metrics={ANCHOR.metric: 0.90, "val/mIoU": 0.85})
    one = held(tmp_path)
    assert one.ours == pytest.approx(0.90), "by validation, not by the test"
    assert one.seeds == (0, 1)


def test_the_interval_comes_from_the_counts_of_the_test_tiles(tmp_path):
    draw = np.random.default_rng(0)
    for seed in range(3):
        folder = run(tmp_path, seed, ANCHOR.value + 0.001 * seed)
        right = draw.integers(80, 100, (24, 2))
        counts = np.stack(
            [np.stack([right[:, 0], 100 - right[:, 0]], 1), np.stack([100 - right[:, 1], right[:, 1]], 1)], 1
        )
        np.savez(folder / "confusion.npz", test=counts, val=counts)
        rows = [f"test,{tile},chip_{tile // 2},0,0,8,8," for tile in range(24)]
        (folder / "splits.csv").write_text("\n".join(["split,tile,scene,row,column,height,width,group", *rows]))
    one = held(tmp_path)
    assert one.interval is not None
    assert one.interval.known, one.interval.reason
    assert one.interval.low < 0.85 < one.interval.high
