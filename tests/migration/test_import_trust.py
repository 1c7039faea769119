"""What a stranger's files say at import is data: nothing in them is imported, called, resolved or written elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from geocompose.actions.import_terratorch import import_terratorch
from geocompose.cli import Experiment
from geocompose.errors import UserError
from tests.kit.terratorch_runs import a_checkpoint, a_run, call, conf, written

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
