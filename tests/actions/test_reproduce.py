"""action=reproduce: a run computed again elsewhere, compared within a tolerance, under the rules of trust."""

import json
import logging
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from geocompose.errors import UserError
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.own_net import NETS

TINY = (
    *SMALL,
    "data.tile_px=32",
    "data.baselines=[]",
    "trainer.max_epochs=1",
    "logger=csv",
    "action.scene_scores=false",
)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """The folder of outputs in which one small run of the study `first` is finished."""
    folder = tmp_path_factory.mktemp("computed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*TINY, "study=first", "optimizer.lr=0.001")
    return folder / "outputs"


@pytest.fixture
def recorded(computed, tmp_path, monkeypatch):
    """A copy of that run in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(computed, "outputs")
    return only_run("first")


def change(run_folder, **values):
    """Write other values into a record."""
    record = record_of(run_folder) | values
    (run_folder / "record.json").write_text(json.dumps(record))


def report(study="reproduced"):
    return json.loads((only_run(study) / "reproduction.json").read_text())


def test_a_run_is_computed_again_elsewhere_with_its_identity_and_metrics(recorded, capsys):
    before = record_of(recorded)
    run("action=reproduce", f"action.run={recorded}", "action.tolerance=0")
    again = only_run("reproduced")
    assert again.name == recorded.name
    assert record_of(again)["metrics"] == before["metrics"]
    assert record_of(again)["training"]["lr"]["rate"] == 0.001
    assert record_of(recorded) == before  # which stays as it was
    typed = yaml.safe_load((again / "overrides.yaml").read_text())
    assert [text for text in typed if "study" not in text] == [*TINY, "optimizer.lr=0.001"]
    assert typed[-1] == "study=reproduced"
    printed = capsys.readouterr().out
    assert "environment: the same" in printed
    assert f"reproduced: {len(before['metrics'])} metrics within a tolerance of 0" in printed
    assert report()["reproduced"] is True


def test_a_cell_of_a_sweep_is_computed_again_without_its_sweeps_launcher(recorded):
    typed = recorded / "overrides.yaml"
    text = typed.read_text()
    typed.write_text(text + '- "launcher.workers=2"\n- "retry=failed"\n- "launcher=local"\n')
    run("action=reproduce", f"action.run={recorded}", "action.tolerance=0")
    again = yaml.safe_load((only_run("reproduced") / "overrides.yaml").read_text())
    assert not [text for text in again if text.startswith(("launcher", "retry"))]


def test_a_reproduction_that_is_there_is_compared_at_once(recorded, capsys):
    run("action=reproduce", f"action.run={recorded}", "study=again")
    seconds = record_of(only_run("again"))["finished"]
    capsys.readouterr()
    change(recorded, metrics=record_of(recorded)["metrics"] | {"test/mIoU": 0.9})
    with pytest.raises(UserError, match=r"1 of \d+ metrics? are not within action.tolerance=0\.001: test/mIoU\. "):
        run("action=reproduce", f"action.run={recorded}", "study=again")
    assert record_of(only_run("again"))["finished"] == seconds
    assert "It was computed before; rerun=true computes it again." in capsys.readouterr().out


@pytest.fixture
def reproduced(recorded):
    """A copy of the run beside its reproduction, which takes no computing any more."""
    target = Path("outputs/reproduced") / recorded.name
    shutil.copytree(recorded, target)
    return recorded


def test_the_field_of_the_environment_that_differs_is_named(reproduced, capsys):
    metrics = record_of(reproduced)["metrics"]
    change(reproduced, metrics=metrics | {"val/loss": 9.0}, versions={"torch": "2.1"}, hardware={"cpu": "another"})
    with pytest.raises(UserError, match=r"val/loss.*in the environment: .*versions\.torch.*hardware\.cpu"):
        run("action=reproduce", f"action.run={reproduced}")
    assert report()["reproduced"] is False
    assert report()["metrics"]["val/loss"]["within"] is False
    assert report()["environment"]["versions.torch"][0] == "2.1"


def test_the_tolerance_decides(reproduced):
    metrics = record_of(reproduced)["metrics"]
    change(reproduced, metrics=metrics | {"test/mIoU": metrics["test/mIoU"] + 0.01})
    run("action=reproduce", f"action.run={reproduced}", "action.tolerance=0.011")
    with pytest.raises(UserError, match=r"action\.tolerance=0\.009"):
        run("action=reproduce", f"action.run={reproduced}", "action.tolerance=0.009")


def test_a_metric_that_is_missing_is_beyond_any_tolerance_and_a_new_one_is_said(reproduced, caplog):
    metrics = record_of(reproduced)["metrics"]
    del metrics["val/ECE"]
    change(reproduced, metrics=metrics)
    with caplog.at_level(logging.INFO, "geocompose"):
        run("action=reproduce", f"action.run={reproduced}")
    assert "Not recorded then, so not compared: val/ECE." in caplog.text
    change(reproduced, metrics=metrics | {"test/old_score": 0.5})
    with pytest.raises(UserError, match="test/old_score"):
        run("action=reproduce", f"action.run={reproduced}", "action.tolerance=1e9")


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["seed=1"], "seed=1 would change nothing"),
        (["action.tolerance=-1"], "tolerance must be 0 or more"),
        (["action.tolerance=nan"], "tolerance must be 0 or more"),
        (["study=first"], "is itself in the study 'first'"),
        (["action.changes={optimizer.lr: 1}"], "optimizer.lr says what is computed"),
        (["action.changes={study: x}"], "study says what is computed"),
        (["action.changes={data.nun_workers: 1}"], "data.nun_workers says what is computed"),
        (["action.changes={data.num_workers.x: 1}"], "no key data.num_workers.x"),
        (["action.changes={data.num_workers: many}"], "data.num_workers takes a whole number"),
    ],
)
def test_what_would_be_another_run_is_refused_before_anything_is_computed(reproduced, overrides, match):
    with pytest.raises(UserError, match=match):
        run("action=reproduce", f"action.run={reproduced}", *overrides)


def test_where_and_how_it_is_computed_may_change(reproduced):
    run(
        "action=reproduce",
        f"action.run={reproduced}",
        "action.changes={trainer.accelerator: auto, data.num_workers: 0}",
    )


@pytest.mark.parametrize("state", ["running", "interrupted", "failed"])
def test_a_run_that_is_not_completed_is_refused(reproduced, state):
    change(reproduced, status=state)
    with pytest.raises(UserError, match="failed" if state == "failed" else "interrupted"):
        run("action=reproduce", f"action.run={reproduced}")


def edit(run_folder, **groups):
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    for group, values in groups.items():
        config[group] = None if values is None else config[group] | values
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_nothing_that_a_file_names_is_executed_unless_it_was_typed(reproduced):
    edit(reproduced, optimizer={"_target_": "os.system"})
    with pytest.raises(UserError, match=r"names 'os\.system'"):
        run("action=reproduce", f"action.run={reproduced}")
    edit(
        reproduced,
        optimizer={"_target_": "torch.optim.AdamW"},
        action={"_target_": "geocompose.actions.predict.predict"},
    )
    with pytest.raises(UserError, match=r"which is not what computes|names"):
        run("action=reproduce", f"action.run={reproduced}")


def test_where_files_are_written_is_never_the_records_to_say(reproduced):
    shutil.rmtree("outputs/reproduced")
    edit(reproduced, study=None)
    config = yaml.safe_load((reproduced / "config.yaml").read_text()) | {"study": "../../elsewhere", "rerun": True}
    (reproduced / "config.yaml").write_text(yaml.safe_dump(config))
    run("action=reproduce", f"action.run={reproduced}")
    assert only_run("reproduced").name == reproduced.name


def test_data_that_is_not_here_is_said_with_what_to_write(reproduced):
    edit(reproduced, data={"root": "/not/there"})
    with pytest.raises(UserError, match=r"data\.root=/not/there is not an .*action\.changes=\{data\.root"):
        run("action=reproduce", f"action.run={reproduced}")


def test_an_imported_run_can_not_be_computed_again(reproduced):
    edit(reproduced, data=None)
    with pytest.raises(UserError, match=r"no data in its configuration.*action=evaluate"):
        run("action=reproduce", f"action.run={reproduced}")


def test_own_code_is_trusted_when_typed_and_compared_with_the_texts_of_then(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "nets_of_mine.py").write_text(NETS)
    own = ("backbone=own", "backbone._target_=nets_of_mine.Net")
    rest = [text for text in TINY if not text.startswith("backbone")]
    try:
        run(*rest, *own, "study=first")
        recorded = only_run("first")
        with pytest.raises(UserError, match=r"action\.trust=\[nets_of_mine\.Net\]"):
            run("action=reproduce", f"action.run={recorded}")
        (tmp_path / "nets_of_mine.py").write_text(NETS + "# another text\n")
        run("action=reproduce", f"action.run={recorded}", "action.trust=[nets_of_mine.Net]")
    finally:
        sys.modules.pop("nets_of_mine", None)
    assert only_run("reproduced").name != recorded.name  # own code is part of a run's identity
    found = report()["environment"]
    assert found["code/nets_of_mine.py"] == ["one text", "another"]
    assert "code.sha256" in found
