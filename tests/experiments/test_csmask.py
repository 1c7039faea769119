"""The converter of ukis-csmask's cloud-mask networks, on made-up files and, where it is installed, on the package."""

import hashlib
import importlib
import importlib.util
import json
import logging
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from geocompose.backbones.smp.builder import build_smp_encoder
from geocompose.errors import UserError
from geocompose.imagery.bands import HLS_BANDS
from tests.kit.places import ROOT

FOLDER = ROOT / "experiments" / "csmask"
needs_package = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ukis_csmask", "onnx", "onnxruntime")),
    reason="ukis-csmask 1.0.0 (pip install --no-deps ukis-csmask==1.0.0), onnx or onnxruntime is not installed",
)


@pytest.fixture(scope="module")
def scripts():
    """Return the experiment's modules by name, which find each other as when they are run."""
    sys.path.insert(0, str(FOLDER))
    try:
        modules = {name: importlib.import_module(name) for name in ("source_package", "convert", "parity")}
    finally:
        sys.path.remove(str(FOLDER))
    yield modules
    for name in modules:
        del sys.modules[name]


def wheel(path, files):
    with zipfile.ZipFile(path, "w") as written:
        for name, text in files.items():
            written.writestr(name, text)
    return path


OWN = {
    "encoder._bn0.weight": torch.ones(3),
    "encoder._bn0.num_batches_tracked": torch.tensor(7),
    "encoder._conv_head.weight": torch.ones(2, 2),
    "segmentation_head.0.bias": torch.ones(2),
}
GIVEN = {"model.encoder._bn0.weight": np.float32([1, 2, 3]), "model.segmentation_head.0.bias": np.float32([4, 5])}


def test_every_tensor_of_smps_model_is_the_files_or_a_zero_that_nothing_reads(scripts):
    named = scripts["convert"].named_as_smp(GIVEN, OWN, "made.onnx")
    assert list(named) == list(OWN)
    assert {name: value.tolist() for name, value in named.items()} == {
        "encoder._bn0.weight": [1, 2, 3],
        "encoder._bn0.num_batches_tracked": 0,
        "encoder._conv_head.weight": [[0, 0], [0, 0]],
        "segmentation_head.0.bias": [4, 5],
    }
    assert all(named[name].dtype == OWN[name].dtype for name in OWN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.encoder._bn0.weight": None}, r"1 missing: encoder\._bn0\.weight"),
        ({"model.encoder._bn9.weight": np.zeros(3)}, r"1 unexpected: encoder\._bn9\.weight"),
        ({"model.encoder._bn0.weight": np.zeros(4)}, r"1 of another shape: encoder\._bn0\.weight"),
    ],
)
def test_another_network_is_refused(change, message, scripts):
    found = {name: value for name, value in (GIVEN | change).items() if value is not None}
    with pytest.raises(UserError, match=message):
        scripts["convert"].named_as_smp(found, OWN, "made.onnx")


def test_tensors_are_read_by_name_and_widened(scripts):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    half = onnx.numpy_helper.from_array(np.float16([0.1, 2]), "model.a")
    graph = onnx.helper.make_graph([], "made", [], [], initializer=[half])
    (found,) = scripts["convert"].tensors_of(onnx.helper.make_model(graph).SerializeToString()).items()
    assert found[0] == "model.a"
    assert found[1].dtype == np.float32
    assert np.array_equal(found[1], np.float32(np.float16([0.1, 2])))


def test_a_network_of_another_encoder_is_refused(scripts, tmp_path):
    said = {"model": {"encoder_name": "resnet34", "decoder_name": "unet"}}
    files = {"model_6b_l2a.onnx": b"", "model_6b_l2a.json": json.dumps(said)}
    made = wheel(tmp_path / "a.whl", {f"ukis_csmask/{name}": text for name, text in files.items()})
    package = scripts["source_package"].Package(made, "1.0.0", "ukis_csmask-1.0.0.dist-info")
    with pytest.raises(UserError, match=r"another network than a unet of efficientnet-b4: .*resnet34"):
        scripts["convert"].convert(package, "6b_l2a", tmp_path)


def test_a_package_is_a_wheel_or_a_folder(scripts, tmp_path):
    find = scripts["source_package"].find_package
    made = wheel(
        tmp_path / "b.whl",
        {"ukis_csmask/model_a.json": "{}", "ukis_csmask-1.0.0.dist-info/licenses/LICENSE": "Apache License"},
    )
    with zipfile.ZipFile(made) as packed:
        packed.extractall(tmp_path / "site")
    for place in (made, tmp_path / "site" / "ukis_csmask"):
        package = find(place)
        assert (package.version, package.read("model_a.json"), package.licence()) == ("1.0.0", b"{}", "Apache License")
        with pytest.raises(UserError, match=r"has no ukis_csmask/model_b\.json: it isn't ukis-csmask 1\.0\.0"):
            package.read("model_b.json")


def test_what_is_no_such_package_is_refused_with_how_to_get_it(scripts, tmp_path, monkeypatch):
    module = scripts["source_package"]
    monkeypatch.setattr(module, "NAME", "ukis_csmask_of_nobody")
    with pytest.raises(UserError, match=r"not installed\. Install it \(pip install --no-deps ukis-csmask==1\.0\.0\)"):
        module.find_package(None)
    with pytest.raises(UserError, match="has 0 folders of metadata"):
        module.find_package(wheel(tmp_path / "other.whl", {"other/__init__.py": ""}))
    with pytest.raises(UserError, match="neither a wheel nor a folder"):
        module.find_package(tmp_path / "nothing.whl")


@needs_package
@pytest.mark.parametrize(("network", "level"), [("6b_l1c", "TOA"), ("6b_l2a", "BOA")])
def test_the_packages_network_is_smps_unet(network, level, scripts, tmp_path, caplog):
    package = scripts["source_package"].find_package(None)
    path = scripts["convert"].convert(package, network, tmp_path)
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (about["level"], about["unit"], about["licence"]) == (level, "reflectance", "Apache-2.0")
    assert about["bands"] == ["BLUE", "GREEN", "RED", "NIR_BROAD", "SWIR_1", "SWIR_2"]
    assert len(about["mean"]) == len(about["std"]) == 6
    assert "Apache License" in (tmp_path / "LICENSE").read_text()

    ours, tiles, content = scripts["parity"].computed(path, package)
    theirs = scripts["parity"].run_onnx(scripts["parity"].in_float32(content), tiles)
    assert theirs.shape == (2, 3, 256, 256)
    assert np.abs(theirs).max() > 5
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
    # As it is, the network rounds to float16 after each operation.
    np.testing.assert_allclose(ours, scripts["parity"].run_onnx(content, tiles), atol=0.1, rtol=0)

    with caplog.at_level(logging.INFO, "geocompose"):
        backbone = build_smp_encoder("efficientnet-b4", bands=list(HLS_BANDS), ckpt_path=str(path))
    assert "704 tensors are used, 62 passed over (decoder.blocks, segmentation_head.0)" in caplog.text
    weights = load_file(path)
    assert all(torch.equal(value, weights[name]) for name, value in backbone.state_dict().items())
