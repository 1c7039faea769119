"""A finished run ends with what to try next, in commands that can be typed."""

import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from geocompose.actions.next_steps import next_steps
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.experiment import Experiment
from geocompose.runs import Record, RunFolder
from tests.kit.places import CONF

TYPED = ["decoder=unet", "data.num_scenes=4", "rerun=true"]


def steps(tmp_path, *, kind="segmentation", score=0.5, baseline=0.4, converged=True, metric="mIoU", backbone=None):
    record = Record(run_id="0123456789")
    record.data = {"target": {"kind": kind}}
    record.metrics = {f"val/{metric}": 0.9, f"test/{metric}": score, "test/loss": 2.0}
    record.baselines = [
        {"name": "constant", "detail": "", "metrics": {metric: 0.1 if metric == "mIoU" else 99.0}},
        {"name": "logistic", "detail": "", "metrics": {metric: baseline}},
        {"name": "failed", "detail": "", "metrics": {}},
    ]
    record.training = {"converged": converged}
    config = {"trainer": {"max_epochs": 30}, "backbone": backbone or {}}
    experiment = Experiment(config, {"decoder": "unet"}, TYPED, CONF)
    return dict(next_steps(experiment, record, RunFolder(tmp_path / "run")))


def test_a_model_that_beats_its_baselines_is_compared_and_used(tmp_path):
    found = steps(tmp_path)
    assert list(found) == ["compare", "make a map"]
    assert found["compare"].endswith("-m data.num_scenes=4 seed=0,1,2 decoder=unet,upernet,fcn")
    assert f"action=predict action.run={tmp_path / 'run'} action.input=SCENE.tif" in found["make a map"]


@pytest.mark.parametrize(("metric", "score", "baseline"), [("mIoU", 0.3, 0.4), ("RMSE", 40.0, 30.0)])
def test_a_model_below_its_baselines_is_told_and_what_may_help(tmp_path, metric, score, baseline):
    found = steps(tmp_path, metric=metric, score=score, baseline=baseline, converged=False)
    assert list(found)[:2] == ["not yet worth it", "train longer"]
    assert found["not yet worth it"].startswith("the baseline logistic, which needs no network, is better")
    assert found["train longer"].endswith("decoder=unet data.num_scenes=4 trainer.max_epochs=60")
    assert "other rates" in steps(tmp_path, metric=metric, score=score, baseline=baseline)


@pytest.mark.parametrize(("loss", "told"), [(1.15, True), (0.8, False)])
def test_a_reconstruction_worse_than_the_bands_means_is_told(tmp_path, loss, told):
    record = Record(run_id="0123456789")
    record.metrics = {"test/loss": loss, "test/loss_of_mean": 0.89, "test/RMSE": 5.0}
    record.baselines = [{"name": "constant", "detail": "", "metrics": {"RMSE": 4.0}}]
    experiment = Experiment({"trainer": {"max_epochs": 3}, "backbone": {}}, {}, TYPED, CONF)
    found = dict(next_steps(experiment, record, RunFolder(tmp_path / "run")))
    assert ("not yet worth it" in found) is told
    if told:
        assert found["not yet worth it"].startswith("each band's mean, which needs no network, is better (loss 0.8900")


def test_own_classes_are_trusted_in_the_command_that_makes_a_map(tmp_path):
    own = {"_target_": "my_lab.TwoLevels", "_partial_": True}
    assert steps(tmp_path, backbone=own)["make a map"].endswith("'action.trust=[my_lab.TwoLevels]'")


def test_a_run_without_a_test_and_of_images_says_what_it_can(tmp_path):
    assert "make a map" not in steps(tmp_path, kind="classification")
    assert steps(tmp_path, kind="classification")["compare"].endswith("seed=0,1,2")


def test_the_figure_to_look_at_is_one_that_is_there(tmp_path):
    figures = tmp_path / "run" / "figures"
    figures.mkdir(parents=True)
    (figures / "samples.png").touch()
    assert steps(tmp_path)["look at"] == str(figures / "samples.png")


def test_each_command_can_be_composed(tmp_path):
    commands = [
        step for case in (steps(tmp_path), steps(tmp_path, score=0.1)) for step in case.values() if "run.py" in step
    ]
    assert len(commands) >= 4
    for text in commands:
        words = [word.partition(",")[0] for word in shlex.split(text)[2:] if word != "-m"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            check(compose("config", overrides=words), groups(Path(CONF)))


def test_a_record_of_before_labels_were_described_has_next_steps_too(tmp_path):
    record = Record(run_id="0123456789")
    experiment = Experiment({"trainer": {"max_epochs": 3}, "backbone": {}}, {}, TYPED, CONF)
    assert [word for word, _ in next_steps(experiment, record, RunFolder(tmp_path))] == ["compare"]
