"""A program of torch.export: raw values in, logits or numbers in their unit out, for any batch."""

import json
import subprocess
import sys

import pytest
import torch

from geocompose.errors import UserError
from geocompose.export.pt2 import write_pt2
from geocompose.inference.answers import answers
from tests.kit.bundles import learned_run
from tests.kit.command import run
from tests.kit.exported import SMALLEST, shown_program, source_of
from tests.kit.made_runs import TARGETS, TINY


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    """A run of numbers per pixel, and its program."""
    folder = tmp_path_factory.mktemp("runs")
    source = source_of(learned_run(folder / "run", kind="regression", composition=TINY))
    write_pt2(source, folder / "model.pt2")
    return source, folder / "model.pt2"


def raw(source, batch):
    return 1500 + 800 * torch.randn(batch, 6, 32, 32, generator=torch.Generator().manual_seed(batch))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_raw_values_go_in_and_physical_values_come_out_for_any_batch(regression, batch):
    source, path = regression
    image = raw(source, batch)
    image[0, 2, 5, 7] = float("nan")
    seen = (image - 1500) / 800
    seen[0, :, 5, 7] = 0  # the mean of every band, as in training
    with torch.inference_mode():
        expected = answers(source.trained.model(seen).output, TARGETS["regression"], "values")
        found = torch.export.load(path).module()(image=image)
    assert found.shape == (batch, 1, 32, 32)
    torch.testing.assert_close(found, expected, atol=40 * 1e-4, rtol=1e-4)


def test_the_file_says_what_goes_in_and_comes_out(regression):
    extra = {"geocompose.json": ""}
    torch.export.load(regression[1], extra_files=extra)
    said = json.loads(extra["geocompose.json"])
    assert said["bands"][3] == "NIR_NARROW"
    assert said["variables"] == ["biomass"]
    assert said["inputs"]["image"] == ["batch", 6, 32, 32]
    assert said["output"] == {"name": "values", "shape": ["batch", 1, 32, 32]}
    assert said["normalization"]["mean"] == [1500.0] * 6
    assert said["run_id"] == "0123456789"


def test_the_page_s_program_runs_on_it(regression, monkeypatch):
    monkeypatch.chdir(regression[1].parent)
    names: dict[str, object] = {}
    exec(shown_program("torch.export"), names)
    assert names["logits"].shape == (4, 1, 32, 32)


def test_the_program_runs_without_this_package(regression):
    code = f"""
import sys, torch
program = torch.export.load({str(regression[1])!r}).module()
print(tuple(program(image=torch.zeros(4, 6, 32, 32)).shape), "geocompose" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(4, 1, 32, 32) False", done.stderr


def test_the_command_writes_the_file_and_its_record_and_replaces_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learned_run(tmp_path / "run", kind="classification", composition=SMALLEST)
    export = ("action=export", "action.run=run", "action.format=pt2")
    run(*export)
    record = json.loads((tmp_path / "run/exports/run.pt2.json").read_text())
    assert record["run"]["run_id"] == "0123456789"
    assert any("made tiles" in line for line in record["said"])
    before = (tmp_path / "run/exports/run.pt2").read_bytes()
    with pytest.raises(UserError, match=r"exists already; action.overwrite=true"):
        run(*export)
    assert (tmp_path / "run/exports/run.pt2").read_bytes() == before


def test_what_torch_cannot_follow_is_refused_with_the_reason_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learned_run(tmp_path / "run", kind="classification", composition=SMALLEST)

    def unfollowed(*_, **__):
        raise RuntimeError("Could not guard on data-dependent expression u0")

    monkeypatch.setattr("torch.export.export", unfollowed)
    with pytest.raises(
        UserError, match=r"can't follow .* with IdentityDecoder: Could not guard .*action.format=bundle"
    ):
        run("action=export", "action.run=run", "action.format=pt2", "action.output=model.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
