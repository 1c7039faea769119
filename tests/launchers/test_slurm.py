"""launcher=slurm, by submitit's local executor, and by a Slurm of three shell scripts that takes jobs and forgets them.

pip install -r requirements-slurm.txt && pytest -m optional tests/launchers/test_slurm.py
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.launchers import needed
from geocompose.launchers.slurm import SlurmEngine
from tests.kit import jobs as kit
from tests.kit.counted_runs import write_conf
from tests.kit.jobs import Told, job
from tests.kit.places import ROOT

installed = importlib.util.find_spec("submitit") is not None
optional = [
    pytest.mark.optional,
    pytest.mark.skipif(not installed, reason="pip install -r requirements-slurm.txt"),
]


@pytest.fixture
def importable(monkeypatch):
    """Let other processes import tests."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """A Slurm that keeps what it is given: returns the folder with the submitted script and the cancelled jobs."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    scripts = {
        "sbatch": f'cp "$1" {folder}/script && sleep 0.5 && echo "Submitted batch job 41"',
        "srun": "exit 1",
        "sacct": 'echo "JobID|State|NodeList"; echo "41_0|PENDING|"; echo "41_1|PENDING|"',
        "scancel": f'echo "$@" >> {folder}/cancelled',
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_without_submitit_the_package_is_named(monkeypatch):
    monkeypatch.setattr(needed.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"launcher=slurm needs the package submitit.*requirements-slurm\.txt"):
        SlurmEngine()


class TestWithSubmitit:
    pytestmark = optional

    @pytest.mark.parametrize("name", ["cells_per_job", "cells_at_once", "max_parallel", "job_minutes", "cpus"])
    def test_numbers_that_can_not_be_are_refused(self, name):
        with pytest.raises(UserError, match=r"must be 1 or more; got 0"):
            SlurmEngine(**{name: 0})

    @pytest.mark.parametrize("text", ["constraint a100", "constraint=", "=a100", "", "a=b\nrm -r x"])
    def test_what_is_no_option_of_sbatch_is_refused(self, text):
        with pytest.raises(UserError, match=r"launcher\.extra must be options of sbatch"):
            SlurmEngine(extra=[text])

    def test_where_there_is_no_slurm_the_local_way_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UserError, match=r"can't submit jobs here.*launcher\.cluster=local"):
            SlurmEngine().compute([job(tmp_path, "a", kit.say, "hello")], Told().append)

    def test_an_array_asks_for_what_is_configured_and_is_not_waited_for(self, slurm, tmp_path, caplog):
        caplog.set_level("INFO")
        jobs = [job(tmp_path / "outputs" / "floods", name, kit.say, name) for name in "abcde"]
        engine = SlurmEngine(
            cells_per_job=2, max_parallel=2, job_minutes=90, partition="gpu", account="lab", gpus=1, cpus=8,
            job_memory_gb=32, extra=["constraint=a100", "--exclusive"], setup=["module load cuda"], wait=False,
        )  # fmt: skip
        told = Told()
        engine.compute(jobs, told.append)
        lines = (slurm / "script").read_text().splitlines()
        for option in (
            "array=0-2%2", "time=90", "partition=gpu", "account=lab", "gpus-per-node=1", "cpus-per-task=8", "mem=32GB",
            "constraint=a100", "exclusive", "requeue", "signal=USR2@90",
        ):  # fmt: skip
            assert f"#SBATCH --{option}" in lines
        assert "module load cuda" in lines
        assert (told.starts, told.ends) == (list("abcde"), {})
        assert "action=status study=floods" in caplog.text

    def test_stopping_the_sweep_cancels_the_array(self, slurm, tmp_path):
        code = (
            "import sys; from pathlib import Path; from tests.kit import jobs as kit\n"
            "from geocompose.launchers.slurm import SlurmEngine\n"
            "jobs = [kit.job(Path(sys.argv[1]), name, kit.say, name) for name in 'ab']\n"
            "SlurmEngine().compute(jobs, lambda news: print(news, flush=True))"
        )
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        kit.wait_until((slurm / "script").exists)
        process.terminate()  # Slurm has not said yet that it takes the jobs
        kit.wait_until((slurm / "cancelled").exists)
        assert "41_0" in (slurm / "cancelled").read_text()
        process.kill()
        process.communicate()

    def test_cells_of_one_job_end_alone_and_are_told(self, importable, tmp_path):
        jobs = [
            job(tmp_path, "good", kit.write, tmp_path / "good"),
            job(tmp_path, "crash", kit.crash),
            job(tmp_path, "wrong", kit.refuse),
        ]
        told = Told()
        SlurmEngine(cluster="local", cells_per_job=3, job_minutes=5).compute(jobs, told.append)
        assert {name: end.how for name, end in told.ends.items()} == {
            "good": "returned", "crash": "killed", "wrong": "raised",
        }  # fmt: skip
        assert "in crash" in jobs[1].log.read_text()

    def test_a_preempted_job_saves_is_handed_over_again_and_goes_on(self, importable, tmp_path):
        mark = tmp_path / "it.pid"
        jobs = [
            job(tmp_path, "before", kit.append, tmp_path / "order", "before"),
            job(tmp_path, "it", kit.be_preempted_once, mark),
            job(tmp_path, "after", kit.append, tmp_path / "order", "after"),
        ]
        told = Told()
        SlurmEngine(cluster="local", cells_per_job=3, job_minutes=5).compute(jobs, told.append)
        assert {name: end.how for name, end in told.ends.items()} == dict.fromkeys(
            ["before", "it", "after"], "returned"
        )
        assert mark.read_text() == "went on"
        assert (tmp_path / "order").read_text().split() == ["before", "after"], "each was computed once"
        assert jobs[1].log.read_text().count("-- 20") == 2

    def test_a_job_that_dies_leaves_its_cells_to_the_next_command(self, importable, tmp_path):
        told = Told()
        with_a_pack = job(tmp_path, "it", kit.kill_the_pack)
        SlurmEngine(cluster="local", job_minutes=5).compute([with_a_pack], told.append)
        end = told.ends["it"]
        assert (end.how, end.signal) == ("killed", 9)
        assert "log.err" in end.reason

    def test_a_sweep_goes_through_it(self, importable, tmp_path):
        conf = write_conf(tmp_path / "conf")
        command = [sys.executable, "-m", "tests.kit.count", str(conf), "-m", "seed=0,1", "launcher=slurm"]
        options = ["launcher.cluster=local", "launcher.cells_per_job=2"]
        done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        assert "2 cells: 2 done" in done.stdout
