"""A bundle of a stranger executes nothing, leads nowhere, and is refused where it is not what its manifest says."""

import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from geocompose.errors import UserError
from geocompose.inference.trained import load_trained
from tests.kit.bundles import LORA, bundle_of, change_manifest, learned_run, opened, relist
from tests.kit.made_runs import trained

WEIGHTS = ("model.safetensors", "adapter/adapter_model.safetensors")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    return bundle_of(learned_run(folder / "run", *LORA), folder / "sent")


@pytest.fixture
def bundle(original, tmp_path):
    return shutil.copytree(original, tmp_path / "received")


class Bomb:
    """What pickle would execute."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return os.mkdir, (self._path,)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.yaml", "adapter/adapter_config.json", *WEIGHTS])
def test_a_changed_byte_is_refused(name, bundle):
    content = bytearray((bundle / name).read_bytes())
    content[-2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is not the file that the manifest lists"):
        opened(bundle)


def test_a_swapped_file_is_refused(bundle):
    shutil.copy(bundle / WEIGHTS[1], bundle / WEIGHTS[0])
    with pytest.raises(UserError, match=r"model\.safetensors is not the file"):
        opened(bundle)


def test_a_swapped_file_that_is_listed_does_not_fit_the_model(bundle):
    shutil.copy(bundle / WEIGHTS[1], bundle / WEIGHTS[0])
    relist(bundle, WEIGHTS[0])
    with pytest.raises(UserError, match=r"does not fit the model .* belong nowhere"):
        trained(bundle)


@pytest.mark.parametrize("name", ["config.yaml", *WEIGHTS])
def test_a_missing_file_is_refused(name, bundle):
    (bundle / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        opened(bundle)


@pytest.mark.parametrize("name", ["config.yaml", WEIGHTS[1], "adapter", "manifest.json"])
def test_a_link_is_refused(name, bundle, tmp_path):
    shutil.move(bundle / name, tmp_path / "outside")
    (bundle / name).symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="is a link"):
        opened(bundle)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_pickle_named_safetensors_is_not_executed(name, bundle, tmp_path):
    (bundle / name).write_bytes(pickle.dumps(Bomb(tmp_path / "executed")))
    relist(bundle, name)
    with pytest.raises(UserError, match="is not safetensors"):
        trained(bundle)
    torch.save({"weights": Bomb(tmp_path / "executed")}, bundle / name)
    relist(bundle, name)
    with pytest.raises(UserError, match="is not safetensors"):
        trained(bundle)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("length", [2**63 - 1, 2**40, 99_000_000, 3])
def test_a_header_of_another_length_than_it_can_have_is_refused(length, bundle):
    content = (bundle / WEIGHTS[0]).read_bytes()
    (bundle / WEIGHTS[0]).write_bytes(struct.pack("<Q", length) + content[8:])
    relist(bundle, WEIGHTS[0])
    with pytest.raises(UserError, match="is not safetensors"):
        trained(bundle)


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"\0" * 8, struct.pack("<Q", 2) + b"{}" + b"\0" * 64])
def test_weights_that_are_cut_short_are_refused(content, bundle):
    (bundle / WEIGHTS[0]).write_bytes(content)
    relist(bundle, WEIGHTS[0])
    with pytest.raises(UserError, match=r"is not safetensors|sha256 differs"):
        trained(bundle)


def rewrite(bundle, change, name=WEIGHTS[0]):
    state = load_file(bundle / name)
    first = next(iter(key for key in state if state[key].is_floating_point() and state[key].ndim > 1))
    change(state, first)
    save_file(state, bundle / name)
    relist(bundle, name)


CHANGES = {
    "another shape": (lambda state, key: state.update({key: state[key][:1].clone()}), "instead of"),
    "whole numbers": (lambda state, key: state.update({key: state[key].long()}), "is I64"),
    "a further tensor": (lambda state, key: state.update(extra=torch.zeros(1)), "belong nowhere"),
    "NaN": (lambda state, key: state[key].fill_(float("nan")), "NaN or infinite weights"),
    "a tensor less": (lambda state, key: state.pop(key), r"sha256 differs|missing"),
}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("change", CHANGES)
def test_tensors_that_are_not_the_models_are_refused(change, name, bundle):
    do, match = CHANGES[change]
    rewrite(bundle, do, name)
    with pytest.raises(UserError, match=match):
        trained(bundle)


# --- manifest ---------------------------------------------------------------------------------------------------------

LISTED = {"sha256": "0" * 64, "bytes": 1}


@pytest.mark.parametrize(
    "name",
    [
        "../config.yaml",
        "adapter/../../x.py",
        "/etc/passwd",
        "code/../../x.py",
        "code/x.pth",
        "code/__init__.py/../../x.py",
        "checkpoints/best.ckpt",
        "record.json",
        "code\\..\\x.py",
        "code/x\n.py",
        "",
    ],
)
def test_a_name_that_no_bundle_has_is_refused(name, bundle):
    change_manifest(bundle, lambda content: content["files"].update({name: LISTED}))
    with pytest.raises(UserError, match="which no bundle has"):
        opened(bundle)


MANIFESTS = {
    "an unknown key": (lambda content: content.update(run="x"), "run: Extra inputs are not permitted"),
    "an unknown key of the base": (lambda content: content["base"].update(path="/x"), "base.path"),
    "a number as text": (lambda content: content["base"].update(seed="0"), "base.seed"),
    "a dtype that is no dtype": (lambda content: content["base"].update(dtype="load"), "base.dtype"),
    "a short hash": (lambda content: content["files"]["config.yaml"].update(sha256="0"), "files.config.yaml.sha256"),
    "a negative size": (lambda content: content["files"]["config.yaml"].update(bytes=-1), "files.config.yaml.bytes"),
    "a part that is no part": (lambda content: content["adapter"].update(part="__class__"), "adapter.part"),
    "an identity that is a path": (lambda content: content.update(run_id="../../../x"), "run_id"),
    "no weights listed": (lambda content: content["files"].pop("model.safetensors"), "lists no model.safetensors"),
    "no adapter listed": (lambda content: content["files"].pop(WEIGHTS[1]), "lists no adapter/adapter_model"),
    "an adapter that is not said": (lambda content: content.update(adapter=None), "which no bundle has"),
    "no base": (lambda content: content.update(base=None), "names or shapes"),
    "bands that are no list": (lambda content: content["data"].update(bands="RED"), "data.bands"),
    "a huge tile": (lambda content: content["data"].update(tile_px=10**9), "data.tile_px"),
    "a deviation of zero": (
        lambda content: content["data"]["normalization"].update(std=[0.0] * 6),
        "normalization.std",
    ),
    "a neck that is code": (
        lambda content: content["model"].update(necks=[{"_target_": "os.system", "command": "true"}]),
        "os.system.*not one of the parts",
    ),
    "another kind": (lambda content: content.update(kind="merged"), "not the manifest of a bundle"),
    "another schema": (lambda content: content.update(schema=2), "schema 2.*knows 1"),
    "a schema that is true": (lambda content: content.update(schema=True), "schema"),
    "too deep": (lambda content: content["data"].update(x=json.loads("[" * 60 + "]" * 60)), "nested more than 40"),
    "too many": (lambda content: content["data"].update(x=[0] * 200_000), "more than 100,000"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_of_other_types_is_refused(name, bundle):
    change, match = MANIFESTS[name]
    change_manifest(bundle, change)
    with pytest.raises(UserError, match=match):
        load_trained(opened(bundle))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": NaN}', "[" * 100_000, "\udcff", "\x00"])
def test_a_manifest_that_is_not_json_is_refused(text, bundle):
    (bundle / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"is not JSON|not the manifest of a bundle"):
        opened(bundle)


def test_a_huge_manifest_is_refused_before_it_is_read(bundle):
    with open(bundle / "manifest.json", "r+b") as file:
        file.truncate(10 * 2**30)  # sparse
    with pytest.raises(UserError, match="larger than 4 MiB"):
        opened(bundle)


# --- configuration ----------------------------------------------------------------------------------------------------


def reconfigure(bundle, change):
    config = yaml.safe_load((bundle / "config.yaml").read_text())
    change(config)
    (bundle / "config.yaml").write_text(yaml.safe_dump(config))
    relist(bundle, "config.yaml")


CONFIGS = {
    "a target": lambda config: config["backbone"].update(_target_="os.system"),
    "a nested target": lambda config: config["peft"]["kwargs"].update(a={"_target_": "os.system"}),
    "an interpolation": lambda config: config["peft"]["kwargs"].update(a="${oc.env:HOME}"),
    "another key of Hydra": lambda config: config["backbone"].update(_args_=[1]),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_that_would_execute_something_is_refused(name, bundle):
    reconfigure(bundle, CONFIGS[name])
    with pytest.raises(UserError, match=r"not one of the parts|interpolation|tell Hydra what to do"):
        opened(bundle)


def test_code_in_a_bundle_is_text_and_is_never_imported(bundle, tmp_path, monkeypatch):
    (bundle / "code").mkdir()
    (bundle / "code" / "stranger.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'executed')!r})\n")
    relist(bundle, "code/stranger.py")
    monkeypatch.chdir(bundle)
    trained(bundle)
    assert not (tmp_path / "executed").exists()


def test_a_config_of_peft_in_a_bundle_is_not_used_here(bundle, original):
    path = bundle / "adapter" / "adapter_config.json"
    content = json.loads(path.read_text())
    content["auto_mapping"] = {"base_model_class": "system", "parent_library": "os"}
    content["r"] = 10**9
    path.write_text(json.dumps(content))
    relist(bundle, "adapter/adapter_config.json")
    first, second = trained(original).model.state_dict(), trained(bundle).model.state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_attacks_are_on_a_bundle_that_is_whole(bundle):
    assert isinstance(bundle, Path)
    trained(bundle)
