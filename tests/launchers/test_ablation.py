"""ablate: the first value of each swept key is the base, and each further value is one cell, changed alone."""

import pytest

from tests.kit.sweeps import Sweep, light_server, planned, sweep, table

__all__ = ["light_server", "sweep"]  # fixtures

KEYS = ("backbone.name", "action.seconds", "seed")


def cells(keys: tuple[str, ...] = KEYS) -> list[tuple[str, ...]]:
    return [tuple(row[key] for key in keys) for row in table()]


def test_each_further_value_is_one_cell_around_the_base_and_seeds_are_crossed(sweep: Sweep):
    code, printed, _ = sweep("-m", "backbone.name=a,b,c", "action.seconds=0.0,0.1", "seed=0,1", "ablate=all")
    assert code == 0
    around = [("a", "0.0"), ("b", "0.0"), ("c", "0.0"), ("a", "0.1")]
    assert sorted(cells()) == sorted((*cell, seed) for cell in around for seed in "01")
    assert "The base is backbone.name=a action.seconds=0.0 (numbers 1, 2); each other cell changes one" in printed


def test_keys_that_are_not_named_are_crossed_with_the_ablation(sweep: Sweep):
    sweep("-m", "backbone.name=a,b", "action.seconds=0.0,0.1", "ablate=[backbone.name]")
    assert sorted(cells(KEYS[:2])) == [(name, seconds) for name in "ab" for seconds in ("0.0", "0.1")]


def test_cells_are_those_of_any_sweep_and_are_not_computed_again(sweep: Sweep):
    sweep("-m", "backbone.name=a,b", "action.becomes=done,other")
    product = planned()
    _, printed, _ = sweep("-m", "backbone.name=a,b", "action.becomes=done,other", "ablate=all")
    assert printed.rstrip().splitlines()[-1].endswith("finished already")
    assert planned() == product


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "ablate=all", "seed=0,1"], "ablate=all needs keys with several values, the first being the base: -m"),
        (
            ["-m", "ablate=[study]", "backbone.name=a,b"],
            "ablate names 'study', which does not have several values here",
        ),
        (["-m", "ablate=[seed]", "backbone.name=a,b", "seed=0,1"], "ablate names seed, which repeats an experiment"),
        (["-m", "ablate=some", "backbone.name=a,b"], "ablate=some must be ablate=all, or a list of keys such as"),
        (["-m", "ablate=[]", "backbone.name=a,b"], "ablate=[] must be ablate=all, or a list"),
        (["-m", "ablate=all,[seed]", "backbone.name=a,b"], "must be ablate=all, or a list"),
        (["ablate=all"], "ablate=all varies the keys of a sweep one at a time. Type it on the command line of a sweep"),
        (["ablate=[seed]"], "ablate=[seed] varies the keys of a sweep"),
        (["ablate=most"], "ablate"),
    ],
)
def test_an_ablation_of_nothing_is_refused(sweep: Sweep, arguments: list[str], message: str):
    code, _, errors = sweep(*arguments)
    assert code == 1
    assert message in errors
