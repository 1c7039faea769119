"""A change in a user's own module is another run; the text of a run's code stays with it."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.command import SMALL, only_run, record_of, run

NET = """
from torch import nn
from {helper} import WIDTH

class Net(nn.Module):
    def __init__(self, in_chans: int = 6):
        super().__init__()
        self.in_chans, self.out_channels = in_chans, [WIDTH]
        self.body = nn.Conv2d(in_chans, WIDTH, 4, 4)

    def forward(self, image):
        return [self.body(image)]
"""
OTHERS = [text for text in SMALL if not text.startswith("backbone")]


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Callable[[str], list[str]]:
    """Writes a module and one that it imports; returns the command for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def lab(name: str) -> list[str]:
        Path(f"{name}.py").write_text(NET.format(helper=f"{name}_helper"))
        Path(f"{name}_helper.py").write_text("WIDTH = 8\n")
        return [*OTHERS, "trainer.max_epochs=1", "backbone=own", f"backbone._target_={name}.Net", "study=own"]

    return lab


def test_a_change_in_what_an_own_module_imports_is_another_run(lab, caplog):
    caplog.set_level(logging.INFO)
    command = lab("oc_first")
    run(*command)
    first = only_run("own")
    assert (first / "code/oc_first.py").read_text() == Path("oc_first.py").read_text()
    assert (first / "code/oc_first_helper.py").read_text() == "WIDTH = 8\n"
    assert record_of(first)["code"]["files"] == ["oc_first.py", "oc_first_helper.py"]
    Path("unrelated.py").write_text("x = 1\n")
    run(*command)
    assert caplog.text.count("already finished") == 1
    Path("oc_first_helper.py").write_text("WIDTH = 8  # as before\n")
    run(*command)
    assert caplog.text.count("already finished") == 1
    second = next(folder for folder in Path("outputs/own").iterdir() if folder != first)
    assert (second / "code/oc_first_helper.py").read_text() == "WIDTH = 8  # as before\n"
    assert record_of(first)["code"]["sha256"] != record_of(second)["code"]["sha256"]
    assert (first / "code/oc_first_helper.py").read_text() == "WIDTH = 8\n"


def test_evaluating_a_run_says_that_its_code_has_changed_since(lab, caplog):
    run(*lab("oc_second"))
    folder = only_run("own")
    run("action=evaluate", f"action.run={folder}", "action.trust=[oc_second.Net]")
    assert "own code has changed" not in caplog.text
    Path("oc_second.py").write_text(Path("oc_second.py").read_text() + "# later\n")
    run("action=evaluate", f"action.run={folder}", "action.trust=[oc_second.Net]")
    said = [line for line in caplog.text.splitlines() if "own code has changed" in line]
    assert len(said) == 1
    assert "oc_second.py (changed)" in said[0]
    results = [json.loads(path.read_text()) for path in folder.glob("evaluations/*.json")]
    assert "oc_second.py (changed)" in " ".join(results[0]["said"])
