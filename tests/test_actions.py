"""fit, evaluate and predict from the command line to the files on disk."""

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio
import torch
from lightning.pytorch.callbacks import Callback
from rasterio.transform import from_origin

from geocompose.assembly import load_trained
from geocompose.bands import HLS_BANDS
from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.training import session
from geocompose.training.metrics_csv import read_metrics
from tests.command import SMALL, only_run, run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder in which one small run of study `fitted` is finished."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*SMALL, "study=fitted")
    return folder


@pytest.fixture
def workplace(fitted, tmp_path, monkeypatch):
    """A working directory with a copy of the finished run."""
    shutil.copytree(fitted / "outputs", tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    return only_run("fitted")


def record_of(folder):
    return json.loads((folder / "record.json").read_text())


def test_a_run_leaves_all_that_the_design_lists(workplace):
    record = record_of(workplace)
    assert record["status"] == "completed"
    assert workplace.name == f"timm-fcn-none-{record['run_id']}"
    for name in ("config.yaml", "overrides.yaml", "metrics.csv", "run.log", "confusion.npz"):
        assert (workplace / name).is_file(), name
    for name in ("curves", "confusion", "samples"):
        assert (workplace / "figures" / f"{name}.png").stat().st_size > 5000
    assert {path.name for path in (workplace / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert list((workplace / "tensorboard").glob("events*"))
    assert record["model"]["parameters"] >= record["model"]["trainable"] > 0
    assert record["model"]["gflops"] > 0
    assert record["data"]["splits"]["test"]["tiles"] == 4
    assert record["seeds"] == {"seed": 0, "data.seed": 0}
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert [baseline["name"] for baseline in record["baselines"]] == ["logistic"]


def test_recorded_metrics_are_those_of_the_stored_tile_matrices(workplace):
    from geocompose.scores import from_confusion

    record = record_of(workplace)
    with np.load(workplace / "confusion.npz") as matrices:
        for split in ("val", "test"):
            assert matrices[split].dtype == np.int64
            total = matrices[split].sum(axis=0)
            assert total.sum() == record["data"]["splits"][split]["labelled_pixels"]
            for name, value in from_confusion(total, record["data"]["class_names"]).items():
                recorded = record["metrics"][f"{split}/{name}"]
                assert recorded == value or (recorded is None and np.isnan(value))


def test_the_best_epoch_is_the_one_with_the_highest_validation_score(workplace):
    rows = read_metrics(workplace / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1]
    best = max(rows, key=lambda row: row["val/mIoU"])
    record = record_of(workplace)
    assert record["training"]["best_epoch"] == best["epoch"]
    assert record["metrics"]["val/mIoU"] == pytest.approx(best["val/mIoU"], abs=1e-6)
    assert rows[0]["lr"] == pytest.approx(5e-4)


def test_a_finished_run_only_prints_its_result(workplace, capsys, monkeypatch):
    monkeypatch.setattr(session, "compute", None)
    before = (workplace / "record.json").stat().st_mtime_ns
    run(*SMALL, "study=fitted", "data.num_workers=1")
    assert (workplace / "record.json").stat().st_mtime_ns == before
    assert str(workplace) in capsys.readouterr().out


def test_the_same_seed_gives_identical_metrics_and_another_seed_another_run(workplace):
    run(*SMALL, "study=again")
    again, first = record_of(only_run("again")), record_of(workplace)
    assert again["run_id"] == first["run_id"]
    assert again["metrics"] == first["metrics"]
    run(*SMALL, "study=other", "seed=1")
    other = record_of(only_run("other"))
    assert other["run_id"] != first["run_id"]
    assert other["metrics"] != first["metrics"]
    assert other["data"] == first["data"]


def test_a_typed_value_does_not_change_the_identity(workplace):
    run(*SMALL, "study=fitted", "trainer.gradient_clip_val=1", "optimizer.weight_decay=5e-2")
    assert only_run("fitted") == workplace


class StopAfter(Callback):
    """Stops a fit from outside when an epoch has ended."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise self.error


def stopping(monkeypatch, epoch, error):
    real = session.instantiate

    def instantiate(node):
        built = real(node)
        if not str(node["_target_"]).endswith("build_trainer"):
            return built
        return lambda callbacks, **more: built(callbacks=[*callbacks, StopAfter(epoch, error)], **more)

    monkeypatch.setattr(session, "instantiate", instantiate)


def test_an_interrupted_run_resumes_and_ends_like_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL, "trainer.max_epochs=3"]
    run(*small, "study=undisturbed")
    with monkeypatch.context() as patch:
        stopping(patch, 1, KeyboardInterrupt())
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run(*small, "study=stopped")
    stopped = only_run("stopped")
    assert RunFolder(stopped).status() == "interrupted"
    run(*small, "study=stopped")
    record, undisturbed = record_of(stopped), record_of(only_run("undisturbed"))
    assert record["status"] == "completed"
    assert record["resumed"] == 1
    assert [row["epoch"] for row in read_metrics(stopped / "metrics.csv")] == [0, 1, 2]
    assert record["metrics"] == undisturbed["metrics"]


def test_a_failed_run_is_recorded_and_run_again_only_when_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        stopping(patch, 0, RuntimeError("the disk caught fire"))
        with pytest.raises(RuntimeError, match="caught fire"):
            run(*SMALL, "study=failed")
    folder = only_run("failed")
    assert record_of(folder)["status"] == "failed"
    assert "caught fire" in record_of(folder)["error"]
    assert "Traceback" in (folder / "run.log").read_text()
    with pytest.raises(UserError, match=r"failed before: .*caught fire.*retry=failed"):
        run(*SMALL, "study=failed")
    run(*SMALL, "study=failed", "retry=failed")
    assert record_of(folder)["status"] == "completed"
    assert record_of(folder)["error"] is None


def test_the_test_split_stays_closed_until_it_is_asked_for(workplace):
    run(*SMALL, "study=closed", "action.test=false")
    folder = only_run("closed")
    record = record_of(folder)
    assert record["metrics"]["val/mIoU"] > 0
    assert not any(name.startswith("test/") for name in record["metrics"])
    with np.load(folder / "confusion.npz") as matrices:
        assert list(matrices) == ["val"]
    checkpoint = (folder / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    run(*SMALL, "study=closed")
    assert (folder / "checkpoints" / "best.ckpt").stat().st_mtime_ns == checkpoint
    assert record_of(folder)["metrics"] == record_of(workplace)["metrics"]
    assert record_of(folder)["training"] == record_of(workplace)["training"]


def test_evaluate_gives_the_recorded_metrics_again(workplace, capsys):
    run("action=evaluate", f"action.run={workplace}")
    (written,) = (workplace / "evaluations").glob("*.json")
    evaluated = json.loads(written.read_text())
    recorded = record_of(workplace)["metrics"]
    assert evaluated["metrics"] == {name: recorded[f"test/{name}"] for name in evaluated["metrics"]}
    assert str(written) in capsys.readouterr().out


def test_evaluate_takes_other_data_with_the_runs_normalisation(workplace):
    other = ("data=synthetic", "data.seed=7", "data.num_scenes=4", "data.scene_px=64")
    run("action=evaluate", f"action.run={workplace}", *other)
    (written,) = (workplace / "evaluations").glob("*.json")
    evaluated = json.loads(written.read_text())
    normalization = evaluated["described"]["normalization"]
    assert normalization["source"] == "given"
    assert normalization["mean"] == record_of(workplace)["data"]["normalization"]["mean"]
    assert evaluated["described"]["tile_px"] == 32
    assert evaluated["metrics"]["mIoU"] != record_of(workplace)["metrics"]["test/mIoU"]


def test_evaluate_lays_changes_over_the_runs_own_data(workplace):
    run("action=evaluate", f"action.run={workplace}", "action.data={batch_size: 1}")
    (written,) = (workplace / "evaluations").glob("*.json")
    evaluated = json.loads(written.read_text())
    assert evaluated["data"]["num_scenes"] == 4
    assert evaluated["data"]["batch_size"] == 1
    assert evaluated["metrics"]["mIoU"] == record_of(workplace)["metrics"]["test/mIoU"]
    with pytest.raises(UserError, match=r"data\.batch_size=1: evaluate takes the run's own data.*action\.data="):
        run("action=evaluate", f"action.run={workplace}", "data.batch_size=1")
    with pytest.raises(UserError, match=r"no key 'batchsize'\. Did you mean 'batch_size'"):
        run("action=evaluate", f"action.run={workplace}", "action.data={batchsize: 1}")


def test_evaluate_refuses_a_folder_that_is_no_run(workplace):
    with pytest.raises(UserError, match="does not exist"):
        run("action=evaluate", "action.run=outputs/fitted/timm-fcn-none-0")


def write_scene(path, height, width, seed=3):
    pixels = np.random.default_rng(seed).integers(200, 4000, (len(HLS_BANDS), height, width)).astype("int16")
    profile = {"count": len(HLS_BANDS), "height": height, "width": width, "dtype": "int16"}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32633", transform=from_origin(4e5, 5e6, 30, 30), **profile
    ) as file:
        file.write(pixels)
        file.descriptions = HLS_BANDS
    return pixels


def test_predict_writes_what_the_model_says_on_the_rasters_grid(workplace):
    pixels = write_scene("scene.tif", 32, 32)
    run("action=predict", f"action.run={workplace}", "action.input=scene.tif", "action.output=map.tif")
    trained = load_trained(RunFolder(workplace))
    mean, std = (np.reshape(trained.data["normalization"][name], (-1, 1, 1)) for name in ("mean", "std"))
    image = torch.from_numpy(((pixels - mean) / std).astype("float32"))[None]
    with torch.inference_mode():
        expected = trained.model(image).output.argmax(dim=1)[0].numpy()
    with rasterio.open("map.tif") as written, rasterio.open("scene.tif") as scene:
        assert (written.crs, written.transform, written.shape) == (scene.crs, scene.transform, scene.shape)
        assert np.array_equal(written.read(1), expected)


def test_predict_by_windows_writes_every_pixel_of_a_larger_raster(workplace):
    write_scene("scene.tif", 75, 130)
    run(
        "action=predict",
        f"action.run={workplace}",
        "action.input=scene.tif",
        "action.output=maps/map.tif",
        "action.kind=probabilities",
    )
    with rasterio.open("maps/map.tif") as written:
        shares = written.read()
        assert written.descriptions == ("water", "vegetation", "bare", "built")
    assert shares.shape == (4, 75, 130)
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)


def test_predict_does_not_replace_a_map_unasked(workplace):
    write_scene("scene.tif", 32, 32)
    command = ("action=predict", f"action.run={workplace}", "action.input=scene.tif", "action.output=map.tif")
    run(*command)
    with pytest.raises(UserError, match=r"exists already; action\.overwrite=true"):
        run(*command)
    run(*command, "action.overwrite=true")


@pytest.mark.parametrize("study", ["a/b", "..", "", "a b"])
def test_a_study_is_a_folders_name(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="study is a folder's name"):
        run(*SMALL, f"study='{study}'")
    assert not list(tmp_path.iterdir())


def test_metrics_are_one_row_an_epoch(workplace):
    with (workplace / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"epoch", "step", "lr", "train/loss", "val/loss", "val/mIoU"} <= set(rows[0])


def test_options_of_trainer_scheduler_and_loss_train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "study=plateau", "scheduler=plateau", "task.loss={ce: 0.5, dice: 0.5}", "logger=csv")
    run(*SMALL, "study=ema", "trainer.ema_decay=0.5", "scheduler=none", "task.loss=dice")
    run(*SMALL, "study=early", "trainer.early_stopping_patience=1", "optimizer.lr=0", "trainer.max_epochs=6")
    run(*SMALL, "study=bf16", "trainer.precision=bf16-mixed", "task.class_weights=[1, 2, 1, 1]")
    run(*SMALL, "study=frozen", "task.freeze_backbone=true", "data.random_crop=true", "data.rotation_deg=10")
    assert not (only_run("plateau") / "tensorboard").exists()
    assert record_of(only_run("early"))["training"]["epochs"] < 6
    for study in ("plateau", "ema", "early", "bf16", "frozen"):
        assert record_of(only_run(study))["status"] == "completed"
    frozen = record_of(only_run("frozen"))["model"]
    assert frozen["trainable"] < frozen["parameters"]


def test_averaged_weights_are_the_ones_that_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "study=ema", "trainer.ema_decay=0.9", "scheduler=none")
    folder = only_run("ema")
    rows = read_metrics(folder / "metrics.csv")
    recorded = record_of(folder)
    best = rows[recorded["training"]["best_epoch"]]
    assert recorded["metrics"]["val/mIoU"] == pytest.approx(best["val/mIoU"], abs=1e-6)
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert "current_model_state" in checkpoint or "averaging_state" in checkpoint


def test_the_scores_of_averaged_weights_are_those_of_the_best_epoch_not_the_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unsteady = ("optimizer.lr=0.05", "trainer.max_epochs=5", "scheduler=none", "seed=3")
    run(*SMALL, "study=ema", "trainer.ema_decay=0.5", *unsteady)
    folder = only_run("ema")
    rows = {row["epoch"]: row["val/mIoU"] for row in read_metrics(folder / "metrics.csv")}
    best = record_of(folder)["training"]["best_epoch"]
    assert rows[best] == max(rows.values())
    assert rows[4] < rows[best], "the last epoch has to be worse for this test to see anything"
    assert record_of(folder)["metrics"]["val/mIoU"] == pytest.approx(rows[best], abs=1e-6)


def test_the_best_checkpoint_survives_the_move_of_an_interrupted_run(tmp_path, monkeypatch):
    unsteady = ("optimizer.lr=0.05", "trainer.max_epochs=5", "scheduler=none", "seed=3", "study=moved")
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    monkeypatch.chdir(first)
    with monkeypatch.context() as patch:
        stopping(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(*SMALL, *unsteady)
    shutil.copytree(first, second)
    run(*SMALL, *unsteady)
    stayed = record_of(only_run("moved"))
    monkeypatch.chdir(second)
    run(*SMALL, *unsteady)
    moved = record_of(only_run("moved"))
    assert moved["training"] == stayed["training"]
    assert moved["metrics"] == stayed["metrics"]


def test_dropout_of_a_resumed_run_is_that_of_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL, "trainer.max_epochs=3", "head.dropout=0.5"]
    run(*small, "study=undisturbed")
    with monkeypatch.context() as patch:
        stopping(patch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(*small, "study=stopped")
    run(*small, "study=stopped")
    losses = [
        [row["train/loss"] for row in read_metrics(only_run(s) / "metrics.csv")] for s in ("undisturbed", "stopped")
    ]
    assert losses[0] == losses[1]


def test_an_epoch_without_validation_repeats_no_validation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "study=every", "trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2", "scheduler=plateau")
    rows = read_metrics(only_run("every") / "metrics.csv")
    assert [np.isnan(row["val/mIoU"]) for row in rows] == [True, False, True, False]


def test_a_wrong_setting_leaves_an_earlier_result_alone(workplace):
    before = record_of(workplace)
    for wrong in ("optimizer.lr=-1", "trainer.accelerator=cda", "trainer.devices=2", "head.dropout=1.5"):
        with pytest.raises(Exception, match=r"."):
            run(*SMALL, "study=fitted", "rerun=true", wrong)
        assert record_of(workplace) == before
        assert (workplace / "checkpoints" / "best.ckpt").is_file()
    assert [path.name for path in workplace.parent.iterdir()] == [workplace.name]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epochs=0", r"trainer\.max_epochs is a whole number from 1 on; got 0"),
        ("trainer.check_val_every_n_epoch=9", "never comes in 2 epochs"),
        ("trainer.early_stopping_patience=0", "counts epochs from 1 on, or is null; got 0"),
        ("trainer.devices=2", "one process on one device for now"),
        ("trainer.precision=16-mixed", "needs an accelerator; use bf16-mixed or 32-true"),
        ("trainer.ema_decay=1", "between 0 and 1"),
        ("data.normalize=pretraining", "needs the backbone's published statistics"),
        ("data.batch_size=1", r"single value a channel.*data\.batch_size=2 or more"),
        ("seed=-1", "seed is 0 or more; got -1"),
        ("task.label_smoothing=0.1 task.loss=dice", "belongs to the loss ce"),
    ],
)
def test_a_wrong_setting_is_told_and_writes_nothing(override, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(*SMALL, *override.split())
    assert not list(tmp_path.rglob("record.json"))


def test_one_run_has_one_folder_whatever_its_option_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = [*SMALL[2:], "trainer.max_epochs=1", "backbone.depth=2", "decoder.num_convs=1", "decoder=fcn"]
    run("backbone=prithvi", *tiny)
    run("backbone=prithvi_eo_v2_tiny_tl", *tiny)
    assert only_run("default").name.startswith("prithvi-fcn-none-")


def test_pretraining_statistics_are_used_and_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = [*SMALL[2:], "trainer.max_epochs=1", "backbone.depth=2", "decoder=fcn", "data.normalize=pretraining"]
    run("backbone=prithvi", *tiny)
    normalization = record_of(only_run("default"))["data"]["normalization"]
    assert normalization["mean"] == [1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0]
    assert normalization["source"] == "given"


def test_evaluate_refuses_data_of_other_classes(workplace):
    config = workplace / "record.json"
    record = record_of(workplace)
    record["data"]["class_names"] = ["water", "land", "bare", "built"]
    config.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"The run knows the classes .*land.*; this data has .*vegetation"):
        run("action=evaluate", f"action.run={workplace}")


def test_a_damaged_checkpoint_is_named(workplace):
    best = workplace / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"best\.ckpt is damaged, or not of the run in its folder"):
        run("action=evaluate", f"action.run={workplace}")


def test_a_size_that_a_fixed_backbone_does_not_take_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"takes images of 224 x 224 pixels only; here they are 256 x 256"):
        run(*SMALL, "backbone.name=levit_128s", "backbone.img_size=224", "data.scene_px=256", "data.tile_px=256")


def test_overrides_that_would_change_nothing_are_refused(workplace):
    for wrong in ("backbone=resnet50", "seed=5", "task.loss=dice", "trainer.max_epochs=3"):
        with pytest.raises(UserError, match=f"{wrong} would change nothing: the recorded run"):
            run("action=evaluate", f"action.run={workplace}", wrong)
    write_scene("scene.tif", 32, 32)
    command = ("action=predict", f"action.run={workplace}", "action.input=scene.tif", "action.output=map.tif")
    with pytest.raises(UserError, match=r"data\.tile_px=8 would change nothing"):
        run(*command, "data.tile_px=8")
    with pytest.raises(UserError, match=r"is a folder\. Name the file"):
        run(*command[:3], "action.output=outputs")
    with pytest.raises(UserError, match="there is no such raster"):
        run(*command[:2], "action.input=scen.tif", "action.output=map.tif")


def test_a_class_without_training_label_and_tiles_larger_than_scenes_are_mentioned(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("geocompose.training.session.log.propagate", True)
    run(*SMALL, "study=large", "data.tile_px=128", "trainer.max_epochs=1")
    assert "data.tile_px=128 is more than any scene has" in caplog.text


def test_a_width_too_few_for_smps_unet_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"one width a feature after the first: 5 here, got \[256, 128\]"):
        run(*SMALL[:2], *SMALL[5:], "decoder=smp_unet", "decoder.kwargs.decoder_channels=[256,128]")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epochs=ten", r"^trainer\.max_epochs takes a whole number; got 'ten'"),
        ("optimizer.betas=0.9", r"^optimizer\.betas takes a list, such as \[a, b\]; got 0\.9"),
        ("retry=true", "^retry takes one of failed or null; got true"),
        ("optimizer.lr=-1", "^optimizer or scheduler: Invalid learning rate"),
        ("trainer.accelerator=cda", r"^trainer: .*trainer\.accelerator \(auto, cpu, gpu\)"),
    ],
)
def test_a_wrong_value_is_told_where_it_was_written(override, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(*SMALL, override)
