"""Whatever happens while a checkpoint is written, the earlier one or the new one can be loaded, never neither."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from geocompose.errors import UserError
from geocompose.inference.checkpoint import read_best
from geocompose.runs import RunFolder, atomic
from geocompose.runs.atomic import RefusedError
from geocompose.training import checkpoint_files
from geocompose.training.checkpoint_files import WholeCheckpoints

IO = WholeCheckpoints()


def save(folder: RunFolder, epoch: int) -> None:
    IO.save_checkpoint({"epoch": epoch, "weights": torch.full((300, 300), float(epoch))}, folder.last)


def loaded(folder: RunFolder) -> int:
    """Return the epoch of the checkpoint that a resumed run would start from, after a look at all of it."""
    path = folder.resumable
    assert path is not None
    content = IO.load_checkpoint(path)
    assert (content["weights"] == content["epoch"]).all()
    return content["epoch"]


@pytest.fixture
def saved(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    save(folder, 1)
    save(folder, 2)
    return folder


def intercepted(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> None:
    """Have `act` called with a running number before each call that saving makes of the system."""
    count = iter(range(10**6))

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            act(next(count))
            return function(*arguments, **named)

        return call

    for name in ("fsync", "replace", "open"):
        monkeypatch.setattr(atomic.os, name, before(getattr(os, name)))
    noted = checkpoint_files._Noted
    monkeypatch.setattr(noted, "write", _failing_write(noted.write, act, count))


def _failing_write(write: Callable[..., int], act: Callable[[int], None], count: Any) -> Callable[..., int]:
    def call(self: Any, data: Any) -> int:
        try:
            act(next(count))
        except OSError as error:
            self.refused = error
            raise
        return write(self, data)

    return call


def number_of_calls(saved: RunFolder, monkeypatch: pytest.MonkeyPatch) -> int:
    seen: list[int] = []
    with monkeypatch.context() as patched:
        intercepted(patched, seen.append)
        save(saved, 2)
    return len(seen)


def test_the_last_checkpoint_and_its_predecessor_are_kept_until_the_run_is_finished(saved: RunFolder) -> None:
    assert loaded(saved) == 2
    assert IO.load_checkpoint(saved.previous)["epoch"] == 1
    assert {path.name for path in saved.checkpoints.iterdir()} == {"last.ckpt", "previous.ckpt"}


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_refusal_at_any_moment_leaves_a_whole_checkpoint(
    refusal: int, saved: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = number_of_calls(saved, monkeypatch)
    assert calls > 8
    for place in range(calls):

        def refuse(number: int, place: int = place) -> None:
            if number == place:
                raise OSError(refusal, os.strerror(refusal))

        with monkeypatch.context() as patched:
            intercepted(patched, refuse)
            with pytest.raises(UserError, match=r"Can't write .*last\.ckpt: "):
                save(saved, 3)
        assert loaded(saved) in (2, 3)
        assert not list(saved.checkpoints.glob(".*.tmp"))
        save(saved, 1)  # the same command goes on
        save(saved, 2)
        assert loaded(saved) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(saved: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = number_of_calls(saved, monkeypatch)
    for place in range(calls):
        child = os.fork()
        if child == 0:
            intercepted(monkeypatch, lambda number, place=place: os._exit(9) if number == place else None)
            save(saved, 3)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert loaded(saved) in (2, 3)
        save(saved, 1)
        save(saved, 2)


@pytest.mark.parametrize("damage", ["empty", "cut", "overwritten", "text"])
def test_a_last_checkpoint_that_cannot_be_read_falls_back_to_the_one_before(
    damage: str, saved: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    content = saved.last.read_bytes()
    half = len(content) // 2
    saved.last.write_bytes(
        {"empty": b"", "cut": content[:half], "overwritten": content[:half] + bytes(half), "text": b"no checkpoint"}[
            damage
        ]
    )
    with caplog.at_level("WARNING", "geocompose"):
        assert loaded(saved) == 1
    assert f"{saved.last} can't be read" in caplog.text
    assert f"goes on from {saved.previous}" in caplog.text
    saved.previous.unlink()
    with pytest.raises(UserError, match=r"last\.ckpt can't be read \(.*rerun=true"):
        IO.load_checkpoint(saved.last)


def test_a_last_checkpoint_that_the_system_refuses_is_not_computed_anew(
    saved: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **named: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    saved.previous.unlink()
    monkeypatch.setattr(checkpoint_files.torch, "load", refuse)
    with pytest.raises(RefusedError, match=r"Can't read .*last\.ckpt: permission denied"):
        IO.load_checkpoint(saved.last)


def test_a_best_checkpoint_is_the_recorded_file_with_finite_weights(tmp_path: Path) -> None:
    from geocompose.runs.fingerprint import hash_file

    path = tmp_path / "best.ckpt"
    torch.save({"state_dict": {"model.a": torch.ones(3)}}, path)
    recorded = hash_file(path)
    assert read_best(path, recorded)["state_dict"]["model.a"].tolist() == [1, 1, 1]
    assert read_best(path)["state_dict"]
    torch.save({"state_dict": {"model.a": torch.ones(4)}}, path)
    with pytest.raises(UserError, match=r"best\.ckpt is not the file that the run recorded"):
        read_best(path, recorded)
    torch.save({"state_dict": {"model.a": torch.tensor([1.0, float("nan")])}}, path)
    with pytest.raises(UserError, match=r"NaN or infinite weights \(model\.a\)"):
        read_best(path)
    for content in (b"", b"x" * 100, path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"best\.ckpt is damaged"):
            read_best(path)
