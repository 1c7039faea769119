"""task=reconstruction from the command line: trained, resumed, scored again, and its weights in other tasks."""

import json

import numpy as np
import pytest
import torch

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from tests.kit.command import composed_config, only_run, record_of, run

TINY = (
    "backbone=prithvi_eo_tiny", "backbone.embed_dim=32", "backbone.depth=2", "backbone.num_heads=2",
    "backbone.patch_size=8", "backbone.img_size=32",
)  # fmt: skip
DATA = ("data.num_scenes=4", "data.scene_px=64", "data.tile_px=32", "data.batch_size=4")
QUICK = ("trainer.max_epochs=2", "trainer.accelerator=cpu", "trainer.progress_bar=false", "logger=csv")
MASKED = (
    *TINY, *DATA, *QUICK, "task=reconstruction", "decoder.embed_dim=32", "decoder.depth=1", "decoder.num_heads=2",
    "study=masked", "optimizer.lr=1e-3",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a run, which nobody changes."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(tmp_path_factory.mktemp("masked"))
        run(*MASKED, figures=True)
        return only_run("masked").resolve()


def test_the_task_composes_its_decoder_and_its_data_by_itself():
    config = composed_config("task=reconstruction")
    assert config["decoder"]["_target_"].endswith("MAEDecoder")
    assert config["data"]["_target_"].endswith("SyntheticReconstruction")
    assert composed_config("task=reconstruction", "decoder=unet")["decoder"]["_target_"].endswith("UNetDecoder")


def test_a_run_records_its_losses_beside_those_of_the_mean(trained):
    record = record_of(trained)
    metrics = record["metrics"]
    assert record["status"] == "completed"
    assert {"val/loss", "test/loss", "test/loss_of_mean", "test/RMSE_RED", "test/nRMSE", "test/R2"} <= metrics.keys()
    assert record["baselines"][0]["name"] == "constant"
    target = record["data"]["target"]
    assert (target["kind"], len(target["names"])) == ("reconstruction", 6)
    # The loss is the squares of errors in deviations of the training pixels, over hidden pixels and bands.
    sums = np.load(trained / "tile_sums.npz")["test"].sum(axis=0)
    by_band = sums[:, 4] / sums[:, 0] / np.array(target["std"]) ** 2
    assert metrics["test/loss"] == pytest.approx(by_band.mean(), rel=1e-4)
    assert {path.name for path in (trained / "figures").iterdir()} == {"curves.png", "samples.png"}


def test_the_best_epoch_is_that_of_the_lowest_validation_loss(trained):
    from geocompose.runs.epoch_rows import read_metrics

    losses = [epoch["val/loss"] for epoch in read_metrics(trained / "metrics.csv")]
    assert record_of(trained)["training"]["best_epoch"] == int(np.argmin(losses))
    assert len({epoch["val/loss_of_mean"] for epoch in read_metrics(trained / "metrics.csv")}) == 1


def test_a_resumed_run_hides_what_an_undisturbed_one_would_bit_for_bit(trained, tmp_path, monkeypatch):
    from geocompose.training import computation

    monkeypatch.chdir(tmp_path)
    stop = {"before": 1}

    class Stops(computation.EpochLines):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == stop["before"]:
                raise KeyboardInterrupt

    monkeypatch.setattr(computation, "EpochLines", Stops)
    with pytest.raises(KeyboardInterrupt):
        run(*MASKED)
    stop["before"] = -1
    run(*MASKED)
    resumed = RunFolder(only_run("masked"))
    assert resumed.path.name == trained.name
    one, other = (torch.load(folder.best, weights_only=True) for folder in (resumed, RunFolder(trained)))
    assert all(torch.equal(one["state_dict"][key], value) for key, value in other["state_dict"].items())
    assert record_of(resumed.path)["metrics"] == record_of(trained)["metrics"]


def test_evaluate_gives_the_runs_own_scores_again(trained, capsys):
    run("action=evaluate", f"action.run={trained}")
    (written,) = (trained / "evaluations").glob("*.json")
    again = json.loads(written.read_text())["metrics"]
    recorded = record_of(trained)["metrics"]
    assert again == pytest.approx({name: recorded[f"test/{name}"] for name in again}, rel=1e-6)


def test_predict_says_that_there_is_no_map(trained):
    with pytest.raises(UserError, match=r"task reconstruction predicts what is hidden .* backbone.ckpt_path=RUN"):
        run("action=predict", f"action.run={trained}", "action.input=a.tif", "action.output=b.tif")


@pytest.mark.parametrize("task", ["segmentation", "regression", "classification", "multilabel", "scalar_regression"])
def test_the_weights_start_every_prithvi_task_from_the_runs_folder(task, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = ["decoder=fcn", "decoder.channels=8"] if task in ("segmentation", "regression") else ["decoder=identity"]
    run(
        *TINY, *DATA, *QUICK, f"task={task}", *more, f"backbone.ckpt_path={trained}", "data.normalize=pretraining",
        "trainer.max_epochs=1", "data.baselines=[]",
    )  # fmt: skip
    record, origin = record_of(only_run("default")), record_of(trained)
    assert record["status"] == "completed"
    assert record["weights"]["source"] == str(trained / "checkpoints" / "best.ckpt")
    said = " ".join(str(line) for line in record["said"])
    assert "30 tensors are used" in said
    assert "model.decoder" in said
    assert record["training"]["lr"]["rate"] == pytest.approx(1.2e-4)
    # What the weights saw comes from their run's record, not from the published variant.
    normalized = record["data"]["normalization"]
    assert normalized["mean"] == origin["data"]["normalization"]["mean"]
    assert normalized["std"] == origin["data"]["normalization"]["std"]


def test_every_tensor_of_the_encoder_is_the_runs(trained):
    from geocompose.from_config import build_model
    from geocompose.imagery.bands import HLS_BANDS
    from geocompose.imagery.samples import Inputs, Target

    config = composed_config(*TINY, "decoder=fcn", f"backbone.ckpt_path={trained}/checkpoints/best.ckpt")
    target = Target("segmentation", ("a", "b"))
    model = build_model(config, inputs=Inputs(HLS_BANDS, 32), target=target).model
    state = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    own = {f"model.encoder.{key}": value for key, value in model.encoder.state_dict().items()}
    assert own.keys() == {key for key in state if key.startswith("model.encoder.")}
    assert all(torch.equal(value, state[key]) for key, value in own.items())
    seen = model.encoder.pretraining
    assert (seen.unit, seen.level, seen.taken_for) == ("reflectance_1e4", "BOA", None)
    assert seen.mean == tuple(record_of(trained)["data"]["normalization"]["mean"])


def test_data_that_the_runs_weights_have_not_seen_is_refused(trained):
    loads = (*TINY, f"backbone.ckpt_path={trained}", "data=sen1floods11", "data.root=.")
    from geocompose.imagery.bands import HLS_BANDS
    from geocompose.imagery.units import Values
    from geocompose.training.early_agreement import check_early

    with pytest.raises(UserError, match=r"level: they saw BOA .*, and the data is TOA"):
        check_early(composed_config(*loads), HLS_BANDS, Values("reflectance_1e4", "TOA"))
    stated = composed_config(*loads, "backbone.pretrained_on={level: TOA}")
    with pytest.raises(UserError, match=r"the run of .* has recorded it: leave it out"):
        check_early(stated, HLS_BANDS, Values("reflectance_1e4", "TOA"))
    other = composed_config(*loads, "backbone.pretrained_bands=[RED]")
    with pytest.raises(UserError, match=r"pretrained_bands=\['RED'\], but the run of .* has recorded"):
        check_early(other, HLS_BANDS, Values("reflectance_1e4", "BOA"))


def test_a_run_that_is_not_there_or_not_completed_starts_nothing(trained, tmp_path):
    assert composed_config(*TINY, f"backbone.ckpt_path={tmp_path}")["backbone"]["ckpt_path"] == str(tmp_path)
    (tmp_path / "record.json").write_text((trained / "record.json").read_text().replace("completed", "failed"))
    with pytest.raises(UserError, match="failed"):
        composed_config(*TINY, f"backbone.ckpt_path={tmp_path}")


def test_any_backbone_and_decoder_reconstruct_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(
        "task=reconstruction", "backbone=timm", "backbone.name=test_resnet", "decoder=unet",
        "decoder.channels=[8, 8, 8, 8, 8]",
        *DATA, *QUICK, "task.norm_pix_loss=true", "task.mask_px=8",
    )  # fmt: skip
    record = record_of(only_run("default"))
    assert record["status"] == "completed"
    assert record["metrics"]["test/loss_of_mean"] == pytest.approx(1.0, abs=0.02)
    assert record["baselines"] == []
