"""An ONNX file as a colleague with onnxruntime and numpy alone uses it."""

import json

import numpy as np
import pytest
import torch

from geocompose.catalog import optional
from geocompose.errors import UserError
from geocompose.export.onnx import write_onnx
from tests.kit.bundles import LORA, TIMM_VIT, learned_run
from tests.kit.command import run
from tests.kit.exported import SMALLEST, shown_program, source_of

needs_onnx = [
    pytest.mark.optional,
    pytest.mark.skipif(not optional.installed("export"), reason="pip install -r requirements-export.txt"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A segmentation run with adapters, and its ONNX file."""
    folder = tmp_path_factory.mktemp("runs")
    source = source_of(learned_run(folder / "run", *LORA, composition=TIMM_VIT))
    lines = write_onnx(source, folder / "model.onnx")
    assert lines[0] == "adapters: merged into their layers"
    return source, folder / "model.onnx"


class TestAFile:
    pytestmark = needs_onnx

    @pytest.mark.parametrize("batch", [1, 4])
    def test_it_gives_the_logits_of_the_run_s_model_for_raw_values_and_any_batch(self, exported, batch):
        import onnxruntime

        source, path = exported
        image = np.random.default_rng(batch).normal(1500, 800, (batch, 6, 32, 32)).astype(np.float32)
        seen = (image - 1500) / 800
        image[0, 1, 3, 4] = np.nan  # no data: the mean of every band
        seen[0, :, 3, 4] = 0
        session = onnxruntime.InferenceSession(path)
        (found,) = session.run(["logits"], {"image": image})
        with torch.inference_mode():
            expected = source.trained.model(torch.from_numpy(seen)).output.numpy()
        assert np.abs(found - expected).max() <= 1e-4 * max(1, np.abs(expected).max())

    def test_its_metadata_say_what_goes_in_and_comes_out(self, exported):
        import onnxruntime

        session = onnxruntime.InferenceSession(exported[1])
        said = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
        assert said["bands"] == ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"]
        assert said["classes"] == ["water", "vegetation", "bare", "built"]
        assert said["unit"] == [None] * 6
        assert said["normalization"]["std"] == [800.0] * 6
        assert said["run_id"] == "0123456789"
        assert [one.shape for one in session.get_inputs()] == [["batch", 6, 32, 32]]
        assert [one.name for one in session.get_outputs()] == ["logits"]

    def test_the_page_s_program_runs_on_it(self, exported, monkeypatch):
        monkeypatch.chdir(exported[1].parent)
        names: dict[str, object] = {}
        exec(shown_program("onnxruntime"), names)
        assert names["classes"].shape == (4, 32, 32)
        assert np.isfinite(names["logits"]).all()


def test_without_the_packages_it_says_what_to_install_before_a_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learned_run(tmp_path / "run", kind="classification", composition=SMALLEST)
    monkeypatch.setitem(optional.TOOLS, "export", ("no_such_package",))
    monkeypatch.setattr("geocompose.inference.trained.load_trained", None)
    with pytest.raises(UserError, match=r"action.format=onnx needs .* pip install -r requirements-export.txt"):
        run("action=export", "action.run=run", "action.format=onnx")


def test_weights_that_no_onnx_file_holds_are_refused(tmp_path, monkeypatch):
    source = source_of(learned_run(tmp_path / "run", kind="classification", composition=SMALLEST))
    monkeypatch.setitem(optional.TOOLS, "export", ())
    monkeypatch.setattr("geocompose.export.onnx._MOST_BYTES", 1000)
    with pytest.raises(UserError, match=r"GB, and an ONNX file holds 2 GB at most.*pt2 or bundle"):
        write_onnx(source, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
