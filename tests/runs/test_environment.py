"""What is recorded about the machine and the code."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from geocompose.runs import environment
from geocompose.runs.environment import git_diff, git_state, hardware, source_folder, utc_now, versions
from tests.kit.places import ROOT


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init")
    (folder / "a.py").write_text("x = 1\n")
    (folder / ".gitignore").write_text("outputs/\nvenv/\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_versions_name_python_and_every_direct_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {re.match(r"[A-Za-z0-9_.-]+", text).group() for text in project["dependencies"]}
    assert set(environment.PACKAGES) == required
    found = versions()
    assert set(found) - set(environment.OPTIONAL_PACKAGES) == required | {"python", "geocompose"}
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["geocompose"]
    assert found["filelock"]


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package-anywhere",))
    assert versions()["no-such-package-anywhere"] is None


def test_a_clean_repository_is_its_commit(repository):
    state = git_state(repository)
    assert re.fullmatch("[0-9a-f]{40}", state["commit"])
    assert state["dirty"] is False
    assert git_diff(repository) == ""


def test_a_changed_file_makes_the_repository_dirty_and_is_in_the_diff(repository):
    (repository / "a.py").write_text("x = 2\n")
    assert git_state(repository)["dirty"] is True
    assert "-x = 1\n+x = 2\n" in git_diff(repository)


def test_a_new_file_makes_the_repository_dirty_and_an_ignored_one_does_not(repository):
    (repository / "outputs").mkdir()
    (repository / "outputs" / "record.json").touch()
    assert git_state(repository)["dirty"] is False
    (repository / "b.py").touch()
    assert git_state(repository)["dirty"] is True
    assert git_diff(repository) == "# new file: b.py\n"


def test_the_state_of_a_subfolder_is_its_own(repository):
    (repository / "sub").mkdir()
    (repository / "sub" / "c.py").touch()
    git(repository, "add", ".")
    git(repository, "commit", "-m", "second")
    (repository / "a.py").write_text("x = 2\n")
    assert git_state(repository / "sub")["dirty"] is False


def test_a_virtual_environment_inside_somebody_elses_repository_has_no_state(repository):
    site = repository / "venv" / "site-packages"
    site.mkdir(parents=True)
    assert git_state(site) is None
    assert git_diff(site) == ""


def test_without_a_repository_a_commit_or_git_itself_there_is_no_state(tmp_path, monkeypatch):
    assert git_state(tmp_path / "missing") is None
    assert git_state(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "a").touch()
    git(tmp_path, "add", "a")
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def test_variables_of_a_surrounding_git_command_do_not_mislead(repository, tmp_path, monkeypatch):
    commit = git_state(repository)["commit"]
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(repository)["commit"] == commit


def test_source_folder_is_the_checkout():
    assert (source_folder() / "src" / "geocompose" / "runs").is_dir()


def test_hardware_is_plain_and_does_not_name_the_machine(monkeypatch):
    monkeypatch.setattr(environment.platform, "node", lambda: pytest.fail("the machine's name was asked for"))
    found = hardware()
    assert set(found) == {"cpu", "cores", "memory_gb", "system"}
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0
    assert json.loads(json.dumps(found)) == found


def test_peak_memory_is_this_process_own():
    script = "from geocompose.runs.environment import peak_memory_mb; print(peak_memory_mb())"
    parent = (
        "import subprocess, sys; held = bytearray(300 * 2**20); del held; "
        "from geocompose.runs.environment import peak_memory_mb; print(peak_memory_mb(), flush=True); "
        f"subprocess.run([sys.executable, '-c', {script!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", parent], check=True, capture_output=True, text=True)
    parents, childs = map(float, done.stdout.split())
    assert 300 < parents < 450
    assert 1 < childs < 150


def test_time_is_utc_in_seconds():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_now())


def test_versions_of_optional_packages_are_recorded_where_they_are_installed():
    found = environment.versions()
    for name in environment.OPTIONAL_PACKAGES:
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            assert name not in found
        else:
            assert found[name] == installed
