"""action=clean: what can go is shown, and goes only when that is confirmed; runs at work are left alone."""

import pytest

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from tests.kit.command import run
from tests.kit.run_folders import begin, complete, holding

ALL = "action.remove=[last,temporary,best,failed,interrupted]"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study with a run in each state; its completed one has a last checkpoint, as runs of earlier versions do."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "floods"
    done = complete(RunFolder(folder / "done"))
    done.last.write_bytes(b"x" * 1000)
    for name in ("failed", "interrupted"):
        there = RunFolder(folder / name)
        with there.lock():
            record = begin(there)
            there.best.write_bytes(b"best")
            (there.checkpoints / ".last.ckpt.1.tmp").write_bytes(b"half")
            if name == "failed":
                there.fail(record, ValueError("no"))
    return folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("more", [[], [ALL]])
def test_nothing_goes_before_it_is_confirmed(more, study, capsys):
    before = names(study)
    run("action=clean", "study=floods", *more)
    assert names(study) == before
    said = capsys.readouterr().out
    assert "last checkpoints of completed runs" in said
    assert "1.0 kB" in said
    assert "Nothing was removed. action.confirm=true removes it." in said


def test_what_is_confirmed_goes_and_nothing_else(study):
    before = names(study)
    run("action=clean", "study=floods", "action.confirm=true")
    gone = {
        "done/checkpoints/last.ckpt",
        *(f"{name}/checkpoints/.last.ckpt.1.tmp" for name in ("failed", "interrupted")),
    }
    assert set(before) - set(names(study)) == gone
    assert {RunFolder(study / name).status() for name in ("done", "failed", "interrupted")} == {
        "completed", "failed", "interrupted",
    }  # fmt: skip
    run("action=clean", "study=floods", ALL, "action.confirm=true")
    assert [path.name for path in study.iterdir()] == ["done"]
    assert not RunFolder(study / "done").best.exists()
    assert RunFolder(study / "done").status() == "completed"


def test_runs_at_work_are_left_alone(study):
    with holding(RunFolder(study / "at_work")):
        before = names(study / "at_work")
        run("action=clean", "study=floods", ALL, "action.confirm=true")
        assert names(study / "at_work") == before


def test_a_damaged_run_is_said_and_the_others_are_cleaned(study, caplog):
    (study / "failed" / "record.json").write_text("{")
    run("action=clean", "study=floods", ALL, "action.confirm=true")
    assert "failed is passed over" in caplog.text
    assert sorted(path.name for path in study.iterdir()) == ["done", "failed"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["study=flods"], "There is no study flods .*Did you mean study=floods"),
        (["study=floods", "action.remove=[lst]"], "action.remove has no 'lst'"),
        (["study=floods", "backbone=vit"], "backbone=vit would change nothing"),
    ],
)
def test_what_cannot_be_is_refused(overrides, message, study):
    with pytest.raises(UserError, match=message):
        run("action=clean", *overrides)
