"""task.sampler and data.min_valid from the command line: seeded, resumed bit for bit, said and recorded."""

import pytest
import torch

from geocompose.errors import UserError
from tests.actions.test_fit import undisturbed_and_resumed
from tests.kit.command import SMALL, only_run, record_of, run

RARE = [
    *SMALL,
    "trainer.max_epochs=3",
    "task.sampler=rare_classes",
    "data.random_crop=false",
    "trainer.keep=[best,last]",
]


def weights(study):
    return torch.load(only_run(study) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    "kind", ["segmentation", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("classification", "multilabel"))]
)
def test_a_resumed_run_draws_what_an_undisturbed_one_does(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [*RARE, f"task={kind}"]
    undisturbed_and_resumed(monkeypatch, small)
    first, second = weights("undisturbed"), weights("stopped")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert record_of(only_run("stopped"))["metrics"] == record_of(only_run("undisturbed"))["metrics"]
    run(*SMALL, f"task={kind}", "trainer.max_epochs=3", "trainer.keep=[best,last]", "study=each_once")
    each_once = weights("each_once")
    assert not all(torch.equal(first[name], each_once[name]) for name in first)


def test_tiles_that_are_left_out_are_said_and_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    # Scenes of 64 pixels in tiles of 48: of each scene three tiles are cut off, to a third or a ninth of their pixels.
    with caplog.at_level("INFO", "geocompose"):
        run(*SMALL, "data.tile_px=48", "data.min_valid=0.5", "trainer.max_epochs=1", "study=a")
    record = record_of(only_run("a"))
    assert record["data"]["splits"]["train"] | {"tiles": 8, "tiles_left_out": 6} == record["data"]["splits"]["train"]
    assert "data.min_valid=0.5 leaves out 6 of 8 training tiles" in caplog.text
    assert record["training"]["steps"] == 1
    assert any("min_valid" in str(line) for line in record["said"])


def test_an_unknown_rule_and_a_task_of_numbers_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="sampler"):
        run(*SMALL, "task.sampler=rare")
    with pytest.raises(UserError, match="random_crop=true draws"):
        run(*SMALL, "task.sampler=rare_classes", "data.random_crop=true")
    with pytest.raises(UserError, match="sampler"):
        run(*SMALL, "task=regression", "+task.sampler=rare_classes")
    assert not (tmp_path / "outputs").exists()
