"""The command `geocompose`: how it is named in what it prints, and which configuration it takes."""

import subprocess
import sys
import tomllib

import pytest

from geocompose import program
from tests.kit.places import CONF, ROOT


@pytest.mark.parametrize(
    ("started", "words"),
    [
        ("/opt/env/bin/geocompose", ["geocompose"]),
        ("/opt/env/Scripts/geocompose.exe", ["geocompose"]),
        ("/opt/lib/geocompose/__main__.py", ["python", "-m", "geocompose"]),
        ("run.py", ["python", "run.py"]),
        ("/home/me/geocompose/run.py", ["python", "run.py"]),
        ("/opt/env/bin/pytest", ["python", "run.py"]),
    ],
)
def test_commands_are_told_as_the_program_was_started(monkeypatch, started, words):
    monkeypatch.setattr(sys, "argv", [started, "action=status"])
    assert program.words() == words


def test_a_scripts_path_is_recorded_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["../geocompose/run.py"])
    assert program.typed_words() == ["python", "../geocompose/run.py"]


def test_a_checkout_takes_the_configuration_of_its_top_level():
    assert not program.is_installed()
    assert program.conf_dir().resolve() == CONF.resolve()


def test_the_command_is_what_the_module_is(tmp_path):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"geocompose": "geocompose.__main__:main"}
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "geocompose", "backbone=prithwi"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "backbone has no option 'prithwi'. Did you mean 'prithvi'?" in done.stderr
