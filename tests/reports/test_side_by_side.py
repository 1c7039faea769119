"""Several studies, and several test sets, on one page: the same compositions beside each other."""

import numpy as np
import pytest

from geocompose.reports.cells import ReportedCell, reported_cells
from geocompose.reports.comparison import compare
from geocompose.reports.equal_compositions import study_pairs
from geocompose.reports.findings import findings
from geocompose.reports.several_sets import several_sets
from geocompose.reports.side_by_side import pair_in_words, sets_in_words, sets_table
from geocompose.reports.study_report import study_report
from geocompose.runs import load_rules
from geocompose.scores import regression_sums
from geocompose.statistics.pooled import Score
from geocompose.statistics.prepared import prepared
from geocompose.studies.reading import read_studies
from tests.kit.places import CONF
from tests.kit.scored_studies import scored_run

VOLATILE = load_rules(CONF).volatile
FCN, UNET, MLP, LINEAR = (("resnet18", decoder, "none") for decoder in ("fcn", "unet", "mlp", "linear"))


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


def write(study, wrong, *, typed=(), truth_seed=0, number=0):
    """Write a study of three seeds each; number: tells its runs from those of other studies."""
    for place, (parts, share) in enumerate(wrong.items()):
        for seed in range(3):
            identity = f"{number:02x}{place:02x}{seed:06x}"
            scored_run(
                study, identity, parts=parts, seed=seed, wrong=share, typed=typed, truth_seed=truth_seed, baseline=None
            )


def compared(*studies):
    cells = reported_cells(read_studies(studies), VOLATILE)
    return [compare(scored, members, studies=cells.studies) for scored, members in cells.by_split.values()]


def test_each_study_is_held_against_the_first_one_composition_by_composition(outputs):
    write(outputs / "usual", {FCN: 0.30, UNET: 0.10, MLP: 0.20}, typed=["optimizer.lr=1e-3"])
    write(outputs / "slow", {FCN: 0.10, UNET: 0.30, MLP: 0.20}, typed=["optimizer.lr=0.0001"], number=1)
    (part,) = compared(outputs / "usual", outputs / "slow")
    (pair,) = part.pairs
    assert (pair.names, pair.what, pair.alone) == (("usual", "slow"), ("optimizer.lr: 1e-3 then 0.0001",), (0, 0))
    assert {change.name: change.verdict for change in pair.changes} == {
        "fcn": "better", "mlp": "not told apart", "unet": "worse",
    }  # fmt: skip
    assert [change.name for change in pair.changes] == ["fcn", "mlp", "unet"]
    means = {(row.cell.settings["decoder"], row.cell.settings["study"]): row.estimate.mean for row in part.rows}
    for change in pair.changes:
        assert change.scores == pytest.approx((means[change.name, "usual"], means[change.name, "slow"]), abs=1e-12)
        assert change.difference.mean == pytest.approx(change.scores[1] - change.scores[0], abs=1e-12)


def test_the_study_that_was_given_first_is_the_one_that_others_are_held_against(outputs):
    write(outputs / "b", {FCN: 0.30, UNET: 0.10})
    write(outputs / "a", {FCN: 0.10, UNET: 0.10}, number=1)
    write(outputs / "c", {FCN: 0.10, LINEAR: 0.10}, number=2)
    (part,) = compared(outputs / "b", outputs / "a", outputs / "c")
    assert [pair.names for pair in part.pairs] == [("b", "a"), ("b", "c")]
    assert [[change.name for change in pair.changes] for pair in part.pairs] == [["fcn", "unet"], ["fcn"]]
    assert part.pairs[1].alone == (1, 1)
    assert "1 composition only in b, 1 composition only in c: not compared here." in list(pair_in_words(part.pairs[1]))


def test_a_value_that_was_written_in_two_ways_is_the_same_composition(outputs):
    for number, (study, rates) in enumerate({"a": ("1e-3", "1e-4"), "b": ("0.001", "0.0001")}.items()):
        for place, rate in enumerate(rates):
            write(outputs / study, {FCN: 0.1 * (1 + place)}, typed=[f"optimizer.lr={rate}"], number=2 * number + place)
    (part,) = compared(outputs / "a", outputs / "b")
    assert len(part.pairs[0].changes) == 2
    assert part.pairs[0].alone == (0, 0)


def test_many_equal_compositions_do_not_make_one_better_by_chance(outputs):
    """All intervals together hold: each alone is wider, the more there are."""
    decoders = [("resnet18", f"d{number}", "none") for number in range(12)]
    write(outputs / "a", dict.fromkeys(decoders, 0.2))
    write(outputs / "b", dict.fromkeys(decoders, 0.2), number=1)
    (part,) = compared(outputs / "a", outputs / "b")
    changes = part.pairs[0].changes
    assert {change.verdict for change in changes} == {"not told apart"}
    assert [change.difference.level for change in changes] == pytest.approx([1 - 0.05 / 12] * 12)


def test_less_of_an_error_is_better():
    random = np.random.default_rng(0)
    truth, noise = random.normal(5, 2, (8, 50, 1)), random.normal(0, 1, (3, 8, 50, 1))
    far, near = (
        np.array([[regression_sums(truth[t], truth[t] + size * seed[t]) for t in range(8)] for seed in noise])
        for size in (2.0, 1.0)
    )
    ready = prepared([far, near], range(8), Score("RMSE", ("height",), "regression"))
    settings = [{"study": study, "decoder": "fcn"} for study in "ab"]
    cells = [ReportedCell("fcn", own, own, (), counts) for own, counts in zip(settings, (far, near), strict=True)]
    (there,) = study_pairs(cells, ready, ["a", "b"], higher=False, level=0.95)
    (back,) = study_pairs(cells, ready, ["b", "a"], higher=False, level=0.95)
    assert there.changes[0].difference.mean == pytest.approx(-back.changes[0].difference.mean)
    assert there.changes[0].difference.mean < 0
    assert (there.changes[0].verdict, back.changes[0].verdict) == ("better", "worse")


def test_the_same_compositions_stand_beside_each_other_on_each_test_set(outputs):
    write(outputs / "here", {FCN: 0.10, UNET: 0.11, MLP: 0.40}, typed=["data.root=/a"])
    write(outputs / "there", {FCN: 0.10, UNET: 0.40, MLP: 0.30}, typed=["data.root=/b"], truth_seed=9, number=1)
    parts = compared(outputs / "here", outputs / "there")
    assert all(not part.pairs for part in parts), "other tiles: nothing to subtract"
    several = several_sets(parts)
    assert several is not None
    assert [(name, [row.place for row in rows]) for name, rows in several.rows] == [
        ("fcn", [1, 1]), ("unet", [2, 3]), ("mlp", [3, 2]),
    ]  # fmt: skip
    assert several.always_tied == ["fcn"]
    assert "Tied with the best one on every set are 1 of 3 compositions: fcn." in sets_in_words(several)
    assert "(#1, tied)" in sets_table(several).rows[0].values[1]


def test_sets_share_compositions_whichever_of_their_studies_these_are_of(outputs):
    write(outputs / "usual", {FCN: 0.10, UNET: 0.11}, typed=["optimizer.lr=1e-3"])
    write(outputs / "slow", {FCN: 0.20, UNET: 0.30}, typed=["optimizer.lr=1e-4"], number=1)
    write(outputs / "there", {FCN: 0.10, UNET: 0.40}, typed=["optimizer.lr=0.001"], truth_seed=9, number=2)
    several = several_sets(compared(outputs / "usual", outputs / "slow", outputs / "there"))
    assert several is not None
    assert [name for name, _ in several.rows] == ["fcn · lr=1e-3", "unet · lr=1e-3"]
    write(outputs / "again", {FCN: 0.10, UNET: 0.11}, typed=["optimizer.lr=1e-3"], number=3)
    several = several_sets(compared(outputs / "usual", outputs / "again", outputs / "there"))
    assert several is None, "which of two equal compositions stands for both isn't known"


def test_one_test_set_or_one_shared_composition_is_no_table(outputs):
    write(outputs / "a", {FCN: 0.1, UNET: 0.1})
    assert several_sets(compared(outputs / "a")) is None
    write(outputs / "b", {FCN: 0.1, MLP: 0.1}, truth_seed=9, number=1)
    assert several_sets(compared(outputs / "a", outputs / "b")) is None


def test_cells_are_called_by_what_differs_within_their_test_set(outputs):
    write(outputs / "here", {FCN: 0.10, UNET: 0.11}, typed=["data.root=/a"])
    write(outputs / "there", {FCN: 0.10, UNET: 0.40}, typed=["data.root=/b"], truth_seed=9, number=1)
    parts = compared(outputs / "here", outputs / "there")
    assert [[row.cell.name for row in part.rows] for part in parts] == [["fcn", "unet"], ["fcn", "unet"]]
    assert [part.scored.name for part in parts] == [
        "made (study=here; data.root=/a)", "made (study=there; data.root=/b)",
    ]  # fmt: skip


def test_where_a_few_compositions_are_unsteady_it_is_said_why_many_are_tied(outputs):
    for number, decoder in enumerate(("fcn", "unet", "mlp", "linear")):
        for seed in range(3):
            wrong = 0.1 * (1 + 2 * seed) if decoder == "linear" else 0.1 + 0.02 * number
            scored_run(
                outputs / "s", f"{number:02x}{seed:08x}", parts=("resnet18", decoder, "none"), seed=seed, wrong=wrong,
                baseline=None, scenes=tuple("abcdefghijklmnop"), tiles_per_scene=8,
            )  # fmt: skip
    report = study_report(read_studies([outputs / "s"]), VOLATILE)
    told = findings(report, report.sets[0]).unknown
    assert any(text.startswith("Seeds of linear differ by a standard deviation of 0.") for text in told)
