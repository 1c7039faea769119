"""What a finished run keeps: of frozen weights a sha256, from which the same model comes back, or a clear refusal."""

import json
import shutil

import pytest
import torch
import yaml

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.runs.fingerprint import hash_file
from tests.actions.test_fit import undisturbed_and_resumed
from tests.kit.command import SMALL, only_run, record_of, run


def checkpoint(study, name="best"):
    return torch.load(only_run(study) / "checkpoints" / f"{name}.ckpt", weights_only=True)


def forget_hash(folder):
    """Take the checkpoint's sha256 out of a record, as if its file were the recorded one."""
    record = record_of(folder)
    record["training"]["best_sha256"] = hash_file(folder / "checkpoints" / "best.ckpt")
    (folder / "record.json").write_text(json.dumps(record))


@pytest.fixture(scope="module", params=["peft=frozen", "peft=lora", "task.freeze_decoder=true"])
def frozen(request, tmp_path_factory):
    """A folder with a finished run of the study `short`, of which some part was frozen."""
    folder = tmp_path_factory.mktemp("frozen")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*SMALL, request.param, "study=short")
    return folder, request.param


@pytest.fixture
def workplace(frozen, tmp_path, monkeypatch):
    shutil.copytree(frozen[0] / "outputs", tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    return only_run("short")


def test_frozen_weights_are_not_in_the_file_and_come_back(workplace, frozen):
    record, content = record_of(workplace), checkpoint("short")
    run(*SMALL, frozen[1], "trainer.keep=[best,base]", "study=whole")
    whole = checkpoint("whole")
    assert "base" not in whole
    left_out = whole["state_dict"].keys() - content["state_dict"].keys()
    part = "model.decoder." if "decoder" in frozen[1] else "model.encoder."
    assert left_out
    assert all(name.startswith(part) for name in left_out)
    assert all(torch.equal(content["state_dict"][name], whole["state_dict"][name]) for name in content["state_dict"])
    assert record["weights"]["base"] == content["base"]
    assert record["metrics"] == record_of(only_run("whole"))["metrics"]
    run("action=evaluate", f"action.run={workplace}")
    (written,) = (workplace / "evaluations").glob("*.json")
    evaluated = json.loads(written.read_text())["metrics"]
    assert "mIoU" in evaluated
    for name, value in evaluated.items():
        if "scene_" not in name:
            assert record["metrics"][f"test/{name}"] == pytest.approx(value, abs=1e-6, nan_ok=True), name


def test_another_base_is_refused(workplace):
    config = yaml.safe_load((workplace / "config.yaml").read_text())
    config["seed"] = 1  # other random weights
    (workplace / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"best\.ckpt holds only what learned, .*their sha256 differs"):
        run("action=evaluate", f"action.run={workplace}")


@pytest.mark.parametrize("told", [None, {"sha256": 1, "dtype": "float32"}, {"sha256": "x", "dtype": "load"}, {}])
def test_a_checkpoint_that_does_not_say_its_base_is_refused(told, workplace):
    content = checkpoint("short")
    content["base"] = told
    torch.save(content, workplace / "checkpoints" / "best.ckpt")
    forget_hash(workplace)
    with pytest.raises(UserError, match="does not say which frozen weights it left out"):
        run("action=evaluate", f"action.run={workplace}")


@pytest.mark.parametrize("more", ["trainer.ema_decay=0.5", "trainer.precision=bf16-true"])
def test_a_run_with_frozen_weights_resumes_as_if_undisturbed(more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    undisturbed_and_resumed(
        monkeypatch, [*SMALL, "peft=lora", "trainer.max_epochs=3", "trainer.keep=[best,last]", more]
    )
    for name in ("best", "last"):
        first, second = checkpoint("undisturbed", name), checkpoint("stopped", name)
        assert first["base"] == second["base"]
        assert first["state_dict"].keys() == second["state_dict"].keys()
        assert all(torch.equal(value, second["state_dict"][key]) for key, value in first["state_dict"].items())
    assert record_of(only_run("stopped"))["metrics"] == record_of(only_run("undisturbed"))["metrics"]


def test_blocks_that_are_never_reached_stay_in_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "study=all")
    assert "base" not in checkpoint("all")


def test_a_frozen_backbone_is_no_start_for_another_run(workplace, frozen):
    best = workplace / "checkpoints" / "best.ckpt"
    if "decoder" in frozen[1]:
        run(*SMALL, f"backbone.ckpt_path={best}", "study=next")
        assert only_run("next")
        return
    with pytest.raises(UserError, match="its run's backbone was frozen: start from the weights that it started from"):
        run(*SMALL, f"backbone.ckpt_path={best}", "study=next")


@pytest.mark.parametrize(
    ("keep", "stays"),
    [("[best]", {"best.ckpt"}), ("[best,last]", {"best.ckpt", "last.ckpt"}), ("[]", set()), ("[last]", {"last.ckpt"})],
)
def test_a_finished_run_keeps_what_it_is_told_to(keep, stays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, f"trainer.keep={keep}", "study=kept", "trainer.max_epochs=1")
    folder = only_run("kept")
    assert {path.name for path in (folder / "checkpoints").iterdir()} == stays
    if "best.ckpt" not in stays:
        with pytest.raises(UserError, match=r"has no checkpoints/best\.ckpt.*trainer\.keep=\[best\]"):
            run("action=evaluate", f"action.run={folder}")


def test_a_run_that_is_not_tested_yet_keeps_its_best_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "trainer.keep=[]", "study=closed", "action.test=false", "trainer.max_epochs=1")
    assert RunFolder(only_run("closed")).best.is_file()
    run(*SMALL, "trainer.keep=[]", "study=closed", "trainer.max_epochs=1")
    assert not RunFolder(only_run("closed")).best.exists()


@pytest.mark.parametrize("keep", ["[first]", "[best,best]"])
def test_what_cannot_be_kept_is_refused_before_the_first_batch(keep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"trainer\.keep must be a list of best, last, base"):
        run(*SMALL, f"trainer.keep={keep}")
    assert not (tmp_path / "outputs").exists()
