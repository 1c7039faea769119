"""A sweep that ends, and its jobs: none outlives it, and where it is asked to end they save what they have."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from geocompose.launchers import fork_server
from tests.kit import jobs as kit
from tests.kit.places import ROOT


def environment() -> dict[str, str]:
    """Return an environment in which the kit is found, whatever ran in this process before.

    A command sets PYTHONSAFEPATH, with which the current folder is not looked into.
    """
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


@contextmanager
def sweeping(folder: Path, *names: str, workers: int = 2, act: str = "save_when_stopped") -> Iterator[subprocess.Popen]:
    """Let another process compute jobs that sleep, begun when the block begins."""
    command = [sys.executable, "-m", "tests.kit.jobs", str(folder), str(workers), act, *names]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        kit.wait_until(lambda: len(begun(folder)) == min(workers, len(names)))
        yield process
    finally:
        process.kill()
        process.communicate()


def begun(folder: Path) -> list[int]:
    return [int(mark.read_text()) for mark in sorted(folder.glob("*.pid"))]


def no_more(*pids: int) -> bool:
    return not any(fork_server.is_alive(pid) for pid in pids)


def test_a_killed_sweep_takes_its_jobs_and_its_server_with_it(tmp_path):
    with sweeping(tmp_path, "a", "b") as process:
        (server,) = kit.servers(process.pid)
        process.kill()
        kit.wait_until(lambda: no_more(server.pid, *begun(tmp_path)), seconds=10)
    assert not list(tmp_path.glob("*.saved"))


def test_a_killed_sweep_takes_a_job_with_it_that_holds_the_interpreter(tmp_path):
    with sweeping(tmp_path, "a", workers=1, act="hold_the_interpreter") as process:
        process.kill()
        kit.wait_until(lambda: no_more(*begun(tmp_path)), seconds=10)


def test_a_killed_sweep_takes_a_job_with_it_that_is_stopped(tmp_path):
    with sweeping(tmp_path, "a", workers=1) as process:
        os.kill(begun(tmp_path)[0], signal.SIGSTOP)
        process.kill()
        kit.wait_until(lambda: no_more(*begun(tmp_path)), seconds=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_that_is_asked_to_end_lets_its_jobs_save_and_begins_no_more(number, tmp_path):
    with sweeping(tmp_path, "a", "b", "c") as process:
        process.send_signal(number)
        shown, errors = process.communicate(timeout=60)
        assert process.returncode == 128 + number
    assert sorted(shown.splitlines()) == ["a cancelled", "b cancelled", f"stopped by {number.name}"]
    assert sorted(mark.stem for mark in tmp_path.glob("*.saved")) == ["a", "b"]
    assert "the running cells save what they have" in errors
    assert no_more(*begun(tmp_path))


def test_ctrl_c_in_a_terminal_reaches_the_jobs_through_the_sweep_alone(tmp_path):
    """A terminal sends the signal to all processes of the sweep's group."""
    command = [sys.executable, "-m", "tests.kit.jobs", str(tmp_path), "2", "save_when_stopped", "a", "b"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    kit.wait_until(lambda: len(begun(tmp_path)) == 2)
    os.killpg(process.pid, signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    assert sorted(shown.splitlines()) == ["a cancelled", "b cancelled", "stopped by SIGINT"]
    assert len(list(tmp_path.glob("*.saved"))) == 2


def test_jobs_that_do_not_end_are_killed_when_the_sweep_is_asked_again(tmp_path):
    with sweeping(tmp_path, "a", workers=1, act="never_save") as process:
        process.send_signal(signal.SIGTERM)
        kit.wait_until(lambda: "asked" in (tmp_path / "logs" / "a.log").read_text())
        process.send_signal(signal.SIGTERM)
        shown, errors = process.communicate(timeout=60)
    assert "a cancelled" in shown.splitlines()
    assert "the running cells are killed" in errors
    assert no_more(*begun(tmp_path))


def test_a_sweep_that_was_started_to_ignore_hangups_goes_on(tmp_path):
    command = ["nohup", sys.executable, "-m", "tests.kit.jobs", str(tmp_path), "1", "save_when_stopped", "a"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    kit.wait_until(lambda: len(begun(tmp_path)) == 1)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.terminate()
    shown, _ = process.communicate(timeout=60)
    assert shown.splitlines()[-1] == "stopped by SIGTERM"


def test_the_data_workers_of_a_killed_job_do_not_outlive_it(tmp_path):
    with sweeping(tmp_path, "a", workers=1, act="have_a_child") as process:
        (pid,) = begun(tmp_path)
        (child,) = psutil.Process(pid).children()
        os.kill(pid, signal.SIGKILL)
        kit.wait_until(lambda: no_more(pid, child.pid))
        process.wait(timeout=60)
