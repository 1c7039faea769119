"""Searches on launchers that take whole batches: submitit's local executor, and Ray on this machine.

pip install -r requirements-slurm.txt -r requirements-ray.txt && pytest -m optional tests/search/test_on_clusters.py
"""

import importlib.util

import pytest

from tests.kit.places import ROOT
from tests.kit.searched import lines, outcome, points, states
from tests.search.conftest import Command

LR = "trainer.lr=tag(log, interval(1e-4, 1))"
ENGINES = {
    "submitit": ("launcher=slurm", "launcher.cluster=local", "launcher.job_minutes=5"),
    "ray": ("launcher=ray", "launcher.cpus=1"),
}


def installed(package: str) -> pytest.MarkDecorator:
    lacks = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(lacks, reason=f"pip install -r requirements-{ENGINES[package][0][9:]}.txt")


@pytest.mark.optional
@pytest.mark.parametrize("package", [pytest.param(name, marks=installed(name)) for name in ENGINES])
def test_a_search_hands_its_trials_over_in_batches(package, command: Command, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    line = ("-m", "search=random", "search.batch=2", "search.seeds=1", LR, *ENGINES[package])
    code, _, errors = command(*line, "search.trials=2")
    assert code == 0, errors
    assert states() == {"COMPLETE": 2}
    assert len({str(point) for point in points()}) == 2
    assert outcome()["finished"]
    assert len(outcome()["chosen"]) == len(lines("tested.txt")) == 1
