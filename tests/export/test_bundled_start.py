"""A bundle as the start of another run: its backbone, adapters merged, are the weights that `ckpt_path` loads."""

import shutil

import pytest
import torch

from geocompose.errors import UserError
from geocompose.inference.trained import load_trained, with_plain_weights
from geocompose.runs.bundle import read_bundle
from tests.kit.bundles import LORA, PRITHVI, bundle_of, learned_run, opened, outputs
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.made_runs import TARGETS, TINY, make_run, trained


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOCOMPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function that gives a run and its bundle, made once."""
    there = {}

    def make(*overrides, **more):
        key = (overrides, *more.items())
        if key not in there:
            folder = tmp_path_factory.mktemp("bundle")
            there[key] = learned_run(folder / "run", *overrides, **more), folder / "sent"
            bundle_of(*there[key])
        return there[key]

    return make


def start_from(bundle):
    """Return the file of plain weights that a backbone starts from."""
    return with_plain_weights({"backbone": {"ckpt_path": str(bundle)}})["backbone"]["ckpt_path"]


@pytest.mark.parametrize(
    ("method", "composition"),
    [
        (("peft=none",), PRITHVI),
        (LORA, PRITHVI),
        (("peft=frozen",), TINY),
        ((*LORA, "+peft.kwargs.use_dora=true"), TINY),
    ],
)
def test_a_backbone_that_starts_from_a_bundle_computes_what_the_bundles_does(method, composition, made, tmp_path):
    first, bundle = made(*method, composition=composition)
    start = f"backbone.ckpt_path={start_from(bundle)}"
    second = make_run(tmp_path / "second", TARGETS["segmentation"], start, composition=composition)
    images = torch.randn(2, 6, 32, 32, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        ours, theirs = (trained(each).model.encoder(images) for each in (second, first))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_run_starts_from_a_bundle_and_is_bundled_again(made, tmp_path):
    _, bundle = made(*LORA, composition=TINY)
    study = ("study=next", "trainer.max_epochs=1", *LORA, f"backbone.ckpt_path={bundle}")
    run(*SMALL, *study)
    second = only_run("next")
    assert record_of(second)["weights"]["source"].endswith(f"/sent-{read_bundle(bundle).sha256}.safetensors")
    run("action=export", f"action.run={second}", "action.output=sent")
    base = read_bundle("sent").manifest.base
    assert (base.origin, base.files) == ("file", {"backbone.ckpt_path": read_bundle(bundle).sha256})
    assert torch.equal(outputs(trained(second).model), outputs(trained(tmp_path / "sent").model))
    moved = shutil.copytree(bundle, tmp_path / "moved")
    assert torch.equal(outputs(load_trained(opened(tmp_path / "sent", moved)).model), outputs(trained(second).model))


def test_the_contents_of_a_bundle_identify_the_run_and_not_its_place(made, tmp_path):
    _, bundle = made(*LORA, composition=TINY)
    moved = shutil.copytree(bundle, tmp_path / "moved")
    for place in (bundle, moved):
        run(*SMALL, "study=same", "trainer.max_epochs=1", f"backbone.ckpt_path={place}")
    only_run("same")


def test_a_damaged_bundle_is_no_start(made, tmp_path):
    _, bundle = made(*LORA, composition=TINY)
    damaged = shutil.copytree(bundle, tmp_path / "damaged")
    with open(damaged / "model.safetensors", "ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match=r"model\.safetensors is not the file that the manifest lists"):
        run(*SMALL, f"backbone.ckpt_path={damaged}")


def test_a_folder_that_is_no_bundle_is_no_start(tmp_path):
    with pytest.raises(UserError, match=r"is a folder\. Give a file of weights"):
        run(*SMALL, f"backbone.ckpt_path={tmp_path}")
