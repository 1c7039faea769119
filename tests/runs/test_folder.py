"""A run's folder from begin to end: its states, its lock, and what survives a death at any moment."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.runs import Record, RunFolder, RunHeldError, find_run, list_runs
from geocompose.runs import folder as module

ID = "0123456789"
HOLD = """
import os, sys, time
from geocompose.runs import Record, RunFolder
run = RunFolder(sys.argv[1])
with run.lock():
    run.begin(Record(run_id="0123456789"), config="a: 1\\n", overrides=[])
    run.last.write_text("state")
    if sys.argv[2] == "fork":
        child = os.fork()
        if child == 0:
            print(os.getpid(), flush=True)
            time.sleep(60)
            os._exit(0)
        time.sleep(0.2)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "outputs" / "default" / f"prithvi-upernet-none-{ID}")


def begin(run: RunFolder, **options: object) -> Record:
    return run.begin(Record(run_id=ID), config="seed: 0\n", overrides=["optimizer.lr=1"], **options)


def complete(run: RunFolder, checkpoint: bool = True) -> RunFolder:
    with run.lock():
        record = begin(run)
        if checkpoint:
            run.best.write_bytes(b"weights")
        record.metrics["test/mIoU"] = 0.5
        run.finish(record)
    return run


@contextmanager
def holding(run: RunFolder, how: str = "plain") -> Iterator[tuple[subprocess.Popen, list[str]]]:
    """Let another process compute the run until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path), how], stdout=subprocess.PIPE, text=True)
    said = []
    try:
        while (line := process.stdout.readline().strip()) != "held":
            assert line, "the holding process ended early"
            said.append(line)
        yield process, said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_run_goes_from_absent_over_running_to_completed(run):
    assert run.status() == "absent"
    with run.lock():
        assert run.status() == "absent"
        record = begin(run, code_diff="+x\n")
        assert run.status() == "running"
        assert RunFolder(run.path).status() == "running"
        record.metrics["test/mIoU"] = float("nan")
        run.save(record)
        run.finish(record)
    assert run.status() == "completed"
    read = run.read()
    assert read.run_id == ID
    assert read.started <= read.finished
    assert read.seconds >= 0
    assert read.peak_memory_mb > 1
    assert str(read.metrics["test/mIoU"]) == "nan"
    assert run.config.read_text() == "seed: 0\n"
    assert run.overrides.read_text() == '- "optimizer.lr=1"\n'
    assert run.code_diff.read_text() == "+x\n"
    assert run.figures.is_dir()
    assert not [name for name in os.listdir(run.path) if name.endswith((".tmp", "holder.json"))]


def test_the_folder_has_the_files_of_the_design():
    run = RunFolder("x")
    shown = [run.config, run.overrides, run.record, run.metrics, run.log, run.figures, run.best, run.last]
    assert [path.relative_to("x").as_posix() for path in shown] == [
        "config.yaml",
        "overrides.yaml",
        "record.json",
        "metrics.csv",
        "run.log",
        "figures",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    ]


def test_a_failed_run_keeps_its_cause_in_one_line(run):
    with run.lock():
        run.fail(begin(run), RuntimeError("CUDA out of memory.\n  Tried to allocate"))
    assert run.status() == "failed"
    assert run.read().error == "RuntimeError: CUDA out of memory. Tried to allocate"
    with run.lock():
        run.fail(begin(run), UserError("A band is missing."))
    assert run.read().error == "A band is missing."


def test_a_run_stopped_from_outside_is_interrupted(run):
    with run.lock():
        run.interrupt(begin(run))
    assert run.status() == "interrupted"


def test_a_run_that_ends_without_a_word_is_interrupted(run):

    def stopped() -> None:
        with run.lock():
            begin(run)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert run.read().status == "running"
    assert run.status() == "interrupted"
    with run.lock():
        assert run.status() == "interrupted"


def test_an_interrupted_run_resumes_with_its_checkpoint_start_and_seconds(run):
    with run.lock():
        record = begin(run)
        run.last.write_text("state")
        record.started = "2026-01-01T00:00:00Z"
        run.save(record)
    earlier = run.read()
    (run.path / ".record.json.1-2.tmp").touch()
    run.code_diff.write_text("+old\n")
    with run.lock():
        record = begin(run, resume=True)
        assert run.status() == "running"
        assert run.last.read_text() == "state"
        time.sleep(0.02)
        run.finish(record)
    assert not list(run.path.glob(".*.tmp"))
    assert not run.code_diff.exists()
    read = run.read()
    assert read.started == "2026-01-01T00:00:00Z"
    assert read.resumed == 1
    assert read.seconds >= earlier.seconds + 0.02


def test_another_run_in_the_folder_is_not_resumed(run):
    with run.lock():
        begin(run)
    with run.lock(), pytest.raises(AssertionError, match=f"holds run {ID}, not ffff"):
        run.begin(Record(run_id="ffff"), config="", overrides=[], resume=True)


def test_seconds_do_not_follow_a_clock_that_is_set_back(run, monkeypatch):
    with run.lock():
        record = begin(run)
        monkeypatch.setattr(module, "utc_now", lambda: "1999-01-01T00:00:00Z")
        run.finish(record)
    assert run.read().seconds >= 0


def test_a_rerun_starts_from_a_clear_folder(run):
    complete(run)
    run.metrics.write_text("old")
    (run.figures / "loss.png").touch()
    (run.path / "tensorboard").mkdir()
    (run.path / ".record.json.1-2.tmp").touch()
    elsewhere = run.path.parent / "scratch"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (run.path / "link").symlink_to(elsewhere)
    with run.lock():
        begin(run)
        names = {name for name in os.listdir(run.path) if not name.startswith(".")}
        assert names == {"config.yaml", "overrides.yaml", "record.json", "figures", "checkpoints"}
        assert not list(run.figures.iterdir())
        assert not list(run.checkpoints.iterdir())
        assert not (run.path / ".record.json.1-2.tmp").exists()
    assert (elsewhere / "kept").exists()


def test_a_rerun_never_looks_completed_at_any_moment(run, monkeypatch):
    """Stop a rerun at each change it makes on the disk, and look at the folder then."""
    complete(run)
    seen = []

    def watched(original):
        def step(*arguments, **options):
            result = original(*arguments, **options)
            seen.append((RunFolder(run.path).status(), run.best.exists()))
            return result

        return step

    for name in ("unlink", "rmdir", "mkdir", "replace"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    with run.lock():
        seen.clear()
        begin(run)
    monkeypatch.undo()
    assert len(seen) >= 8
    assert ("completed", False) not in seen
    # The first step takes the record away; then it stays absent until the new record says running.
    states = [state for state, _ in seen]
    first = states.index("absent")
    assert first <= 1
    assert "completed" not in states[first:]
    assert states[-1] == "running"


def test_a_rerun_that_dies_while_clearing_is_cleared_by_the_next(run, monkeypatch):
    complete(run)

    def dying(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "rmtree", dying)
        with run.lock(), pytest.raises(KeyboardInterrupt):
            begin(run)
    assert run.status() == "absent"
    assert run.best.exists()
    with run.lock():
        begin(run)
        assert not run.best.exists()


def test_a_folder_with_somebodys_files_is_not_cleared(run):
    run.path.mkdir(parents=True)
    (run.path / "thesis.tex").touch()
    with run.lock(), pytest.raises(UserError, match=r"holds files that are no run's: thesis\.tex"):
        begin(run)
    assert (run.path / "thesis.tex").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_at_the_end_leaves_the_run_interrupted_and_its_checkpoint(run, monkeypatch, code):
    with run.lock():
        record = begin(run)
        run.last.write_text("state")
        before = run.record.read_bytes()

        def refused(handle):
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refused)
            with pytest.raises(UserError, match=r"the disk is full|the file system is read-only"):
                run.finish(record)
            with pytest.raises(UserError, match=r"Can't write .*record\.json"):
                run.fail(record, "x")
        assert run.record.read_bytes() == before
    assert run.status() == "interrupted"
    assert run.last.read_text() == "state"


def test_a_completed_record_survives_a_disk_that_refuses_the_rerun(run, monkeypatch):
    complete(run)
    with run.lock():

        def refused(self, **options):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refused)
            with pytest.raises(UserError, match="the file system is read-only"):
                begin(run)
    assert run.status() == "completed"


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "outputs").touch()
    run = RunFolder(tmp_path / "outputs" / "x")
    with pytest.raises(UserError, match="a file stands where a folder is needed"), run.lock():
        pass


def test_writing_without_the_lock_or_before_begin_is_our_own_mistake(run):
    with pytest.raises(AssertionError, match="without its lock"):
        begin(run)
    with run.lock():
        with pytest.raises(AssertionError, match="was not begun"):
            run.save(Record(run_id=ID))
        with pytest.raises(AssertionError, match="locked twice"), run.lock():
            pass


def test_a_truncated_record_is_a_clear_error_and_a_rerun_clears_it(run):
    complete(run)
    run.record.write_bytes(run.record.read_bytes()[:40])
    with pytest.raises(UserError, match="is damaged"):
        run.status()
    with pytest.raises(UserError, match="is damaged"):
        find_run(run.path)
    with run.lock():
        begin(run)
    assert run.status() == "interrupted"


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


def test_find_run_returns_a_completed_run(run):
    complete(run)
    assert find_run(str(run.path)).best == run.best
    run.best.unlink()
    assert find_run(run.path, checkpoint=False).path == run.path


def test_find_run_says_what_is_wrong_with_a_run(run):
    complete(run, checkpoint=False)
    with pytest.raises(UserError, match=r"has no checkpoints/best\.ckpt.*rerun=true"):
        find_run(run.path)
    with run.lock():
        run.fail(begin(run), "it rained")
    with pytest.raises(UserError, match=r"failed \(it rained\).*retry=failed"):
        find_run(run.path)
    with run.lock():
        begin(run)
    with pytest.raises(UserError, match=r"was interrupted.*it resumes"):
        find_run(run.path)


def test_find_run_names_the_nearest_run(run, tmp_path, monkeypatch):
    complete(run)
    monkeypatch.chdir(tmp_path)
    place = f"outputs/default/prithvi-upernet-none-{ID}"
    for wrong in (
        f"outputs/default/prithvi-upernet-none-{ID[:-1]}",
        f"outputs/defualt/prithvi-upernet-none-{ID}",
        "outputs",
        "outputs/default",
    ):
        with pytest.raises(UserError, match=place):
            find_run(wrong)
    with pytest.raises(UserError, match=f"Did you mean {place}\\?"):
        find_run(f"outputs/default/prithvi-upernet-non-{ID}")
    for inside in ("record.json", "checkpoints", "checkpoints/best.ckpt"):
        with pytest.raises(UserError, match=f"Did you mean {place}\\?"):
            find_run(f"{place}/{inside}")


def test_find_run_without_any_run_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"The run folder nowhere does not exist\. Give the folder of a finished run"):
        find_run("nowhere")
    with pytest.raises(UserError, match=r"is not a run's folder: it has no record\.json"):
        find_run(".")
    with pytest.raises(UserError, match="does not exist"):
        find_run("/nowhere/at/all")


def test_runs_are_listed_in_a_study_and_across_studies(tmp_path):
    for study, name in (("b", "y"), ("a", "x"), ("a", "w")):
        complete(RunFolder(tmp_path / study / name), checkpoint=False)
    (tmp_path / "a" / "empty").mkdir()
    assert [run.path.name for run in list_runs(tmp_path / "a")] == ["w", "x"]
    assert [run.path.name for run in list_runs(tmp_path)] == ["w", "x", "y"]


def test_runs_are_read_without_torch_hydra_or_rasterio_and_fast():
    script = (
        "import sys, geocompose.runs\n"
        "heavy = {'torch', 'numpy', 'hydra', 'omegaconf', 'rasterio', 'pydantic', 'filelock', 'yaml', 'sqlite3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
