"""A disk that refuses a write of a run stops it, or is said: nothing computed is lost, and the same command goes on."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from geocompose.errors import UserError
from geocompose.figures import style
from geocompose.runs import atomic
from geocompose.runs.run_log import run_log
from geocompose.training import computation
from tests.kit.command import SMALL, only_run, record_of, run

REFUSALS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EFBIG]
THREE = [*SMALL, "trainer.max_epochs=3", "trainer.keep=[best,last]"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*THREE, "study=plain")
        return folder / only_run("plain")


@pytest.fixture
def workplace(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(undisturbed, tmp_path / "outputs" / "copied" / undisturbed.name)
    return only_run("copied")


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, time: int, refusal: int) -> None:
    """Have the file of this name refused when it is written for this time, from 0, and from then on."""
    seen = 0

    def guarded(path: Path, *arguments: Any) -> Any:
        nonlocal seen
        if Path(path).name.startswith(f".{name}."):
            seen += 1
            if seen > time:
                raise OSError(refusal, os.strerror(refusal))
        return open(path, *arguments)

    monkeypatch.setattr(atomic, "open", guarded, raising=False)


@pytest.mark.parametrize(
    ("name", "time", "resumed"),
    [("last.ckpt", 1, 1), ("best.ckpt", 0, 0), ("metrics.csv", 2, 1), ("record.json", 4, 1), ("confusion.npz", 0, 1)],
)
def test_what_was_trained_stays_and_the_same_command_goes_on(
    name: str, time: int, resumed: int, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refusal = REFUSALS[time % len(REFUSALS)]
    with monkeypatch.context() as patch:
        refuse(patch, name, time, refusal)
        with pytest.raises(UserError, match=rf"Can't write .*{name}: ") as told:
            run(*THREE, "study=plain")
    assert len(str(told.value).splitlines()) == 1
    folder = only_run("plain")
    assert record_of(folder)["status"] in ("interrupted", "running")
    run(*THREE, "study=plain")
    record = record_of(folder)
    assert (record["status"], record["resumed"], record["error"]) == ("completed", resumed, None)
    assert record["metrics"] == record_of(undisturbed)["metrics"]
    assert (folder / "metrics.csv").read_text() == (undisturbed / "metrics.csv").read_text()


def test_a_full_disk_costs_the_figures_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)

    def savefig(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(style.Figure, "savefig", savefig)
    with caplog.at_level("WARNING", "geocompose"):
        run(*SMALL, "study=plain", figures=True)
    record = record_of(only_run("plain"))
    assert record["status"] == "completed"
    assert "No space left" in record["training"]["left_out"][0]
    assert "figures could not be made" in caplog.text


def test_a_failure_after_training_is_tried_again_without_training(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores(*arguments: Any) -> Any:
        raise RuntimeError("out of memory")

    checkpoints = {path.name: path.stat().st_mtime_ns for path in (workplace / "checkpoints").iterdir()}
    before = record_of(workplace)
    from geocompose.runs import Record, RunFolder

    folder = RunFolder(workplace)
    with folder.lock():
        record = folder.begin(Record(run_id=before["run_id"]), config="a: 1\n", overrides=[], resume=True)
        record.training = {**before["training"], "left_out": ["The figures: no room"]}
        folder.fail(record, "out of memory")
    with pytest.raises(UserError, match=r"failed before: out of memory.*retry=failed"):
        run(*THREE, "study=copied")
    monkeypatch.setattr(computation.lightning.Trainer, "fit", scores)  # never called
    run(*THREE, "study=copied", "retry=failed")
    after = record_of(workplace)
    assert after["metrics"] == before["metrics"]
    assert after["training"] == before["training"]
    assert {path.name: path.stat().st_mtime_ns for path in (workplace / "checkpoints").iterdir()} == checkpoints


def unfinish(folder: Path, training: dict[str, Any]) -> None:
    record = computation.Record.read(folder / "record.json")
    record.status, record.training = "running", training
    record.write(folder / "record.json")


@pytest.mark.parametrize(
    ("change", "trained", "message"),
    [
        ("no best", True, r"best\.ckpt is missing, and the run is trained"),
        ("other best", True, r"best\.ckpt is not the file that the run recorded"),
        ("no best", False, r"best\.ckpt is missing: of the epochs so far, it is the best"),
        ("best as last", False, r"last\.ckpt is not a checkpoint of this training: the optimizer's state is missing"),
        ("other last", False, r"last\.ckpt is not a checkpoint of this training: its weights have other names or"),
    ],
)
def test_a_checkpoint_that_is_gone_or_of_another_run_is_named(
    change: str, trained: bool, message: str, workplace: Path
) -> None:
    best, last = (workplace / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    unfinish(workplace, {**record_of(workplace)["training"]} if trained else {})
    if change == "no best":
        best.unlink()
    elif change == "other best":
        shutil.copy(last, best)
    elif change == "best as last":
        shutil.copy(best, last)
    else:
        content = torch.load(last, weights_only=True)
        content["state_dict"].popitem()
        torch.save(content, last)
    with pytest.raises(UserError, match=message):
        run(*THREE, "study=copied")


@pytest.mark.parametrize("name", ["run.log", "confusion.npz", "metrics.csv", "tensorboard", "figures", ".lock"])
def test_a_file_for_a_folder_or_a_folder_for_a_file_is_named(
    name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinish(workplace, {})
    (workplace / "checkpoints" / "last.ckpt").unlink()
    place, aside = workplace / name, workplace.parent.parent / "aside"
    place.rename(aside)
    if aside.is_dir():
        place.write_text("")
    else:
        place.mkdir()
    # What begins anew clears the folder; here it can't.
    monkeypatch.setattr("geocompose.runs.folder.RunFolder._clear", lambda folder: None)
    with pytest.raises(UserError, match=rf"Can't (write|use) .*{name}: a (file|folder) stands where a "):
        run(*THREE, "study=copied")
    assert record_of(workplace)["status"] in ("interrupted", "running")


def test_evaluations_that_cannot_be_written_are_named(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        refuse(patch, "", 0, errno.ENOSPC)
        patch.setattr(Path, "mkdir", lambda *a, **n: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
        with pytest.raises(UserError, match=r"Can't write .*evaluations: the file system is read-only"):
            run("action=evaluate", f"action.run={workplace}")
    (workplace / "evaluations").write_text("")
    with pytest.raises(UserError, match=r"Can't write .*evaluations: a file stands where a folder is needed"):
        run("action=evaluate", f"action.run={workplace}")


def test_a_log_on_a_full_disk_is_said_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with run_log() as said:
        said.open(full)
        for number in range(3):
            logging.getLogger("geocompose").warning("message %d", number)
    shown = capsys.readouterr().err
    assert shown.count("/dev/full can't be written (No space left on device)") == 1
    assert "Traceback" not in shown
