"""Cores and GPUs shared out among workers."""

import pytest

from geocompose.errors import UserError
from geocompose.launchers import shares
from geocompose.launchers.local import LocalEngine
from geocompose.launchers.shares import num_threads, shares_of_gpus
from tests.kit import jobs as kit
from tests.kit.jobs import Told, job


@pytest.mark.parametrize(
    ("visible", "workers", "gpus", "expected"),
    [
        ("0,1,2,3", 1, "auto", [None]),
        ("0,1,2,3", 2, "auto", ["0,2", "1,3"]),
        ("0,1,2", 2, "auto", ["0,2", "1"]),
        ("2,3", 2, "auto", ["2", "3"]),
        ("0,1", 3, "auto", ["0", "1", "0"]),
        ("0", 2, "auto", [None, None]),
        ("", 2, "auto", [None, None]),
        ("0,1", 2, None, [None, None]),
        ("0,1,2", 1, [1, 2], ["1,2"]),
        ("0,1,2", 2, [2], ["2", "2"]),
        ("GPU-a,GPU-b", 2, ["GPU-b"], ["GPU-b", "GPU-b"]),
    ],
)
def test_gpus_are_shared_out_among_workers(visible, workers, gpus, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert shares_of_gpus(workers, gpus) == expected


@pytest.mark.parametrize(("visible", "gpus"), [("2,3", [0]), ("", [0]), ("0,1", [1, 1]), ("0,1", [])])
def test_gpus_that_are_not_there_are_refused_before_anything_is_planned(visible, gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UserError, match=r"launcher\.gpus must be auto, null or a list"):
        LocalEngine(gpus=gpus)


def test_without_a_variable_the_driver_lists_the_gpus(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\necho 'GPU 0: H200 (UUID: GPU-a)'\necho 'GPU 1: H200 (UUID: GPU-b)'"
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shares.visible_gpus() == ["0", "1"]
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert shares.visible_gpus() == []


def test_each_job_sees_its_workers_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with kit.light_server():
        jobs = [job(tmp_path, name, kit.tell_surroundings, tmp_path / name, 0.3) for name in "ab"]
        LocalEngine(workers=2).compute(jobs, Told().append)
    assert [kit.json.loads((tmp_path / name).read_text())["gpus"] for name in "ab"] == ["4", "7"]


def test_cores_are_shared_fairly_unless_a_number_is_given(monkeypatch):
    monkeypatch.setattr(shares, "num_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [num_threads(workers) for workers in (1, 3, 16)] == [8, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert num_threads(3) == 5
