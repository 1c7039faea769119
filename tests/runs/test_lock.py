"""Who computes a run holds its lock; its state can be read beside them."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.runs import Record, RunFolder, RunHeldError, find_run
from tests.kit.run_folders import ID, begin, complete, holding


def test_a_run_that_another_process_computes_is_refused_with_its_number_and_start(run):
    with holding(run) as (process, _):
        assert run.status() == "running"
        message = rf"is being computed by process {process.pid} on \S+ since 20\d\d-.*Z\. Wait for it"
        with pytest.raises(RunHeldError, match=message), run.lock():
            pass
        with pytest.raises(UserError, match=f"still being computed by process {process.pid}"):
            find_run(run.path)
        assert run.status() == "running"


@pytest.mark.parametrize("how", ["plain", "fork"])
def test_the_lock_of_a_killed_process_is_free_at_once_even_if_its_child_lives(run, how):
    with holding(run, how) as (process, said):
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            assert run.status() == "interrupted"
            with run.lock():
                assert run.status() == "interrupted"
                assert run.last.read_text() == "state"
                run.finish(begin(run, resume=True))
        finally:
            for child in said:
                os.kill(int(child), signal.SIGKILL)
    assert run.status() == "completed"


def test_two_in_one_process_cannot_hold_one_lock(run):
    with run.lock(), pytest.raises(RunHeldError, match=f"process {os.getpid()}"), RunFolder(run.path).lock():
        pass
    with RunFolder(run.path).lock():
        pass


def test_looking_at_the_state_does_not_disturb_who_takes_the_lock(run):
    with run.lock():
        begin(run)
    script = (
        "import sys, time; from geocompose.runs import RunFolder\n"
        "run = RunFolder(sys.argv[1]); print(run.status(), flush=True)\n"
        "end = time.monotonic() + 2\nwhile time.monotonic() < end: run.status()"
    )
    looking = subprocess.Popen([sys.executable, "-c", script, str(run.path)], stdout=subprocess.PIPE, text=True)
    assert looking.stdout.readline() == "interrupted\n"
    for _ in range(50):
        with run.lock():
            pass
    looking.kill()
    looking.communicate()


def test_a_state_can_be_read_without_permission_to_write(run):
    with run.lock():
        begin(run)
    before = sorted(os.listdir(run.path))
    run.path.chmod(0o555)
    (run.path / ".lock").chmod(0o444)
    try:
        assert run.status() == "interrupted"
    finally:
        run.path.chmod(0o755)
    assert sorted(os.listdir(run.path)) == before


def test_a_run_that_finishes_while_its_state_is_read_is_never_called_interrupted(run, monkeypatch):
    complete(run)
    answers = ["running", "completed"]
    monkeypatch.setattr(RunFolder, "read", lambda self: Record(run_id=ID, status=answers.pop(0)))
    assert run.status() == "completed"
    assert not answers


def test_a_record_that_vanishes_while_it_is_read_is_absent(run, monkeypatch):
    complete(run)
    read = Record.read

    def cleared(path: Path) -> Record:
        path.unlink()
        return read(path)

    monkeypatch.setattr(Record, "read", cleared)
    assert run.status() == "absent"


def test_a_copied_folder_has_the_same_state(run, tmp_path):
    import shutil

    complete(run)
    shutil.copytree(run.path, tmp_path / "copy")
    assert find_run(tmp_path / "copy").read() == run.read()


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.ENOTSUP, "does not know what was asked of it, such as locks"), (errno.ENOLCK, "has no locks to give")],
)
def test_a_file_system_that_refuses_locks_is_named_before_anything_is_computed(run, monkeypatch, number, told):
    with run.lock():
        begin(run)

    def refuse(handle: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=f"Can't write .*lock: .*{told}.*Choose another folder"), run.lock():
        pass
    if number == errno.ENOTSUP:  # nobody can hold it
        assert run.status() == "interrupted"
    else:
        with pytest.raises(UserError, match=f"Can't look at .*lock: .*{told}"):
            run.status()
