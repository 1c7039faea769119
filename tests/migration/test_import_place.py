"""Where action=import_terratorch writes experiments: a folder of the user's, a checkout's conf, never a package's."""

from pathlib import Path

import pytest

from geocompose.actions.import_terratorch import import_terratorch
from geocompose.errors import UserError
from geocompose.experiment import Experiment
from tests.kit.terratorch_runs import FOLDERS, a_run, call, conf, written

__all__ = ["conf"]

WHERE = "geocompose.actions.import_terratorch"


def test_with_a_folder_of_ones_own_the_experiment_is_there(conf: Path, tmp_path: Path, capsys):
    own = tmp_path / "own"
    own.mkdir()
    experiment = Experiment({"study": "default"}, {}, [], conf, config_dirs=(conf, own))
    import_terratorch(experiment, config=written(a_run(data=FOLDERS)))
    file = own / "experiment" / "imported" / "flood.yaml"
    assert file.is_file()
    assert not (conf / "experiment" / "imported" / "flood.yaml").exists()
    line = f"python run.py --config-dir {own} experiment=imported/flood"
    assert line in " ".join(capsys.readouterr().out.split())
    assert f"# Command: {line}\n" in file.read_text()


def test_a_checkout_is_not_written_to_from_another_folder(conf: Path, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(f"{WHERE}.conf_dir", lambda: conf)
    file = Path(written(a_run(data=FOLDERS))).resolve()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(UserError, match=r"not written into the checkout in .* from another folder\. Give a folder"):
        call(conf, config=str(file))
    assert not (conf / "experiment" / "imported" / "flood.yaml").exists()


def test_an_installed_package_is_not_written_to(conf: Path, monkeypatch):
    monkeypatch.setattr(f"{WHERE}.is_installed", lambda: True)
    monkeypatch.setattr(f"{WHERE}.conf_dir", lambda: conf)
    with pytest.raises(UserError, match=r"not written into the installed package\. Give a folder of yours"):
        call(conf, config=written(a_run(data=FOLDERS)))
    assert not (conf / "experiment" / "imported" / "flood.yaml").exists()
