"""A file's keys, as TerraTorch's parser reads them: of a key that stands twice the last counts, and this is told."""

from pathlib import Path

import pytest

from geocompose.migration.lightning_yaml import read_yaml
from tests.kit.terratorch_runs import a_run, call, conf, written

__all__ = ["conf"]

TWICE = """
trainer: &trainer
  max_epochs: 1
  callbacks:
    - {class_path: EarlyStopping, init_args: {patience: 3, patience: 5}}
  max_epochs: 2
model:
  class_path: Task
  init_args:
    lr: 1e-4
    model_args: {decoder: FCNDecoder}
    name: '1e-4'
    model_args: {decoder: IdentityDecoder}
again: *trainer
"""


def test_the_last_of_equal_keys_counts_wherever_they_stand(tmp_path):
    (tmp_path / "twice.yaml").write_text(TWICE)
    tree, repeated = read_yaml(tmp_path / "twice.yaml")
    trainer = {"callbacks": [{"class_path": "EarlyStopping", "init_args": {"patience": 5}}], "max_epochs": 2}
    arguments = {"lr": 0.0001, "name": "1e-4", "model_args": {"decoder": "IdentityDecoder"}}
    assert tree == {"trainer": trainer, "model": {"class_path": "Task", "init_args": arguments}, "again": trainer}
    counts = "the last one counts, as in TerraTorch"
    assert repeated == [
        f"trainer.max_epochs is given twice, as '1' and as '2': {counts}",
        f"trainer.callbacks.0.init_args.patience is given twice, as '3' and as '5': {counts}",
        f"model.init_args.model_args is given twice, as a part and as a part: {counts}",
    ]


@pytest.mark.parametrize("text", ["model: {a: 1}", "model: {a: {b: 1}, c: [1, 1], '1': x, 1: y}"])
def test_a_file_without_equal_keys_is_read_as_it_stands(text, tmp_path):
    (tmp_path / "once.yaml").write_text(text)
    assert read_yaml(tmp_path / "once.yaml")[1] == []


def test_the_account_of_an_import_names_keys_that_stand_twice(conf, capsys):
    path = Path(written(a_run()))
    path.write_text(path.read_text() + "trainer: {max_epochs: 77, max_epochs: 2}\n")
    call(conf, config=str(path))
    told = "trainer.max_epochs is given twice, as '77' and as '2'"
    assert told in " ".join(capsys.readouterr().out.split())
    experiment = (conf / "experiment/imported/flood.yaml").read_text()
    assert told in experiment
    assert "max_epochs: 77" not in experiment
