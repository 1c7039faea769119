"""Finding runs: the one that a user named, and those below a folder."""

import pytest

from geocompose.errors import UserError
from geocompose.runs import RunFolder, find_run, list_runs
from tests.kit.run_folders import ID, begin, complete


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
