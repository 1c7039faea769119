"""What a stranger's files say at import is data: nothing in them is imported, called, resolved or written elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from geocompose.actions.import_terratorch import import_terratorch
from geocompose.cli import Experiment
from geocompose.errors import UserError
from geocompose.inference.checkpoint import read_best
from geocompose.runs.fingerprint import hash_file
from tests.kit.terratorch_runs import a_checkpoint, a_run, call, conf, only_run, written

__all__ = ["conf"]

BAD: dict[str, Any] = {"_target_": "os.mkdir", "path": "made"}
PLACES = {
    "backbone argument": {"model_args": {"backbone_kwargs": BAD}},
    "decoder argument": {"model_args": {"decoder_extra": [1, {"a": BAD}]}},
    "necks": {"model_args": {"necks": [BAD]}},
    "task": {"optimizer_hparams": BAD},
    "data": {"data": {"train_transform": [BAD]}},
}


@pytest.mark.parametrize("place", list(PLACES))
def test_a_yaml_that_names_a_target_is_refused_with_the_place(place: str, conf: Path) -> None:
    with pytest.raises(UserError, match=r"flood\.yaml: \w+\..*_target_ names 'os\.mkdir'"):
        call(conf, config=written(a_run(**PLACES[place])))
    assert not Path("made").exists()
    assert not (conf / "experiment" / "imported").exists()


@pytest.mark.parametrize("place", list(PLACES))
def test_a_checkpoint_that_names_a_target_is_refused_with_the_place(place: str, conf: Path) -> None:
    file, _ = a_checkpoint(a_run())
    content = torch.load(file, weights_only=True)
    changes = {key: value for key, value in PLACES[place].items() if key != "data"} or {"extra": BAD}
    content["hyper_parameters"] |= changes
    torch.save(content, file)
    with pytest.raises(UserError, match=r"flood\.ckpt, hyper_parameters: .*_target_ names 'os\.mkdir'"):
        call(conf, ckpt=file, mean=[1.0] * 3, std=[1.0] * 3, tile_px=32)
    assert not Path("made").exists()
    assert not Path("outputs").exists()


def test_what_lightning_notes_beside_the_arguments_is_left_out(conf: Path) -> None:
    file, _ = a_checkpoint(a_run())
    content = torch.load(file, weights_only=True)
    content["hyper_parameters"]["_instantiator"] = "lightning.pytorch.cli.instantiate_module"
    torch.save(content, file)
    call(conf, ckpt=file, config=written(a_run()))
    assert len(list(Path("outputs").glob("*/*/record.json"))) == 1


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "x${now:%Y}", "${.y}"])
def test_interpolations_are_refused_in_both_files(text: str, conf: Path) -> None:
    with pytest.raises(UserError, match=r"flood\.yaml: .*holds the interpolation"):
        call(conf, config=written(a_run(model_args={"backbone_name": text})))
    file, _ = a_checkpoint(a_run())
    content = torch.load(file, weights_only=True)
    content["hyper_parameters"]["note"] = text
    torch.save(content, file)
    with pytest.raises(UserError, match=r"hyper_parameters: note holds the interpolation"):
        call(conf, ckpt=file, config=written(a_run()))


@pytest.mark.parametrize("mark", ["\n", "\r", "\x85", "\u2028", "\u2029"])
def test_a_line_break_in_a_key_stays_in_the_comment(mark: str, conf: Path) -> None:
    tree = a_run(sections={f"odd{mark}seed: 666{mark}x": 1})
    call(conf, config=written(tree))
    (file,) = (conf / "experiment" / "imported").glob("*.yaml")
    content = yaml.safe_load(file.read_text())
    assert content.get("seed") != 666
    assert set(content) <= {"defaults", "study", "seed", *(path.name for path in conf.iterdir())}


@pytest.mark.parametrize("study", ["../../x", "a/b", "/x", "..", ".hidden", ""])
def test_a_study_outside_the_outputs_is_refused(study: str, conf: Path) -> None:
    file, _ = a_checkpoint(a_run())
    experiment = Experiment({"study": study}, {}, ["action=import_terratorch", f"study={study}"], conf)
    with pytest.raises(UserError, match=r"study must be a folder's name"):
        import_terratorch(experiment, ckpt=file, config=written(a_run()))
    assert not (conf / "experiment" / "imported").exists()


@pytest.mark.parametrize("where", ["yaml", "checkpoint"])
def test_a_key_with_dots_does_not_become_a_target(where: str, conf: Path) -> None:
    tree = a_run(model_args={"backbone_kwargs": {"x._target_": "os.mkdir", "x.path": "made"}})
    files: dict[str, Any] = {"config": written(tree)}
    if where == "checkpoint":
        file, _ = a_checkpoint(a_run())
        content = torch.load(file, weights_only=True)
        content["hyper_parameters"]["model_args"] |= tree["model"]["init_args"]["model_args"]
        torch.save(content, file)
        files = {"ckpt": file, "mean": [1.0] * 3, "std": [1.0] * 3, "tile_px": 32}
    with pytest.raises(UserError, match=r"x\._target_ is not a setting"):
        call(conf, **files)
    assert not Path("made").exists()


def test_yaml_that_grows_without_end_is_refused_at_once(conf: Path) -> None:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    Path("flood.yaml").write_text("\n".join(["model: {}", "a0: &a0 [x]", *lines]))
    with pytest.raises(UserError, match=r"flood\.yaml.*more than 100,000 values"):
        call(conf, config="flood.yaml")


def test_an_imported_run_records_its_checkpoint_and_refuses_another(conf: Path) -> None:
    file, _ = a_checkpoint(a_run())
    call(conf, ckpt=file, config=written(a_run()))
    run = only_run()
    recorded = run.read().training["best_sha256"]
    assert recorded == hash_file(run.best)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["best.ckpt"]
    torch.save({"state_dict": {}}, run.best)
    with pytest.raises(UserError, match=r"best\.ckpt is not the file that the run recorded"):
        read_best(run.best, recorded)
