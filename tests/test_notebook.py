"""The notebook of docs/ does from top to bottom what it shows."""

import json

import pytest

from tests.kit.notebook import execute
from tests.kit.places import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
EPOCHS, SCENES = "trainer.max_epochs=10", "data.num_scenes=16"


@pytest.mark.parametrize("epochs", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch, epochs):
    monkeypatch.chdir(tmp_path)
    text = NOTEBOOK.read_text()
    assert EPOCHS in text
    assert SCENES in text
    if epochs == 1:
        text = text.replace(SCENES, "data.num_scenes=6")
    notebook = json.loads(text.replace(EPOCHS, f"trainer.max_epochs={epochs}"))
    for cell, output in execute(notebook):
        stored = ["".join(one["text"]) for one in cell["outputs"] if one["output_type"] == "stream"]
        pictures = [one for one in cell["outputs"] if one["output_type"] == "display_data"]
        assert bool(output.text) is bool(stored), cell["source"]
        assert len(output.pictures) == len(pictures), cell["source"]
        if stored and "!geocompose" not in "".join(cell["source"]):  # what is trained differs from machine to machine
            assert output.text.split(" ", 2)[:2] == stored[0].split(" ", 2)[:2]


def test_what_the_notebook_shows_beats_the_baseline():
    shown = json.dumps(json.loads(NOTEBOOK.read_text()), ensure_ascii=False)
    assert "not yet worth it" not in shown
