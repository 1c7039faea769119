"""A run's folder from begin to end: its states, and what survives a death at any moment."""

import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geocompose.errors import UserError, in_one_line
from geocompose.runs import Record, RunFolder, find_run
from geocompose.runs import folder as module
from tests.kit.run_folders import ID, begin, complete


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


def test_an_error_without_words_is_told_by_its_place(run):
    def wordless() -> None:
        raise AssertionError

    with pytest.raises(AssertionError) as raised:
        wordless()
    with run.lock():
        run.fail(begin(run), raised.value)
    assert re.fullmatch(r"AssertionError: raised in wordless \(test_folder\.py, line \d+\)", run.read().error)
    assert in_one_line(raised.value) == run.read().error


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
    with run.lock(), pytest.raises(UserError, match=r"holds files that are not a run's: thesis\.tex"):
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


def test_runs_are_read_without_torch_hydra_or_rasterio_and_fast():
    script = (
        "import sys, geocompose.runs\n"
        "heavy = {'torch', 'numpy', 'hydra', 'omegaconf', 'rasterio', 'pydantic', 'filelock', 'yaml', 'sqlite3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
