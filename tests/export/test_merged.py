"""A merged model says what the run's model says, and is a run of the plain composition."""

import json

import pytest
import torch
from peft import PeftModel

from geocompose.errors import UserError
from geocompose.export.formats import Source
from geocompose.export.merged import plain_model, write_merged
from geocompose.export.tiles import made_tiles
from geocompose.inference.trained import load_trained
from geocompose.peft.qkv import SplitQkv
from geocompose.runs import Trust, load_rules, open_run
from tests.kit.command import composed_config, record_of, run
from tests.kit.exported import learned_run, source_of
from tests.kit.made_runs import trained
from tests.kit.places import CONF

IDENTITY = ("backbone=timm", "backbone.name=test_resnet", "decoder=identity")
DECODER = ("decoder=fcn", "decoder.channels=8", "decoder.num_convs=1")
FAMILIES = {
    **{name: ("backbone=timm", f"backbone.name=test_{name}", *DECODER) for name in ("vit", "resnet", "convnext")},
    "prithvi": (
        "backbone=prithvi_eo_tiny",
        "backbone.embed_dim=48",
        "backbone.depth=4",
        "backbone.num_heads=4",
        *DECODER,
    ),
}


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A run of LoRA on a backbone whose queries, keys and values were split."""
    return learned_run(tmp_path_factory.mktemp("runs") / "lora", "segmentation", "peft=lora", tiny=FAMILIES["vit"])


def outputs(model, record):
    with torch.inference_mode():
        return model(made_tiles(record).normalized).output


@pytest.mark.parametrize("family", FAMILIES)
def test_the_merged_folder_is_a_run_of_the_plain_composition_with_the_same_outputs(family, tmp_path):
    folder = learned_run(tmp_path / "run", "segmentation", "peft=lora", "peft.r=4", tiny=FAMILIES[family])
    source = source_of(folder)
    assert isinstance(source.trained.model.encoder, PeftModel)
    (line, _) = write_merged(source, tmp_path / "merged")
    assert "made tiles" in line
    merged = trained(tmp_path / "merged")  # by its configuration, which has peft=none: names and shapes are those
    assert not any(isinstance(part, PeftModel | SplitQkv) for part in merged.model.modules())
    before, after = (outputs(model, source.trained.data) for model in (source.trained.model, merged.model))
    assert (before - after).abs().max() <= 1e-5 * max(1, before.abs().max())


def test_the_configuration_has_the_option_none_and_no_weights_to_start_from(vit, tmp_path):
    write_merged(source_of(vit), tmp_path / "merged")
    merged = open_run(tmp_path / "merged", load_rules(CONF), Trust([CONF]))
    assert merged.config["peft"] == composed_config("peft=none")["peft"]
    assert not merged.config["backbone"]["pretrained"]
    assert merged.record.weights["merged"]["run_id"] == "0123456789"
    assert merged.record.metrics == {}
    manifest = json.loads((tmp_path / "merged/manifest.json").read_text())
    assert manifest["run"]["run_id"] == "0123456789"
    assert set(manifest["files"]) == {"config.yaml", "record.json", "overrides.yaml", "checkpoints/best.ckpt"}
    assert manifest["compared"]["tolerance"] == 1e-5


def test_the_run_s_own_model_is_left_as_it_is(vit):
    model = source_of(vit).trained.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plain_model(model)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("peft", ["none", "frozen"])
def test_a_run_without_adapters_becomes_one_that_is_whole_by_itself(peft, tmp_path):
    source = source_of(learned_run(tmp_path / "run", "classification", f"peft={peft}", tiny=IDENTITY))
    write_merged(source, tmp_path / "merged")
    merged = trained(tmp_path / "merged").model
    assert torch.equal(outputs(merged, source.trained.data), outputs(source.trained.model, source.trained.data))


def test_a_merged_model_that_says_something_else_is_refused_and_nothing_is_left(vit, tmp_path, monkeypatch):
    other = lambda model: plain_model(model).requires_grad_(False).apply(_shift)  # noqa: E731
    monkeypatch.setattr("geocompose.export.merged.plain_model", other)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"merged model does not say .* 1e-05 is allowed"):
        run("action=export", f"action.run={vit}", "action.format=merged", "action.output=merged")
    assert list(tmp_path.iterdir()) == []


def _shift(part):
    if isinstance(part, torch.nn.Conv2d) and part.bias is not None:
        part.bias += 0.1


def test_a_method_that_changes_more_than_weights_is_refused_with_the_formats_that_take_it(vit, tmp_path, monkeypatch):
    source = source_of(vit)

    def unmerged(self, **_):
        raise NotImplementedError("this method has no weights to add")

    monkeypatch.setattr("peft.tuners.lora.LoraModel.merge_and_unload", unmerged)
    with pytest.raises(UserError, match=r"LORA: this method has no weights to add.*action.format=bundle, pt2 or onnx"):
        write_merged(source, tmp_path / "merged")


def test_a_merged_run_is_predicted_with_and_is_a_start_for_the_next(vit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("action=export", f"action.run={vit}", "action.format=merged", "action.output=merged")
    with pytest.raises(UserError, match=r"merged exists already; action.overwrite=true"):
        run("action=export", f"action.run={vit}", "action.format=merged", "action.output=merged")
    run("action=export", f"action.run={vit}", "action.format=merged", "action.output=merged", "action.overwrite=true")
    assert record_of(tmp_path / "merged")["status"] == "completed"
    config = composed_config(*FAMILIES["vit"], "backbone.ckpt_path=merged/checkpoints/best.ckpt")
    started = build(config).encoder.state_dict()
    encoder = trained(tmp_path / "merged").model.encoder.state_dict()
    assert all(torch.equal(started[name], value) for name, value in encoder.items())


def build(config):
    from geocompose.from_config import build_model
    from geocompose.imagery.bands import HLS_BANDS
    from geocompose.imagery.samples import Inputs
    from tests.kit.made_runs import TARGETS

    return build_model(config, inputs=Inputs(tuple(HLS_BANDS), 32), target=TARGETS["segmentation"]).model


def test_the_source_of_a_merged_run_is_a_run_again(vit, tmp_path):
    write_merged(source_of(vit), tmp_path / "merged")
    again = source_of(tmp_path / "merged")
    assert isinstance(again, Source)
    write_merged(again, tmp_path / "twice")
    once, twice = (
        load_trained(open_run(tmp_path / name, load_rules(CONF), Trust([CONF]))) for name in ("merged", "twice")
    )
    assert all(torch.equal(value, twice.model.state_dict()[name]) for name, value in once.model.state_dict().items())
