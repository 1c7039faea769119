"""launcher=ray, on an instance on this machine.

pip install -r requirements-ray.txt && pytest -m optional tests/launchers/test_ray.py
"""

import importlib.util
import signal
import subprocess
import sys

import pytest

from geocompose.errors import UserError
from geocompose.launchers import needed
from geocompose.launchers.ray import RayEngine
from tests.kit import jobs as kit
from tests.kit.counted_runs import write_conf
from tests.kit.jobs import Told, job
from tests.kit.places import ROOT

installed = importlib.util.find_spec("ray") is not None


@pytest.fixture
def importable(monkeypatch):
    """Let other processes import tests."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_without_ray_the_package_is_named(monkeypatch):
    monkeypatch.setattr(needed.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"launcher=ray needs the package ray.*requirements-ray\.txt"):
        RayEngine()


class TestWithRay:
    pytestmark = [pytest.mark.optional, pytest.mark.skipif(not installed, reason="pip install -r requirements-ray.txt")]

    def test_numbers_that_can_not_be_are_refused(self):
        with pytest.raises(UserError, match=r"launcher\.cpus must be 0 or more; got -1"):
            RayEngine(cpus=-1)
        with pytest.raises(UserError, match=r"launcher\.hours must be"):
            RayEngine(hours=0)

    def test_a_cluster_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(UserError, match=r"launcher\.address=auto: this Ray cluster can't be joined"):
            RayEngine(address="auto").compute([job(tmp_path, "a", kit.say, "hello")], Told().append)

    def test_more_than_the_machine_has_is_refused_where_no_cell_would_ever_begin(self, importable, tmp_path):
        with pytest.raises(UserError, match=r"launcher\.gpus=64 is more than this machine has"):
            RayEngine(gpus=64).compute([job(tmp_path, "a", kit.say, "hello")], Told().append)

    def test_cells_end_alone_are_told_and_go_on_when_their_worker_dies(self, importable, tmp_path):
        jobs = [
            job(tmp_path, "good", kit.write, tmp_path / "good"),
            job(tmp_path, "crash", kit.crash),
            job(tmp_path, "wrong", kit.refuse),
            job(tmp_path, "lost", kit.kill_the_pack_once, tmp_path / "lost"),
        ]
        told = Told()
        RayEngine().compute(jobs, told.append)
        assert {name: end.how for name, end in told.ends.items()} == {
            "good": "returned", "crash": "killed", "wrong": "raised", "lost": "returned",
        }  # fmt: skip
        assert "in crash" in jobs[1].log.read_text()
        assert jobs[3].log.read_text().count("-- 20") == 2

    def test_a_stopped_sweep_lets_its_cells_save(self, importable, tmp_path):
        code = (
            "import sys; from pathlib import Path; from tests.kit import jobs as kit\n"
            "from geocompose.launchers.ray import RayEngine\n"
            "folder = Path(sys.argv[1])\n"
            "RayEngine().compute([kit.job(folder, 'a', kit.save_when_stopped, folder / 'a.pid')], print)"
        )
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        kit.wait_until((tmp_path / "a.pid").exists, seconds=120)
        process.send_signal(signal.SIGTERM)
        shown, _ = process.communicate(timeout=60)
        assert (tmp_path / "a.saved").exists()
        assert "how='cancelled'" in shown
        assert not kit.fork_server.is_alive(int((tmp_path / "a.pid").read_text()))

    def test_a_sweep_goes_through_it(self, importable, tmp_path):
        conf = write_conf(tmp_path / "conf")
        command = [sys.executable, "-m", "tests.kit.count", str(conf), "-m", "seed=0,1", "launcher=ray"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        assert "2 cells: 2 done" in done.stdout
