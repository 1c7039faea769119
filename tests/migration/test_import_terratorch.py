"""TerraTorch runs brought along: every setting is accounted for, and weights give the outputs that they gave there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import load_file

from geocompose.errors import UserError
from geocompose.migration.lightning_yaml import read_yaml
from tests.kit.command import run
from tests.kit.made_runs import trained
from tests.kit.shared import PARITY, needs_parity
from tests.kit.terratorch_runs import (
    FOLDERS,
    a_checkpoint,
    a_raster,
    a_run,
    call,
    composed,
    conf,
    only_run,
    translated,
    written,
)

__all__ = ["conf"]

RUN = PARITY / "terratorch-run"
CASES = json.loads((PARITY / "index.json").read_text()) if PARITY.is_dir() else {}


def leaves(value: Any, place: str = "") -> list[str]:
    """Return the name of every setting; a list of plain values is one."""
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in leaves(item, f"{place}.{key}")]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, f"{place}.{index}")]
    return [place.removeprefix(".")]


@needs_parity
def test_every_setting_of_a_terratorch_yaml_is_accounted_for():
    tree, _ = read_yaml(RUN / "config.yaml")
    entries = translated(tree).ledger.entries()
    assert sorted(entries) == sorted(leaves(tree))
    assert {entry.verdict for entry in entries.values()} <= {"carried", "not needed", "not carried over"}
    assert all(entry.note for entry in entries.values())


@needs_parity
def test_a_terratorch_yaml_becomes_an_experiment_that_composes(conf, capsys):
    call(conf, config=str(RUN / "config.yaml"))
    path = conf / "experiment" / "imported" / "terratorch_run.yaml"
    first, second = path.read_text().splitlines()[:2]
    assert (first, second[:2]) == ("# @package _global_", "# ")
    config = composed(conf, "experiment=imported/terratorch_run")
    assert config["seed"] == 5
    assert config["study"] == "terratorch_run"
    assert config["backbone"]["variant"] == "prithvi_eo_v2_tiny_tl"
    assert config["backbone"]["embed_dim"] == 48
    assert config["decoder"]["channels"] == [64, 32, 24, 16]
    assert config["head"] | {"_target_": "", "_partial_": True} == {
        "_target_": "", "_partial_": True, "channel_list": [16], "dropout": 0.1, "kernel_size": 1
    }  # fmt: skip
    assert config["data"]["class_names"] == ["Others", "Water"]
    assert config["data"]["normalize"] == "pretraining"  # the means are Prithvi's published ones
    assert config["data"]["images"] == "*/images/*_S2Hand.tif"
    assert config["optimizer"]["lr"] == 1e-4
    assert config["scheduler"]["T_max"] == config["trainer"]["max_epochs"] == 50
    assert config["trainer"]["precision"] == "16-mixed"
    assert config["trainer"]["early_stopping_patience"] == 20
    assert config["trainer"]["gradient_clip_val"] is None  # Lightning's default, not ours
    printed = capsys.readouterr().out
    assert "59 settings: " in printed
    assert not Path("outputs").exists()


@needs_parity
def test_an_imported_run_gives_the_recorded_logits(conf):
    call(conf, config=str(RUN / "config.yaml"), ckpt=str(RUN / "model.ckpt"))
    folder = only_run()
    recorded = load_file(RUN / "logits.safetensors")
    with torch.no_grad():
        logits = trained(folder.path).model(recorded["input.image"]).output
    torch.testing.assert_close(logits, recorded["output.output"], atol=1e-4, rtol=0)
    record = folder.read()
    assert record.status == "completed"
    assert folder.path.parent.name == "terratorch_run"
    assert folder.path.name == f"prithvi-unet-none-{record.run_id}"
    assert record.weights["imported"]["from"] == "TerraTorch"
    assert record.weights["imported"]["ckpt"].endswith("model.ckpt")
    assert sorted(record.weights["imported"]["settings"])[:1] == ["data.class_path"]
    assert len(record.weights["sha256"]) == 64
    assert record.data["normalization"]["mean"] == [1087, 1342, 1433, 2734, 1958, 1363]
    assert record.data["target"]["names"] == ["Others", "Water"]
    assert record.training["epochs"] == 3
    assert record.versions["torch"]


@needs_parity
def test_an_imported_run_is_accepted_by_predict_and_evaluate(conf):
    call(conf, config=str(RUN / "config.yaml"), ckpt=str(RUN / "model.ckpt"))
    folder = only_run().path
    bands = read_yaml(RUN / "config.yaml")[0]["data"]["init_args"]["dataset_bands"]
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        a_raster(Path(f"chips/{split}/images/{split}_S2Hand.tif"), rng.normal(2000, 500, (13, 80, 64)), bands)
        a_raster(Path(f"chips/{split}/labels/{split}_LabelHand.tif"), rng.integers(0, 2, (1, 80, 64)))
    image = "chips/test/images/test_S2Hand.tif"
    run("action=predict", f"action.run={folder}", f"action.input={image}", "action.output=map.tif")
    with rasterio.open("map.tif") as drawn:
        assert drawn.shape == (80, 64)
        assert set(np.unique(drawn.read(1))) <= {0, 1}
    run("action=evaluate", f"action.run={folder}", "action.data={root: chips}")
    (scored,) = (folder / "evaluations").glob("*.json")
    assert 0 <= json.loads(scored.read_text())["metrics"]["mIoU"] <= 1


@needs_parity
def test_a_checkpoint_alone_makes_a_run_once_the_normalisation_is_given(conf):
    with pytest.raises(UserError, match=r"normalised with; give 'action\.mean"):
        call(conf, ckpt=str(RUN / "model.ckpt"))
    call(conf, ckpt=str(RUN / "model.ckpt"), mean=[1087.0] * 6, std=[2248.0] * 6)
    recorded = load_file(RUN / "logits.safetensors")
    with torch.no_grad():
        logits = trained(only_run().path).model(recorded["input.image"]).output
    torch.testing.assert_close(logits, recorded["output.output"], atol=1e-4, rtol=0)
    assert not (conf / "experiment" / "imported").exists()
    call(conf, ckpt=str(RUN / "model.ckpt"), mean=[0.0] * 6, std=[1.0] * 6)
    assert len(list(Path("outputs").glob("*/*/record.json"))) == 2  # images normalised otherwise are another run


# What our configuration has no place for, by the case's name.
WITHOUT_PLACE = {
    "cls_multi_temporal": "num_frames",
    "seg_fcn_no_rescale": "rescale",
    "seg_temporal_coords": "num_frames",
}


@needs_parity
@pytest.mark.parametrize("case", sorted(CASES))
def test_the_model_args_of_a_recorded_case_become_a_configuration_of_the_same_model(case, conf):
    recorded = load_file(PARITY / f"{case}.safetensors")
    arguments = dict(CASES[case]["build_model"])
    task = arguments.pop("task")
    auxiliary = [
        dict(zip(("name", "decoder", "decoder_args"), row, strict=False)) for row in arguments.pop("aux_decoders", [])
    ]
    state = {key: value for key, value in recorded.items() if key.startswith("model.")}
    hyper = {"task": task, "model_args": arguments, "aux_heads": auxiliary or None}
    torch.save({"state_dict": state, "hyper_parameters": hyper}, "case.ckpt")
    image = recorded["input.image"]
    count = image.shape[1]
    given = {"mean": [0.0] * count, "std": [1.0] * count, "tile_px": max(image.shape[-2:])}
    given["bands"] = arguments.get("backbone_bands") or [f"band_{index}" for index in range(count)]
    if given["bands"][0] == "band_0" and arguments["backbone"].startswith("prithvi"):
        given["bands"] = ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"][:count]
    if case in WITHOUT_PLACE:
        with pytest.raises(UserError, match=WITHOUT_PLACE[case]):
            call(conf, ckpt="case.ckpt", **given)
        return
    call(conf, ckpt="case.ckpt", **given)
    with torch.no_grad():
        output = trained(only_run().path).model(image).output
    torch.testing.assert_close(output, recorded["output.output"], atol=1e-4, rtol=0)


def test_names_of_old_checkpoints_load_and_losses_are_left_out_by_name(conf, capsys):
    model_args = {
        "backbone": "prithvi_eo_tiny",
        "backbone_in_chans": None,
        "backbone_embed_dim": 32,
        "backbone_depth": 4,
        "backbone_num_heads": 2,
        "backbone_img_size": 32,
        "necks": [
            {"name": "SelectIndices", "indices": [0, 1, 2, 3]},
            {"name": "ReshapeTokensToImage"},
        ],
        "decoder": "UperNetDecoder",
        "decoder_num_convs": None,
        "decoder_scale_modules": True,
    }
    tree = a_run(model_args=model_args)
    plain = {key: value for key, value in tree["model"]["init_args"]["model_args"].items() if value is not None}
    tree["model"]["init_args"]["model_args"] = plain
    file, model = a_checkpoint(tree)
    content = torch.load(file, weights_only=True)
    old = {
        key.replace("model.encoder.", "model.encoder._timm_module."): value
        for key, value in content["state_dict"].items()
    }
    torch.save({**content, "state_dict": old}, file)
    call(conf, config=written(tree), ckpt=file)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(trained(only_run().path).model(image).output, model(image).output)
    assert only_run().read().weights["imported"]["left_out"] == ["criterion.weight"]
    assert "left out:\n  criterion.weight" in capsys.readouterr().out


def test_where_yaml_and_checkpoint_differ_the_checkpoint_counts_and_the_difference_is_listed(conf, capsys):
    tree = a_run(data=FOLDERS)
    file, _ = a_checkpoint(tree)
    tree["model"]["init_args"]["model_args"]["decoder_channels"] = 64
    tree["model"]["init_args"]["ignore_index"] = 255
    call(conf, config=written(tree), ckpt=file)
    differences = only_run().read().weights["imported"]["differences"]
    assert differences == [
        "model_args.decoder_channels: 64 in the YAML, 8 in the checkpoint, which counts",
        "ignore_index: 255 in the YAML, -1 in the checkpoint, which counts",
    ]
    assert composed(conf, "experiment=imported/flood", "data.root=.")["decoder"]["channels"] == 8
    for text in (capsys.readouterr().out, (conf / "experiment/imported/flood.yaml").read_text()):
        assert "model_args.decoder_channels: 64 in the YAML, 8 in the checkpoint" in text


@pytest.mark.parametrize(
    ("task", "kind", "model_args"),
    [
        ("PixelwiseRegressionTask", "regression", {"num_classes": None, "num_outputs": 2}),
        ("ScalarRegressionTask", "scalar_regression", {"num_classes": None, "decoder": "IdentityDecoder"}),
        ("ClassificationTask", "classification", {"decoder": "IdentityDecoder", "head_dim_list": [8, 4]}),
        ("MultiLabelClassificationTask", "multilabel", {"decoder": "IdentityDecoder"}),
    ],
)
def test_runs_of_every_task_are_imported(task, kind, model_args, conf):
    tree = a_run(task=task, model_args=model_args, module="SomeDataModule")
    arguments = tree["model"]["init_args"]["model_args"]
    for key in [key for key, value in arguments.items() if value is None]:
        del arguments[key]
    if arguments["decoder"] == "IdentityDecoder":
        del arguments["decoder_channels"], arguments["decoder_num_convs"]
    file, model = a_checkpoint(tree, kind)
    call(conf, config=written(tree), ckpt=file, mean=[1.0] * 3, std=[2.0] * 3)
    image = torch.randn(2, 3, 64, 64)
    model_of_run = trained(only_run().path)
    with torch.no_grad():
        torch.testing.assert_close(model_of_run.model(image).output, model(image).output)
    assert model_of_run.target.kind == kind
    assert model_of_run.target.num_outputs == (1 if kind == "scalar_regression" else 2)
    if kind.endswith("regression"):
        assert set(model_of_run.target.mean) == {0.0}  # predictions are in the labels' unit already
        assert set(model_of_run.target.std) == {1.0}


def test_outputs_may_be_named_where_the_files_do_not_name_them(conf):
    tree = a_run(task="PixelwiseRegressionTask", model_args={"num_outputs": 2}, module="SomeDataModule")
    del tree["model"]["init_args"]["model_args"]["num_classes"]
    file, _ = a_checkpoint(tree, "regression")
    given = {"config": written(tree), "ckpt": file, "mean": [1.0] * 3, "std": [2.0] * 3}
    with pytest.raises(UserError, match=r"action.label_names has 1 names, but the model has 2 outputs"):
        call(conf, **given, label_names=["height"])
    call(conf, **given, label_names=["height", "biomass"])
    paths = ("data.root=.", "data.images=i*.tif", "data.labels=l*.tif")
    assert trained(only_run().path).target.names == ("height", "biomass")
    assert composed(conf, "experiment=imported/flood", *paths)["data"]["variables"] == ["height", "biomass"]


def test_auxiliary_heads_come_along_with_their_weights(conf):
    heads = [{"name": "aux", "decoder": "FCNDecoder", "decoder_args": {"decoder_channels": 4, "decoder_num_convs": 1}}]
    tree = a_run(aux_heads=heads, aux_loss={"aux": 0.4}, data=FOLDERS)
    file, model = a_checkpoint(tree, aux_decoders=heads)
    call(conf, config=written(tree), ckpt=file)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = trained(only_run().path).model(image), model(image)
    torch.testing.assert_close(ours.auxiliary_heads["aux"], theirs.auxiliary_heads["aux"])
    assert composed(conf, "experiment=imported/flood", "data.root=.")["task"]["aux_loss"] == {"aux": 0.4}


def test_an_import_ends_with_the_command_that_scores_the_run_on_data_that_is_not_here(conf, capsys):
    tree = a_run(data=FOLDERS)
    file, _ = a_checkpoint(tree)
    call(conf, config=written(tree), ckpt=file)
    folder = only_run().path
    told = capsys.readouterr().out
    assert f"  python run.py action=evaluate action.run={folder} 'action.data={{root: DIR}}'\n" in told
    with pytest.raises(UserError, match=r"not an existing folder\. Write 'action\.data=\{root: DIR\}'"):
        run("action=evaluate", f"action.run={folder}")
    Path("chips").mkdir()
    Path("chips/notes.txt").touch()
    message = (
        r"own data is not found\. .* matches nothing: the folder data\.root=chips holds 1 file \(notes\.txt\)\. .*"
        r"Write 'action\.data=\{root: DIR\}'"
    )
    with pytest.raises(UserError, match=message):
        run("action=evaluate", f"action.run={folder}")


def test_a_run_of_a_checkpoint_alone_asks_for_the_files_patterns_too(conf, capsys):
    file, _ = a_checkpoint(a_run())
    call(conf, ckpt=file, mean=[1.0] * 3, std=[1.0] * 3)
    assert "'action.data={root: DIR, images: PATTERN, labels: PATTERN}'\n" in capsys.readouterr().out
