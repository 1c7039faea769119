"""What can't be imported is told in one message, and leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from geocompose.actions.import_terratorch import import_terratorch
from geocompose.cli import Experiment
from geocompose.errors import UserError
from tests.kit.terratorch_runs import (
    a_checkpoint,
    a_run,
    call,
    conf,
    only_run,
    written,
)

__all__ = ["conf"]


def test_weights_that_do_not_fit_are_one_message_and_leave_nothing(conf):
    tree = a_run()
    file, _ = a_checkpoint(tree)
    content = torch.load(file, weights_only=True)
    state = content["state_dict"]
    state["model.decoder.more"] = state.pop("model.head.head.2.bias")
    state["model.head.head.2.weight"] = torch.zeros(5, 8, 1, 1)
    torch.save(content, file)
    message = (
        "1 weights of the model are not in the file: head.head.2.bias; 1 weights of the file are not in the model: "
        r"decoder.more; 1 weights have another shape: head.head.2.weight \(\[5, 8, 1, 1\] in the file, \[2, 8, 1, 1\]"
    )
    with pytest.raises(UserError, match=message):
        call(conf, config=written(tree), ckpt=file)
    assert not (conf / "experiment" / "imported").exists()
    assert not Path("outputs").exists()


def test_a_run_that_is_imported_already_is_left_as_it_is_until_it_is_to_be_overwritten(conf, caplog):
    tree = a_run()
    file, _ = a_checkpoint(tree)
    call(conf, config=written(tree), ckpt=file)
    before = only_run().record.stat().st_mtime_ns
    call(conf, config=written(tree), ckpt=file)
    assert only_run().record.stat().st_mtime_ns == before
    call(conf, config=written(tree), ckpt=file, overwrite=True)
    assert only_run().record.stat().st_mtime_ns > before


def test_what_would_make_another_model_stops_the_import_of_weights(conf):
    tree = a_run(model_args={"rescale": False})
    file, _ = a_checkpoint(tree)
    with pytest.raises(UserError, match=r"the model would be another one: .*rescale .*always resized"):
        call(conf, config=written(tree), ckpt=file)
    call(conf, config=written(tree))
    assert "rescale: outputs are always resized" in (conf / "experiment/imported/flood.yaml").read_text()


def test_an_experiment_that_is_there_is_replaced_only_on_demand(conf):
    tree = a_run()
    call(conf, config=written(tree))
    call(conf, config=written(tree))  # the same again does no harm
    tree["model"]["init_args"]["lr"] = 0.5
    with pytest.raises(UserError, match=r"flood.yaml is there already; action.overwrite=true replaces it"):
        call(conf, config=written(tree))
    call(conf, config=written(tree), name="second")
    call(conf, config=written(tree), overwrite=True)
    for name in ("flood", "second"):
        text = (conf / f"experiment/imported/{name}.yaml").read_text()
        assert "lr: 0.5" in text


def test_an_experiment_that_could_not_be_composed_is_not_written(conf):
    tree = a_run({"trainer": {"max_epochs": "many"}})
    with pytest.raises(UserError, match=r"trainer\.max_epochs takes a whole number"):
        call(conf, config=written(tree))
    assert not (conf / "experiment/imported").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give action.config=FILE.yaml, action.ckpt=FILE.ckpt, or both"),
        ({"config": "none.yaml"}, "action.config=none.yaml: there is no such file"),
        ({"ckpt": "none.ckpt"}, "action.ckpt=none.ckpt: there is no such file"),
        ({"config": "text.txt"}, "text.txt is not a TerraTorch configuration"),
        ({"config": "broken.yaml"}, "broken.yaml can't be read as YAML of plain values"),
        ({"config": "interpolated.yaml"}, r"holds the interpolation '\$\{oc.env:HOME\}'"),
        ({"ckpt": "text.txt"}, "text.txt can't be read"),
        ({"ckpt": "stateless.ckpt"}, "has no state_dict; it is not a Lightning checkpoint"),
        ({"ckpt": "foreign.ckpt"}, "holds no weights under `model.`"),
        ({"ckpt": "empty.ckpt"}, r"action\.ckpt=empty\.ckpt is empty\. Copy it again"),
        ({"ckpt": "short.ckpt"}, r"action\.ckpt=short\.ckpt is cut short or damaged \(.*Copy it again"),
        ({"ckpt": "code.ckpt"}, "Files that would execute code are not opened"),
        ({"ckpt": "nan.ckpt"}, r"the tensor model\.b holds NaN or infinite numbers, as do 1 more,"),
        ({"ckpt": "damaged.ckpt"}, r"holds no tensor as model\.a; the file is damaged"),
        ({"ckpt": "listed.ckpt"}, r"model\.init_args\.task .* must be text; got \['segmentation'\]"),
        ({"ckpt": "silent.ckpt"}, "does not say which task it is for"),
        ({"ckpt": "silent.ckpt", "task": "segmentation"}, "has no model_args with a backbone's name"),
        ({"config": "fine.yaml", "name": "a/b"}, "action.name must consist of letters"),
    ],
)
def test_files_that_can_not_be_imported_are_one_message(arguments, message, conf):
    Path("text.txt").write_text("backbone: 3")
    Path("broken.yaml").write_text("model: [")
    Path("interpolated.yaml").write_text("model: {class_path: x}\nseed_everything: ${oc.env:HOME}")
    written(a_run(), "fine.yaml")
    torch.save({"epoch": 3}, "stateless.ckpt")
    torch.save({"state_dict": {"encoder.a": torch.ones(1)}}, "foreign.ckpt")
    torch.save({"state_dict": {"model.a": torch.ones(1)}}, "silent.ckpt")
    torch.save({"state_dict": {"model.a": "weights"}}, "damaged.ckpt")
    Path("empty.ckpt").touch()
    Path("short.ckpt").write_bytes(Path("silent.ckpt").read_bytes()[:500])
    torch.save({"hyper_parameters": Path("."), "state_dict": {}}, "code.ckpt")
    spoilt = {"model.a": torch.ones(1), "model.b": torch.tensor([1.0, np.nan]), "model.c": torch.tensor(np.inf)}
    torch.save({"state_dict": spoilt}, "nan.ckpt")
    listed = {"hyper_parameters": {"task": ["segmentation"]}}
    torch.save({"state_dict": {"model.a": torch.ones(1)}, **listed}, "listed.ckpt")
    with pytest.raises(UserError, match=message):
        call(conf, **arguments)
    assert not (conf / "experiment" / "imported").exists()


def test_a_checkpoint_without_band_names_asks_for_them(conf):
    tree = a_run(model_args={"backbone_bands": None})
    del tree["model"]["init_args"]["model_args"]["backbone_bands"]
    file, _ = a_checkpoint(tree)
    with pytest.raises(UserError, match=r"give 'action\.bands=\[...\]'"):
        call(conf, ckpt=file)
    with pytest.raises(UserError, match=r"action\.mean=\[1\.0\] and .* a number per band; the model reads 3 bands"):
        call(conf, ckpt=file, bands=["BLUE", "GREEN", "RED"], mean=[1.0], std=[1.0] * 3)
    with pytest.raises(UserError, match=r"give 'action\.mean=\[...\]' and 'action\.std=\[...\]'"):
        call(conf, ckpt=file, bands=["BLUE", "GREEN", "RED"])
    call(conf, ckpt=file, bands=["BLUE", "GREEN", "RED"], mean=[1.0] * 3, std=[1.0] * 3)
    assert only_run().read().data["bands"] == ["BLUE", "GREEN", "RED"]


def test_other_overrides_are_refused(conf):
    experiment = Experiment({"study": "default"}, {}, ["action=import_terratorch", "backbone=unet"], conf)
    with pytest.raises(
        UserError, match="backbone=unet would change nothing: action=import_terratorch takes all settings"
    ):
        import_terratorch(experiment, config="x.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ["water", "water"]}, "must be two or more different names"),
        ({"data": {"batch_size": 0}}, "data.batch_size=0 must be 1 or more"),
        ({"model_args": {"num_classes": 1}}, "must be two or more different names"),
    ],
)
def test_data_that_a_run_would_refuse_are_refused_by_the_import(changes, message, conf):
    with pytest.raises(UserError, match=message):
        call(conf, config=written(a_run(**changes)))
    assert not (conf / "experiment/imported").exists()


def test_numbers_of_the_command_line_are_of_every_band(conf):
    with pytest.raises(UserError, match=r"action.mean=\[1.0, 2.0\] .* the model reads 3 bands \(BLUE, GREEN, RED\)"):
        call(conf, config=written(a_run()), mean=[1.0, 2.0])
    with pytest.raises(UserError, match="both are needed"):
        call(conf, config=written(a_run(data={"means": "none.txt", "stds": "none.txt"})), mean=[1.0, 2.0, 3.0])
