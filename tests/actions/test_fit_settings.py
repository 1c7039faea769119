"""Settings of a fit: each does what it says, and a wrong one is told before anything is written."""

import numpy as np
import pytest
import torch

from geocompose.errors import UserError
from geocompose.runs.epoch_rows import read_metrics
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.data_rasters import BANDS, image, label, write


@pytest.mark.parametrize("study", ["a/b", "..", "", "a b"])
def test_a_study_is_a_folders_name(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="study must be a folder's name"):
        run(*SMALL, f"study='{study}'")
    assert not list(tmp_path.iterdir())


def test_options_of_trainer_scheduler_and_loss_train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = (*SMALL, "data.landscape=spectral")
    run(*small, "study=plateau", "scheduler=plateau", "task.loss={ce: 0.5, dice: 0.5}", "logger=csv")
    run(*small, "study=ema", "trainer.ema_decay=0.5", "scheduler=none", "task.loss=dice")
    run(*small, "study=early", "trainer.early_stopping_patience=1", "optimizer.lr=1e-30", "trainer.max_epochs=6")
    run(*small, "study=bf16", "trainer.precision=bf16-mixed", "task.class_weights=[1, 2, 1, 1]")
    run(*small, "study=frozen", "task.freeze_backbone=true", "data.random_crop=true", "data.rotation_deg=10")
    assert not (only_run("plateau") / "tensorboard").exists()
    assert record_of(only_run("early"))["training"]["epochs"] < 6
    for study in ("plateau", "ema", "early", "bf16", "frozen"):
        assert record_of(only_run(study))["status"] == "completed"
    frozen = record_of(only_run("frozen"))["model"]
    assert frozen["trainable"] < frozen["parameters"]


@pytest.mark.parametrize(
    ("optimizer", "scheduler", "more"),
    [
        ("adam", "warmup_cosine", "scheduler.milestones=[1]"),
        ("sgd", "one_cycle", "optimizer.nesterov=true"),
        ("radam", "step", "optimizer.decoupled_weight_decay=true"),
        ("rmsprop", "polynomial", "optimizer.centered=true"),
        ("adamw", "plateau", "task.lr_by_part={backbone: 1.0e-5}"),
    ],
)
def test_every_optimizer_and_schedule_trains(optimizer, scheduler, more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, f"optimizer={optimizer}", f"scheduler={scheduler}", more)
    folder = only_run("default")
    assert record_of(folder)["status"] == "completed"
    rates = [row["lr"] for row in read_metrics(folder / "metrics.csv")]
    assert (rates[0] != rates[1]) is (scheduler not in ("step", "plateau"))


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


def test_an_epoch_without_validation_repeats_no_validation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "study=every", "trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2", "scheduler=plateau")
    rows = read_metrics(only_run("every") / "metrics.csv")
    assert [np.isnan(row["val/mIoU"]) for row in rows] == [True, False, True, False]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scheduler=step scheduler.step_size=0", r"scheduler \(StepLR, scheduler\.step_size=0, .*ZeroDivisionError"),
        ("scheduler=cosine scheduler.T_max=0", r"scheduler \(CosineAnnealingLR, scheduler\.T_max=0, .*ZeroDivision"),
        (
            "scheduler=plateau scheduler.factor=1",
            r"scheduler \(ReduceLROnPlateau, scheduler\.factor=1\.0, .*should be < 1",
        ),
        (
            "scheduler=step scheduler.step_size=1 scheduler.gamma=-1",
            r"scheduler\.gamma=-1\.0\): the learning rate would be -0\.0005 in epoch 1",
        ),
        ("optimizer.lr=0", r"Nothing would learn: every learning rate is 0 .*optimizer\.lr=0\.0\)"),
        (
            "optimizer.lr=0 task.lr_by_part={backbone:0}",
            r"Nothing would learn.*Set optimizer\.lr, or task\.lr_by_part of a part, above 0",
        ),
        ("trainer.precision=16-mixed", "needs an accelerator; use bf16-mixed or 32-true"),
        ("data.normalize=pretraining", "needs the backbone's published statistics"),
        ("data.batch_size=1", r"single value per channel.*data\.batch_size=2 or more"),
        ("seed=-1", "seed must be 0 or more; got -1"),
        ("task.label_smoothing=0.1 task.loss=dice", "belongs to the loss ce"),
        ("task.loss={tversky:{alfa:0.3}}", "tversky has no argument 'alfa'. Did you mean 'alpha'"),
        ("task.aux_loss={fcn:0.4}", "names 'fcn', but the model has no such auxiliary head"),
        ("auxiliary=fcn", r"auxiliary head fcn has no weight.*task\.aux_loss=\{fcn: 0\.4\}"),
        ("task.lr_by_part={bakbone:1}", "has no part 'bakbone'. Did you mean 'backbone'"),
        ("scheduler=plateau +scheduler.mode=min", r"mode=min would lower the rate while val/mIoU"),
        ("scheduler=warmup_cosine", r"milestones=\[5\] have to rise.*trainer\.max_epochs=2"),
        ("scheduler=one_cycle scheduler.pct_start=0.1", "has to be more than one step"),
        ("optimizer=sgd optimizer.nesterov=true optimizer.momentum=0", "Nesterov momentum requires"),
        ("task=regression data=synthetic_segmentation", "task=regression needs .*labels"),
    ],
)
def test_a_wrong_setting_is_told_and_writes_nothing(override, message, tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(*SMALL, *override.split())
    assert not list(tmp_path.rglob("record.json"))
    assert not [one for one in recwarn if "lightning" in one.filename], "it is told in our words alone"


def test_a_part_may_have_the_rate_0_while_another_learns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "task.lr_by_part={backbone: 0}", "trainer.max_epochs=1")
    assert record_of(only_run("default"))["status"] == "completed"


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


def test_a_size_that_a_fixed_backbone_does_not_take_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"takes images of 224 x 224 pixels only; here they are 256 x 256"):
        run(*SMALL, "backbone.name=levit_128s", "backbone.img_size=224", "data.scene_px=256", "data.tile_px=256")


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (
            "segmentation",
            ("data=geotiff", "data.labels=*_L.tif", "decoder=fcn"),
            "has the class cloud: is data.class_names in the order of the label's values, or of data.label_values",
        ),
        (
            "classification",
            ("data=geotiff_classification", "data.table=t.csv", "decoder=identity"),
            "has the class cloud, which can't be learnt",
        ),
        (
            "multilabel",
            ("data=geotiff_multilabel", "data.table=t.csv", "data.label_column=label", "decoder=identity"),
            "has the class cloud, which can't be learnt",
        ),
    ],
)
def test_a_class_without_training_label_is_mentioned(kind, given, message, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("geocompose.training.session.log.propagate", True)
    rows = ["file,label"]
    for place in range(6):
        write(tmp_path / f"{place}_S2.tif", image(place, 32, 32), BANDS)
        write(tmp_path / f"{place}_L.tif", label(place, 32, 32))
        rows.append(f"{place}_S2.tif,{('land', 'water')[place % 2]}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    files = ("data.root=.", "data.images=*_S2.tif", "data.class_names=[land, water, cloud]", "data.baselines=[]")
    small = [text for text in SMALL if not text.startswith(("decoder", "data.num_scenes", "data.scene_px"))]
    run(*small, f"task={kind}", *given, *files)
    assert f"No training label {message}" in caplog.text


def test_tiles_larger_than_scenes_are_mentioned(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("geocompose.training.session.log.propagate", True)
    run(*SMALL, "study=large", "data.tile_px=128", "trainer.max_epochs=1")
    assert "data.tile_px=128 is more than any scene has" in caplog.text


def test_a_width_too_few_for_smps_unet_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"one width per feature after the first: 5 here, got \[256, 128\]"):
        run(*SMALL[:2], *SMALL[5:], "decoder=smp_unet", "decoder.kwargs.decoder_channels=[256,128]")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epochs=ten", r"^trainer\.max_epochs takes a whole number; got 'ten'"),
        ("optimizer.betas=0.9", r"^optimizer\.betas takes a list, such as \[a, b\]; got 0\.9"),
        ("retry=true", "^retry takes the word failed or null; got true"),
        ("trainer.accelerator=cda", r"^trainer: .*trainer\.accelerator \(auto, cpu, gpu\)"),
    ],
)
def test_a_wrong_value_is_told_where_it_was_written(override, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(*SMALL, override)


def test_a_data_module_that_declares_no_files_counts_with_all_below_its_root(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lab_data.py").write_text(
        "from geocompose.data.module import SceneData\n"
        "from geocompose.data.sources import GeoTiffSegmentation\n\n\n"
        "def chips(root: str, tile_px: int = 32) -> SceneData:\n"
        "    return SceneData(GeoTiffSegmentation(root=root, images='*_img.tif', labels='*_lab.tif', name='chips',\n"
        "        tile_px=tile_px, class_names=['low', 'high'], batch_size=4))\n"
    )
    for seed in range(3):
        write(tmp_path / "chips" / f"{seed}_img.tif", image(seed), BANDS)
        write(tmp_path / "chips" / f"{seed}_lab.tif", label(seed))
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "chips.yaml").write_text("_target_: lab_data.chips\nroot: chips\ntile_px: 32\n")
    here = f"hydra.searchpath=[file://{tmp_path}/conf]"
    command = (here, "data=chips", *(text for text in SMALL if not text.startswith("data.")))
    with caplog.at_level("INFO", "geocompose"):
        run(*command)
    assert "does not declare which files it reads: all 6 below chips count" in caplog.text
    first = only_run("default")
    assert record_of(first)["data"]["fingerprint_of"] == "every file below root"
    (tmp_path / "chips" / "notes.txt").write_text("any file is part of it")
    run(*command)
    assert len(list((tmp_path / "outputs" / "default").iterdir())) == 2
