"""Runs become cells: seeds and folds repeat one, other labels make another comparison, and damage is named."""

from pathlib import Path

import numpy as np
import pytest

from geocompose.reports.cells import reported_cells
from geocompose.reports.scored_tiles import clusters_of, read_tiles
from geocompose.runs import Record, load_rules
from geocompose.studies.reading import read_studies
from tests.kit.places import ROOT
from tests.kit.scored_studies import scored_run, scored_study

PARTS = ("resnet18", "fcn", "none")
OTHER = ("prithvi", "fcn", "none")


@pytest.fixture
def study(tmp_path):
    return tmp_path / "floods"


def cells_of(study: Path):
    return reported_cells(read_studies([study]), load_rules(ROOT / "conf").volatile)


def test_seeds_are_one_cell_and_its_name_is_what_differs(study):
    scored_study(study, {PARTS: 0.1, OTHER: 0.2})
    found = cells_of(study)
    ((split, cells),) = found.by_split.values()
    assert [cell.name for cell in cells] == ["prithvi", "resnet18"]
    assert [len(cell.runs) for cell in cells] == [3, 3]
    assert cells[0].counts.shape == (3, 16, 2, 2)
    assert split.score.metric == "mIoU"
    assert found.left_out == []


def test_folds_of_a_seed_are_put_together(study):
    for fold in (0, 1):
        for seed in (0, 1):
            scored_run(
                study, f"{fold}{seed}aa", parts=PARTS, seed=seed, wrong=0.1, truth_seed=fold,
                scenes=[f"{fold}{letter}" for letter in "abcd"], typed=[f"data.fold={fold}"],
            )  # fmt: skip
    ((split, (cell,)),) = cells_of(study).by_split.values()
    assert cell.counts.shape == (2, 16, 2, 2)
    assert [len(folds) for folds in cell.runs] == [2, 2]
    assert len({tile.scene for tile in split.tiles}) == 8


def test_a_seed_that_lacks_a_fold_is_left_out_by_name(study):
    for fold, seed in ((0, 0), (1, 0), (0, 1)):
        scored_run(
            study, f"{fold}{seed}aa", parts=PARTS, seed=seed, wrong=0.1, truth_seed=fold, typed=[f"data.fold={fold}"]
        )
    found = cells_of(study)
    ((_, (cell,)),) = found.by_split.values()
    assert len(cell.runs) == 1
    assert found.left_out == [("resnet18-fcn-none-01aa", "its seed 1 lacks fold 1")]


def test_a_run_without_a_fold_is_not_pooled_with_folds(study):
    for fold, identity in (("0", "a0"), ("1", "a1"), ("null", "a2")):
        scored_run(
            study, identity, parts=PARTS, seed=0, wrong=0.1, truth_seed=hash(fold) % 7, typed=[f"data.fold={fold}"]
        )
    found = cells_of(study).by_split.values()
    assert sorted(cell.counts.shape[1] for _, cells in found for cell in cells) == [16, 32]
    assert len({scored.name for scored, _ in found}) == 2


def test_a_fold_that_was_not_tested_is_not_pooled_with_one_that_was(study):
    first = scored_run(study, "a0", parts=PARTS, seed=0, wrong=0.1, truth_seed=0, typed=["data.fold=0"])
    scored_run(study, "a1", parts=PARTS, seed=0, wrong=0.1, truth_seed=1, typed=["data.fold=1"])
    counts = np.load(first / "confusion.npz")["val"]
    np.savez(first / "confusion.npz", val=counts)
    found = cells_of(study).by_split.values()
    assert sorted((scored.split, cells[0].counts.shape[1]) for scored, cells in found) == [("test", 16), ("val", 2)]


def test_a_value_that_was_written_in_two_ways_is_one(study):
    for seed, rate in ((0, "1e-3"), (1, "0.001"), (2, "0.0010"), (3, "0.01")):
        scored_run(study, f"{seed}bbb", parts=PARTS, seed=seed, wrong=0.1, typed=[f"optimizer.lr={rate}"])
    ((_, cells),) = cells_of(study).by_split.values()
    assert sorted(len(cell.runs) for cell in cells) == [1, 3]


def test_sections_of_other_data_have_names_that_tell_them_apart(study):
    for seed in (0, 1):
        scored_run(study, f"{seed}ccc", parts=PARTS, seed=0, wrong=0.1, truth_seed=seed, typed=[f"data.seed={seed}"])
    names = sorted(scored.name for scored, _ in cells_of(study).by_split.values())
    assert names == ["made (data.seed=0)", "made (data.seed=1)"]


@pytest.mark.parametrize(("selected_by", "metric"), [("val/loss", "mIoU"), ("val/mIoU", "mIoU")])
def test_runs_that_were_selected_by_their_loss_are_scored_by_their_tasks_metric(study, selected_by, metric):
    run = scored_run(study, "aaaa", parts=PARTS, seed=0, wrong=0.1)
    record = Record.read(run / "record.json")
    record.training["selected_by"] = selected_by
    record.write(run / "record.json")
    ((scored, _),) = cells_of(study).by_split.values()
    assert scored.score.metric == metric


def test_cells_with_other_labels_are_not_compared(study):
    scored_study(study, {PARTS: 0.1})
    scored_run(study, "ffff", parts=OTHER, seed=0, wrong=0.1, truth_seed=9)
    assert sorted(len(cells) for _, cells in cells_of(study).by_split.values()) == [1, 1]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda run: (run / "confusion.npz").write_bytes(b"no zip"), "is damaged"),
        (lambda run: (run / "splits.csv").unlink(), "splits.csv is missing"),
        (lambda run: (run / "splits.csv").write_text("split,tile\ntest,0\n"), "splits.csv is damaged"),
        (lambda run: np.savez(run / "confusion.npz", test=np.zeros((3, 2, 2))), "table of tiles has 16 rows"),
        (lambda run: np.savez(run / "confusion.npz", train=np.zeros((3, 2, 2))), "neither a test nor a validation"),
        (lambda run: np.savez(run / "confusion.npz", test=np.array([{}], dtype=object)), "is damaged"),
    ],
)
def test_a_run_that_cant_be_read_is_left_out_with_the_reason(study, damage, reason):
    scored_study(study, {PARTS: 0.1, OTHER: 0.2}, seeds=(0, 1))
    damage(next(study.glob("prithvi*")))
    found = cells_of(study)
    ((name, why),) = found.left_out
    assert name.startswith("prithvi")
    assert reason in why


def test_clusters_are_groups_where_there_are_any_else_scenes_and_one_raster_says_what_it_lacks(study):
    run = scored_run(study, "aaaa", parts=PARTS, seed=0, wrong=0.1)
    tiles = read_tiles(run / "splits.csv", "test")
    assert clusters_of(tiles).number == 8
    text = (run / "splits.csv").read_text().splitlines()
    (run / "splits.csv").write_text(
        "\n".join([text[0], *(f"{line}g{place % 3}" for place, line in enumerate(text[1:]))])
    )
    grouped = clusters_of(read_tiles(run / "splits.csv", "test"))
    assert (grouped.number, grouped.what) == (3, "groups")
    alone = clusters_of([tile for tile in tiles if tile.scene == "a"])
    assert "nothing is said of other places" in alone.caveat
