"""Mistakes on the command line: one message with the nearest right name, quickly, and nothing left behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from geocompose.catalog.optional import installed
from tests.kit.command import SMALL
from tests.kit.places import CONF, ROOT

RUN = ROOT / "run.py"

# Runs the program as it is and says at its end whether torch was imported.
WATCHED = """
import atexit, runpy, sys
atexit.register(lambda: print("torch" if "torch" in sys.modules else "no torch"))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WATCHED, str(RUN), *arguments]
    quiet = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False, env=quiet)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("bakbone=prithvi", "error: There is no group or key 'bakbone'. Did you mean 'backbone'?"),
        ("backbone=pritvi", "error: backbone has no option 'pritvi'. Did you mean 'prithvi'?"),
        ("backbone.pretraned=true", "error: backbone has no key 'pretraned'. Did you mean 'pretrained'?"),
        ("optimizer.lr=abc", "error: optimizer.lr takes a number; got 'abc'."),
        ("backbone.bands=[RED,GREN]", "error: Unknown band 'GREN'. Did you mean 'GREEN'?"),
        ("+hydra.x=1", "error: +hydra.x=1: hydra has no such key"),
        ("++hydra.job.mood=good", "error: ++hydra.job.mood=good: hydra has no such key"),
        ("data.num_workers=1000", "error: data.num_workers must be 256 or less"),
        (
            "data.dihedral=quarter",
            "error: data.dihedral takes true or false, or one of flips, horizontal, vertical; got 'quarter'.",
        ),
        ("data.tile_px=100000", "error: data.tile_px must be 16384 or less"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(mistake, message, tmp_path):
    done = run(tmp_path, mistake)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.split() == ["no", "torch"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("backbone=torchgeo", "backbone.name=resnet51"),
            "backbone.name=resnet51: torchgeo has no such model. Did you mean 'resnet50'?",
        ),
        (
            ("backbone=transformers", "backbone.name=dinov22"),
            "backbone.name=dinov22: transformers has no backbone of this type. Did you mean 'dinov2'?",
        ),
        (
            ("backbone=smp", "backbone.name=mit_b9"),
            "backbone.name=mit_b9: smp has no such encoder. Did you mean 'mit_b5'?",
        ),
        (
            ("decoder=mmseg", "decoder.name=UPerHed"),
            "There is no mmseg decode head 'UPerHed' here. Did you mean 'UPerHead'?",
        ),
        (
            ("backbone=fusion", "backbone@backbone.parts.s1=torchgeo", "backbone.parts.s1.name=resnet51"),
            "backbone.name=resnet51: torchgeo has no such model. Did you mean 'resnet50'?",
        ),
    ],
)  # fmt: skip
def test_a_wrong_name_of_another_librarys_part_is_told_before_anything_of_it_is_loaded(arguments, message, tmp_path):
    done = run(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.splitlines()[1] == f"  (at {arguments[0]})"
    assert done.stdout.split() == ["no", "torch"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "chosen"),
    [
        ("torchgeo", ("backbone=torchgeo_resnet50",)),
        ("mmseg", ("decoder=mmseg_upernet",)),
        ("terratorch", ("backbone=terratorch_terramind",)),
    ],
)
def test_a_source_that_is_not_installed_is_told_before_torch_is_loaded(source, chosen, tmp_path):
    if installed(source):
        pytest.skip(f"{source} is installed")
    done = run(tmp_path, *chosen)
    assert done.returncode == 1
    assert re.match(
        rf"error: Parts of {source} need .* not installed: pip install -r requirements-{source}\.txt", done.stderr
    )
    assert done.stderr.splitlines()[1] == f"  (at {chosen[0]})"
    assert done.stdout.split() == ["no", "torch"]


@pytest.mark.optional
@pytest.mark.skipif(not installed("torchgeo"), reason="pip install -r requirements-torchgeo.txt")
def test_a_wrong_name_of_torchgeos_weights_is_told_before_torch_is_loaded(tmp_path):
    done = run(tmp_path, "backbone=torchgeo_resnet50", "backbone.weights=SENTINEL2_AL_MOCO")
    assert "torchgeo has no such weights for resnet50. Did you mean 'SENTINEL2_ALL_MOCO'?" in done.stderr
    assert done.stdout.split() == ["no", "torch"]


@pytest.mark.parametrize(
    "override", ["peft.kwargs={use_dora: true}", "peft.kwargs.use_dora=true", "++peft.kwargs.use_dora=true"]
)
def test_what_a_foreign_constructor_knows_is_given_without_a_plus(override, tmp_path):
    done = run(tmp_path, "peft=lora", override, "--cfg", "job", "-p", "peft.kwargs")
    assert done.returncode == 0
    assert "use_dora: true" in done.stdout


def test_a_file_given_as_to_terratorch_is_answered_with_the_import(tmp_path):
    done = run(tmp_path, "fit", "--config", "x.yaml")
    assert done.returncode == 1
    assert "action=import_terratorch action.config=FILE.yaml" in done.stderr
    assert done.stdout.split() == ["no", "torch"]


def test_a_traceback_is_shown_where_it_is_asked_for(tmp_path):
    done = run(tmp_path, "optimizer.lr=abc", "debug=true")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "optimizer.lr takes a number; got 'abc'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_goes_on_after_a_mistake_and_names_it_at_its_end(tmp_path):
    done = run(tmp_path, "-m", "optimizer.lr=abc,def", "seed=1")
    assert done.returncode == 1
    assert "2 cells: 2 failed" in done.stdout
    for value in ("abc", "def"):
        assert f"optimizer.lr takes a number; got '{value}'" in done.stderr
        assert f"failed: optimizer.lr takes a number; got '{value}'." in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("question", ["--help", "--cfg=job"])
def test_help_and_the_composed_configuration_need_no_torch(question, tmp_path):
    done = run(tmp_path, *question.split("="))
    assert done.returncode == 0
    assert done.stderr == ""
    assert "backbone" in done.stdout
    assert done.stdout.endswith("no torch\n")
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_with_one_impossible_cell_computes_the_others_and_leaves_only_runs(tmp_path):
    command = ("-m", *SMALL[2:], "backbone=timm", "backbone.name=test_resnet,test_resnett", "decoder=fcn")
    done = run(tmp_path, *command)
    assert done.returncode == 0
    assert "2 cells: 1 done, 1 refused" in done.stdout
    assert "Did you mean 'test_resnet'" in done.stdout
    assert done.stdout.endswith("no torch\n")
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    study = tmp_path / "outputs" / "default"
    (folder,) = study.glob("*-*")
    assert sorted({path.name for path in study.iterdir()} - {folder.name}) == [
        ".cells.lock",
        "cells.csv",
        "cells.jsonl",
        "logs",
    ]
    strict = run(tmp_path, *command, "action.strict=true")
    assert strict.returncode == 1
    assert "2 cells: 1 finished already, 1 refused" in strict.stdout
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "completed"
    assert command[-1] in record["command"]  # the cell's own, whole
    assert "trainer.max_epochs=2" in record["command"]
    again = run(tmp_path, *command[:-2], "backbone.name=test_resnet", command[-1])
    assert again.returncode == 0
    assert "\n1 cell: 1 finished already\n" in again.stdout
    assert again.stdout.endswith("no torch\n")
    assert f"{record['metrics']['test/mIoU']:.4f}" in again.stdout


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (("data=geotiff", "data.root=/nowhere"), "error: data.root=/nowhere is not an existing folder"),
        (
            ("data=geotiff", "data.root=/vsizip//x/a.zip"),
            "error: data.root=/vsizip//x/a.zip is not an existing folder. Set it to the folder that holds the data. "
            "Archives and stores are read through a folder: unpack it, or write a VRT",
        ),
        (
            ("backbone=timm", "backbone.name=resnet18", "optimizer.lrr=1"),
            "error: optimizer has no key 'lrr'. Did you mean 'lr'",
        ),
        (("+foo=1",), "error: There is no group or key 'foo'"),
        (("optimizer.lr=true",), "error: optimizer.lr takes a number; got true."),
        (("data=geotiff",), "error: data.root, data.images, data.labels, data.class_names are required"),
        (("data=geotiff", "data.root=.", "data.images=i", "data.labels=l", "data.class_names=[a]", "data.split=folder"),
         "error: data.split takes a list, such as [a, b], or the word folders, or null; got 'folder'. Did you mean "
         "'folders'?"),
        (("backbone=resnet18,resnet50",), "error: backbone=resnet18,resnet50 has several values. To run one after "
         "another, add -m.\n"),
        (("data.bands=RED,GREEN",), "error: data.bands=RED,GREEN has several values. To run one after another, add -m. "
         "If one list is meant, write 'data.bands=[RED,GREEN]'.\n"),
        (("seed=range(1,3)",), "error: seed=range(1,3) has several values. To run one after another, add -m.\n"),
    ],
)  # fmt: skip
def test_more_mistakes_are_told_by_what_was_wrong(mistake, message, tmp_path):
    done = run(tmp_path, *mistake)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_required_value_is_told_with_the_folder_that_explains_it(tmp_path):
    done = run(tmp_path, "action=evaluate")
    assert done.stderr.startswith("error: action.run is required: write action.run=VALUE. What a VALUE may be stands ")
    assert done.stderr.endswith(f"in the option's file in {CONF}/action/.\n")  # which is not in the working folder


def test_a_key_of_another_option_is_told_with_that_option(tmp_path):
    done = run(tmp_path, "backbone.name=resnet18")
    assert done.stderr.startswith("error: backbone has no key 'name'. It is a key of backbone=smp, terratorch, timm. ")


def test_a_key_that_is_given_twice_is_said(tmp_path):
    done = run(tmp_path, "seed=1", "trainer.max_epochs=3", "+seed=2", "trainer.max_epochs=0")
    assert "seed is given more than once; the last one counts: seed=2" in done.stderr
    assert "trainer.max_epochs is given more than once; the last one counts: trainer.max_epochs=0" in done.stderr
