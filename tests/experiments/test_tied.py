"""The simulation of studies whose ties are known: what is recorded keeps what the page promises, and is today's."""

import csv
import importlib
import sys

import numpy as np
import pytest

from tests.kit.places import ROOT

FOLDER = ROOT / "experiments" / "tied"


@pytest.fixture
def module():
    """Return a function that imports a module of the experiment, which finds its neighbours as when it is run."""
    before = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path[:] = before[1]
    for name in set(sys.modules) - before[0]:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "experiments")):
            del sys.modules[name]


def recorded():
    with (FOLDER / "coverage.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_recorded_simulation_puts_out_an_equal_cell_in_at_most_six_per_cent():
    chosen = [row for row in recorded() if row["way"] == "chosen"]
    assert len(chosen) == 84
    assert max(float(row["put_out"]) for row in chosen) < 0.06
    assert max(float(row["error"]) for row in chosen) < 0.006
    # What is usual fails, so that the simulation can tell.
    assert max(float(row["put_out"]) for row in recorded() if row["way"] == "two by two") > 0.5


def test_the_recorded_simulation_is_what_the_package_gives_today(module):
    simulation = module("simulation")
    number, study = next(
        (number, study)
        for number, study in enumerate(simulation.studies())
        if (study.cells, study.design.seeds, len(study.design.sizes), study.design.rho) == (4, 3, 8, 0.7)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        found = list(simulation.simulate(study, 2000, np.random.default_rng(number)))
    place = ("cells", "equal", "seeds", "clusters", "rho", "seed_sd", "score", "way")
    known = {tuple(row[key] for key in place): row for row in recorded()}
    assert len(found) == 6
    for row in found:
        before = known[tuple(str(row[key]) for key in place)]
        for column, tolerance in (("put_out", 0.001), ("members", 0.01), ("answered", 0.001)):
            assert float(row[column]) == pytest.approx(float(before[column]), abs=tolerance), row


def test_the_page_shows_the_recorded_simulation(module):
    table = module("table")
    page = table.PAGE.read_text()
    assert table.filled(page, table.read()) == page
