"""The commands and the Python of docs/looking_at_runs.md, run in order on a study of two small runs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.kit.command import SMALL, run
from tests.kit.places import ROOT

PAGE = ROOT / "docs" / "looking_at_runs.md"
# The page names the score of a class water, which landscapes told by their spectrum have.
DATA = ("data.landscape=spectral", "data.baselines=[]")
TINY = (*SMALL, *DATA, "trainer.max_epochs=1", "logger=csv", "action.scene_scores=false")
MOUNTED = "/mnt/b/outputs"
STATES = ("done", "running", "waiting", "interrupted", "failed", "refused", "unreadable")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with two runs of the study floods, named as the page names them, one of them on another disk too."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for seed, name in enumerate(("ONE", "OTHER")):
            run(*TINY, "study=floods", f"seed={seed}")
            found = next(path for path in Path("outputs/floods").iterdir() if path.name not in ("ONE", "OTHER"))
            found.rename(found.with_name(name))
        shutil.copytree("outputs/floods", "disk_b/floods")
        yield folder


def commands():
    return re.findall(r"^    python run\.py (.*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_does_what_it_says(workplace, monkeypatch, capsys, command):
    monkeypatch.chdir(workplace)
    shutil.rmtree("outputs/again", ignore_errors=True)
    Path("floods.csv").unlink(missing_ok=True)
    run(*(text.replace(MOUNTED, f"{workplace}/disk_b") for text in shlex.split(command)))
    printed = capsys.readouterr().out
    if "action=status" in command:
        assert "2 cells: 2 done" in printed
    elif "action=list" in command:
        assert [line.split("│")[1].strip() for line in printed.splitlines() if line[:1] == "│"] == ["1", "2"]
    elif "action=diff" in command:
        assert "│ seed │ 0     │ 1      │" in printed
    else:
        assert "reproduced: 34 metrics within a tolerance of" in printed
    assert Path("floods.csv").exists() is ("action.csv" in command)


def test_the_python_of_the_page_runs(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert names["logits"].shape[1:] == (4, 32, 32)


def test_the_page_has_all_actions_that_look_at_runs_and_all_states():
    text = PAGE.read_text()
    assert {f"action={name}" for name in ("status", "list", "diff", "reproduce")} <= set(
        re.findall(r"action=\w+", text)
    )
    assert tuple(re.findall(r"^\| (\w+) \| ", text, re.MULTILINE)[1:]) == STATES
