"""Sweeps that are killed: every cell is completed once, every record parses, and the metrics are those of a calm sweep.

With real runs: python -m tests.kit.survival --real (see CONTRIBUTING.md).
"""

import pytest

from tests.kit.survival import compare


@pytest.mark.parametrize("way", ["one", "two", "slices"])
def test_a_sweep_that_is_killed_again_and_again_computes_every_cell_once(way, tmp_path):
    (study,) = compare(tmp_path, [way], cells=8, kills=3, seed=20250)
    assert len(study.kills) == 3


@pytest.mark.slow
@pytest.mark.parametrize("way", ["one", "two", "slices"])
def test_a_large_sweep_that_is_killed_ten_times_computes_every_cell_once(way, tmp_path):
    (study,) = compare(tmp_path, [way], cells=60, kills=10, seed=20250)
    assert len(study.kills) == 10


@pytest.mark.slow
def test_a_sweep_of_real_runs_that_is_killed_computes_every_cell_once(tmp_path):
    compare(tmp_path, ["one"], cells=8, kills=3, seed=20250, real=True)
