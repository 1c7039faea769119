"""A merged model says what the run's model says, and is a bundle of the plain composition with all of its weights."""

import json
from dataclasses import replace

import pytest
import torch
from peft import PeftModel

from geocompose.errors import UserError
from geocompose.export.merged import write_merged
from geocompose.export.tiles import made_tiles
from geocompose.from_config import build_model
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.samples import Inputs
from geocompose.inference.plain_model import method_of, plain_model
from geocompose.inference.trained import with_plain_weights
from geocompose.peft.qkv import SplitQkv
from tests.kit.bundles import LORA, PRITHVI, TIMM_VIT, learned_run
from tests.kit.command import composed_config, run
from tests.kit.exported import SMALLEST, source_of
from tests.kit.made_runs import TARGETS

TIMM = {name: ("backbone=timm", f"backbone.name=test_{name}", *TIMM_VIT[2:]) for name in ("resnet", "convnext")}
FAMILIES = {"vit": TIMM_VIT, "prithvi": PRITHVI, **TIMM}


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A run of LoRA on a backbone whose queries, keys and values were split."""
    return learned_run(tmp_path_factory.mktemp("runs") / "run", *LORA, composition=TIMM_VIT)


def outputs(source):
    with torch.inference_mode():
        return source.trained.model(made_tiles(source.run.record.data).normalized).output


def tensors_alike(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_merged_model_is_a_plain_one_with_the_same_outputs(family, tmp_path):
    source = source_of(learned_run(tmp_path / "run", *LORA, composition=FAMILIES[family]))
    assert isinstance(source.trained.model.encoder, PeftModel)
    lines = write_merged(source, tmp_path / "merged")
    assert "made tiles" in lines[0]
    merged = source_of(tmp_path / "merged")  # built by its configuration, in which peft=none
    assert not any(isinstance(part, PeftModel | SplitQkv) for part in merged.trained.model.modules())
    before, after = outputs(source), outputs(merged)
    assert not torch.equal(before, outputs(source_without_adapters(source)))
    assert (before - after).abs().max() <= 1e-5 * max(1, before.abs().max())


def source_without_adapters(source):
    model = plain_model(source.trained.model, method_of(source.run))
    with source.trained.model.encoder.disable_adapter(), torch.no_grad():
        base = source.trained.model.encoder.base_model.model
        taken = {name.replace(".base_layer", ""): value for name, value in base.state_dict().items()}
        model.encoder.load_state_dict(taken, strict=False)
    return replace(source, trained=replace(source.trained, model=model))


def test_its_manifest_says_which_run_it_was_made_of(vit, tmp_path):
    source = source_of(vit)
    write_merged(source, tmp_path / "merged")
    merged = source_of(tmp_path / "merged")
    assert merged.run.config["peft"] == composed_config("peft=none")["peft"]
    assert not merged.run.config["backbone"]["pretrained"]
    manifest = json.loads((tmp_path / "merged/manifest.json").read_text())
    assert manifest["base"] is manifest["adapter"] is None
    assert set(manifest["files"]) == {"config.yaml", "model.safetensors"}
    told = manifest["weights"]["merged"]
    assert told["run_id"] == "0123456789"
    assert told["weights_sha256"] == source.run.weights_sha256
    assert told["compared"]["largest_difference"] <= told["compared"]["tolerance"] == 1e-5


def test_the_run_s_own_model_is_left_as_it_is(vit):
    source = source_of(vit)
    model = source.trained.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plain_model(model, method_of(source.run))
    assert tensors_alike(before, model.state_dict())


@pytest.mark.parametrize("peft", ["none", "frozen"])
def test_a_run_without_adapters_becomes_a_bundle_that_is_whole_by_itself(peft, tmp_path):
    source = source_of(learned_run(tmp_path / "run", f"peft={peft}", kind="classification", composition=SMALLEST))
    write_merged(source, tmp_path / "merged")
    merged = source_of(tmp_path / "merged")
    assert tensors_alike(merged.trained.model.state_dict(), source.trained.model.state_dict())
    assert not merged.trained.model.frozen_parts


def test_a_merged_model_that_says_something_else_is_refused_and_nothing_is_left(vit, tmp_path, monkeypatch):
    def other(model, method):
        plain = plain_model(model, method)
        next(plain.head.parameters()).data += 0.1
        return plain

    monkeypatch.setattr("geocompose.export.merged.plain_model", other)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"merged model does not say .* 1e-05 is allowed"):
        run("action=export", f"action.run={vit}", "action.format=merged", "action.output=merged")
    assert list(tmp_path.iterdir()) == []


def test_what_peft_cannot_merge_is_refused_with_the_formats_that_take_it(vit, tmp_path, monkeypatch):
    source = source_of(vit)

    def unmerged(self, **_):
        raise NotImplementedError("this method has no weights to add")

    monkeypatch.setattr("peft.tuners.lora.LoraModel.merge_and_unload", unmerged)
    with pytest.raises(UserError, match=r"LORA: this method has no weights to add.*action.format=bundle, pt2 or onnx"):
        write_merged(source, tmp_path / "merged")


def test_a_method_that_adds_tensors_to_the_plain_model_is_refused_by_their_names(tmp_path):
    source = source_of(learned_run(tmp_path / "run", kind="classification", composition=SMALLEST))
    source.trained.model.encoder.prompts = torch.nn.Parameter(torch.zeros(3))
    with pytest.raises(UserError, match=r"FullFineTuning can't be merged: .*encoder.prompts.*action.format=bundle"):
        write_merged(source, tmp_path / "merged")


def test_the_command_writes_it_and_it_is_a_start_for_the_next_run(vit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOCOMPOSE_CACHE", str(tmp_path / "cache"))
    export = ("action=export", f"action.run={vit}", "action.format=merged", "action.output=merged")
    run(*export)
    with pytest.raises(UserError, match=r"merged exists already; action.overwrite=true"):
        run(*export)
    run(*export, "action.overwrite=true")
    config = with_plain_weights(composed_config(*TIMM_VIT, "backbone.ckpt_path=merged"))
    started = build_model(config, inputs=Inputs(tuple(HLS_BANDS), 32), target=TARGETS["segmentation"]).model
    merged = source_of(tmp_path / "merged").trained.model
    assert tensors_alike(started.encoder.state_dict(), merged.encoder.state_dict())
