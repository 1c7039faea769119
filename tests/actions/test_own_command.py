"""A record's command computes that run alone, and can be pasted into a shell."""

import json
import shlex
import sys

import pytest

from geocompose.actions.own_command import own_command
from geocompose.cli import main
from geocompose.experiment import Experiment
from tests.kit.places import CONF, ROOT


def experiment(*overrides: str, in_sweep: bool, folders: tuple = (CONF,)) -> Experiment:
    return Experiment({}, {}, list(overrides), CONF, folders, in_sweep=in_sweep)


def test_a_cell_has_its_own_line_without_the_sweeps_lists(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "-m", "seed=0,1", "decoder=fcn,unet"])
    assert own_command(experiment("seed=1", "decoder=fcn", in_sweep=True)) == "python run.py seed=1 decoder=fcn"


def test_a_single_run_is_quoted_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "task.loss={ce: 0.5, dice: 0.5}", "study=it's"])
    line = own_command(experiment("ignored=1", in_sweep=False))
    assert shlex.split(line) == ["python", *sys.argv]


def test_folders_that_were_typed_come_along(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["run.py", "-m", f"--config-dir={tmp_path}", "seed=0,1"])
    line = own_command(experiment("seed=1", in_sweep=True, folders=(CONF, tmp_path)))
    assert shlex.split(line) == ["python", "run.py", "--config-dir", str(tmp_path), "seed=1"]


@pytest.mark.slow
def test_a_cells_line_is_answered_by_the_cells_own_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["backbone=timm", "backbone.name=test_resnet", "decoder=fcn", "decoder.channels=16", "data.num_scenes=4"]
    small += ["data.scene_px=64", "data.tile_px=32", "trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=csv"]
    odd = ["task.loss={ce: 0.5, dice: 0.5}", "study=it.s"]
    monkeypatch.setattr(sys, "argv", [str(ROOT / "run.py"), "-m", *small, *odd, "seed=0,1", "data.baselines=[]"])
    main(CONF)
    records = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/it.s/*/record.json")]
    assert len(records) == 2
    for recorded in records:
        monkeypatch.setattr(sys, "argv", shlex.split(recorded["command"])[1:])
        capsys.readouterr()
        main(CONF)
        assert f"-{recorded['run_id']}" in capsys.readouterr().out
    assert len(list(tmp_path.glob("outputs/it.s/*"))) == 2
