"""The doctor from the command line to its table, and what it does with cells that fail."""

import csv
import re
from pathlib import Path

import pytest

from geocompose.configuration.diagnosis import options
from geocompose.doctor import cells as doctor_cells
from geocompose.doctor import doctor as examining
from geocompose.doctor.row import Row
from geocompose.doctor.table import read_rows, row_writer
from geocompose.errors import UserError
from tests.kit.command import run
from tests.kit.places import CONF

PROMISED = {"backbone", "decoder", "task", "status", "reason", "necks", "parameters", "trainable", "gflops", "seconds"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doctor(backbones: str, decoders: str, tasks: str, *overrides: str) -> list[Row]:
    """Run the doctor in this process and return its table."""
    chosen = [f"action.backbones={backbones}", f"action.decoders={decoders}", f"action.tasks={tasks}"]
    run("action=doctor", "action.workers=1", *chosen, *overrides)
    return read_rows(Path("outputs/doctor.csv"))


def test_the_doctor_writes_a_row_for_every_backbone_decoder_and_task(folder):
    rows = doctor("[resnet50,prithvi]", "[unet,'fc*']", "'*segmentation'", "data.tile_px=48")
    assert [(row.backbone, row.decoder, row.task) for row in rows] == [
        (backbone, decoder, "segmentation") for backbone in ("prithvi", "resnet50") for decoder in ("fcn", "unet")
    ]
    with (folder / "outputs" / "doctor.csv").open() as file:
        assert set(csv.DictReader(file).fieldnames or ()) >= PROMISED
    for row in rows:
        assert (row.status, row.reason) == ("ok", "")
        assert row.parameters >= row.trainable > 1e6
        assert row.gflops > 0.01
        assert row.training_memory_mb > 4 * row.trainable * 4 / 2**20
        assert row.seconds > 0
    assert "SelectIndices, indices: [2, 5, 8, 11]" in rows[1].necks
    assert (folder / "outputs" / "doctor.png").stat().st_size > 3000
    text = (folder / "outputs" / "doctor.md").read_text()
    assert "python run.py action=doctor backbone=resnet50,prithvi 'decoder=unet," in text
    assert "2 backbones x 2 decoders x 1 task: 4 of 4 cells are ok (100.0%)" in text
    assert re.search(r"\| unet \| 1 of 1 \| N\d \| \d+\.\d \|", text)


def test_a_table_that_is_replaced_is_said_to_be(folder, capsys):
    doctor("resnet50", "fcn", "segmentation")
    assert "written: outputs/doctor.csv" in capsys.readouterr().out
    doctor("resnet50", "unet", "segmentation")
    assert "replaced: outputs/doctor.csv" in capsys.readouterr().out


def test_each_task_is_tried_with_data_of_its_own(folder):
    rows = doctor("resnet50", "fcn", "null")
    assert [row.task for row in rows] == options(CONF, "task")
    assert {row.status for row in rows} == {"ok"}
    by_task = {row.task: row for row in rows}
    assert by_task["segmentation"].gflops > 2 * by_task["classification"].gflops  # tiles of 64 and 32 pixels


def test_several_workers_write_what_one_does_in_the_same_order(folder):
    chosen = ("[resnet50,unet]", "[fcn,linear]", "regression")
    alone = doctor(*chosen)
    both = doctor(*chosen, "action.workers=2")
    without_time = [{**row.as_csv(), "seconds": 0} for row in alone]
    assert [{**row.as_csv(), "seconds": 0} for row in both] == without_time
    assert len(alone) == 4


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (("prithfi*", "fcn", "null"), r"backbone=prithfi\* matches no option. Did you mean 'prithvi'\?"),
        (("prithvi", "[fcn,upper*]", "null"), r"decoder=upper\* matches no option. Did you mean 'upernet'\?"),
        (
            ("prithvi", "fcn", "segmentaton"),
            r"task=segmentaton matches no option. Did you mean 'segmentation'\?",
        ),
        (
            ("timm", "fcn", "null"),
            "No backbone is left to try. timm: it stands for all of its kind: backbone.name has to be",
        ),
    ],
)
def test_a_pattern_that_leaves_nothing_is_refused(folder, patterns, message):
    with pytest.raises(UserError, match=message):
        doctor(*patterns)
    assert list(folder.iterdir()) == []


def test_what_can_be_no_cell_is_named_with_its_reason(folder, monkeypatch, capsys):
    monkeypatch.setattr(doctor_cells, "PACKAGES", {"smp": ("no_such_package",)})
    monkeypatch.setattr(doctor_cells, "installed", lambda source: False)
    rows = doctor("[timm,resnet50]", "[fcn,smp_unet]", "segmentation")
    assert [(row.backbone, row.decoder) for row in rows] == [("resnet50", "fcn")]
    told = capsys.readouterr().out
    assert "left out: backbone=timm: it stands for all of its kind: backbone.name has to be given" in told
    assert "left out: decoder=smp_unet: smp is not installed (pip install -r requirements-smp.txt)" in told
    assert "`decoder=smp_unet`: smp is not installed" in (folder / "outputs" / "doctor.md").read_text()


def test_a_source_that_comes_with_the_project_is_installed_by_the_projects_own_file(folder, monkeypatch, capsys):
    monkeypatch.setattr(doctor_cells, "installed", lambda source: source != "transformers")
    doctor("[transformers_*,resnet50]", "[fcn]", "segmentation")
    assert "transformers is not installed (pip install -r requirements.txt)" in capsys.readouterr().out


def test_a_refused_cell_has_the_refusal_as_its_reason_and_no_numbers(folder, capsys):
    (bad, good) = doctor("vit", "[linear,upernet]", "segmentation", "neck=none")[::-1]
    assert bad.status == "refused"
    assert bad.reason.startswith("UperNetDecoder needs a pyramid, finest level first, but gets levels at strides")
    assert bad.parameters is bad.trainable is bad.gflops is bad.training_memory_mb is None
    assert (good.status, good.necks) == ("ok", "none")
    assert "1 of 2 cells ok (50.0%)" in capsys.readouterr().out
    assert "| 1 | vit + upernet | UperNetDecoder needs" in (folder / "outputs" / "doctor.md").read_text()


def test_a_cell_that_fails_without_a_reason_of_ours_is_counted_apart_and_ends_in_an_error(folder, monkeypatch, capsys):
    true_examine = examining.examine

    def examine(config, preview, keeping=None):
        if config["decoder"]["_target_"].endswith("FCNDecoder"):
            raise ZeroDivisionError("deep\n  inside")
        return true_examine(config, preview, keeping)

    monkeypatch.setattr(examining, "examine", examine)
    with pytest.raises(UserError, match=r"1 cell failed unexpectedly.*resnet50, fcn, segmentation: unexpected: Zero"):
        doctor("resnet50", "[fcn,unet]", "segmentation")
    broken, sound = read_rows(folder / "outputs" / "doctor.csv")
    assert (broken.status, broken.reason) == ("refused", "unexpected: ZeroDivisionError: deep inside")
    assert broken.unexpected
    assert sound.status == "ok"
    assert re.search(r"segmentation +│ +1 │ +0 │ +1 │", capsys.readouterr().out)


def test_all_but_backbone_decoder_and_task_comes_from_the_command_line(folder):
    full = doctor("prithvi", "fcn", "segmentation")[0]
    lora = doctor("prithvi", "fcn", "segmentation", "peft=lora", "peft.r=4", "data.batch_size=4")[0]
    assert full.trainable > 0.9 * full.parameters
    assert lora.trainable < 0.5 * lora.parameters
    assert lora.parameters > full.parameters
    assert lora.training_memory_mb < 0.8 * full.training_memory_mb


def test_data_that_was_given_is_tried_with_its_own_task_alone(folder):
    rows = doctor("resnet50", "fcn", "null", "data=synthetic_regression")
    assert [row.task for row in rows] == ["regression"]
    with pytest.raises(UserError, match=r"task=segmentation: this data has labels for task=regression. Write"):
        doctor("resnet50", "fcn", "segmentation", "data=synthetic_regression")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("backbone=resnet50", r"backbone=resnet50 would change nothing: the doctor tries .* backbone=PATTERN"),
        ("decoder.channels=7", r"decoder.channels=7 would change nothing: the doctor tries .* decoder=PATTERN"),
        ("task=regression", r"task=regression would change nothing: the doctor tries .* task=PATTERN"),
        ("scheduler=none", "scheduler=none would change nothing: no composition depends on it"),
        ("seed=3", "seed=3 would change nothing"),
        ("action.workers=0", "action.workers must be 1 or more; got 0"),
        (
            "head.channel_list=[8]",
            "can't be composed .task=classification.: .*channel_list.* task=NAME chooses the tasks to try",
        ),
    ],
)
def test_an_override_that_cannot_be_is_refused(folder, override, message):
    with pytest.raises(UserError, match=message):
        run("action=doctor", "action.backbones=resnet50", "action.decoders=fcn", override)


def test_a_batch_of_one_that_batch_norm_refuses_is_refused(folder):
    (row,) = doctor("resnet50", "smp_deeplabv3", "segmentation", "data.batch_size=1", "data.tile_px=32")
    assert row.status == "refused"
    assert "Use data.batch_size=2 or more" in row.reason


def test_rows_are_in_the_file_as_soon_as_they_are_known(tmp_path):
    rows = [
        Row("a", "b", "segmentation", "ok", "", "[{name: X, indices: [1, 2]}]", 3, 2, 0.5, 70, 0.25),
        Row("a", "c", "segmentation", "refused", 'says "no", because', seconds=0.125),
    ]
    with row_writer(tmp_path / "t.csv") as add:
        for count, row in enumerate(rows, start=1):
            add(row)
            assert read_rows(tmp_path / "t.csv") == rows[:count]
