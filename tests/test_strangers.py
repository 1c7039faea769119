"""A hostile working directory, and a stranger's run folder, at the command line: nothing of them is executed."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kit import command
from tests.kit.command import SMALL
from tests.kit.places import ROOT

RUN = ROOT / "run.py"
TINY = [text for text in SMALL if not text.startswith("backbone")]
LAB = """
from pathlib import Path
from torch import nn
Path("imported_my_lab").touch()


class Net(nn.Module):
    def __init__(self, in_chans: int = 3, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_chans, width, 4, stride=4)
        self.out_channels = [width]

    def forward(self, image):
        return [self.conv(image)]
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    typed = [sys.executable, str(RUN), *arguments]
    return subprocess.run(typed, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder whose modules, plugins and entry points leave a file behind when they are imported."""
    sing = "from pathlib import Path\nPath('sung').touch()\n"
    for name in ("yaml", "torch", "numpy", "hydra", "my_backbones", "torchgeo", "mmseg", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(sing)
    plugins = tmp_path / "hydra_plugins"
    plugins.mkdir()
    (plugins / "evil.py").write_text(sing)
    package = tmp_path / "evil-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[geocompose.backbones]\nevil_net = my_backbones:Net\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "returns"),
    [
        (["--help"], 0),
        (["--info", "plugins"], 0),
        (["--cfg", "job"], 0),
        (["backbone=evil_net"], 1),
        (["backbone=timm", "backbone.name=evil_net", "action=explain"], 1),
        (["backbone=torchgeo_resnet50", "action=explain", "backbone.weights=NONE"], 1),
    ],
)
def test_nothing_of_the_working_folder_is_imported(hostile: Path, arguments: list[str], returns: int) -> None:
    done = run(hostile, *arguments)
    assert done.returncode == returns, done.stderr
    assert "Traceback" not in done.stderr
    assert not (hostile / "sung").exists()


def test_only_the_typed_module_of_the_working_folder_is_imported(hostile: Path) -> None:
    (hostile / "my_lab.py").write_text(LAB)
    typed = ("backbone._target_=my_lab.Net", "backbone.width=4", *TINY)
    done = run(hostile, *typed, "action=explain")
    assert done.returncode == 0, done.stderr
    assert (hostile / "imported_my_lab").exists()
    assert not (hostile / "sung").exists()


def test_results_are_not_written_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command.run(*SMALL)
    (folder,) = (tmp_path / "outputs" / "default").iterdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "evaluations").symlink_to(tmp_path / "elsewhere")
    refused = run(tmp_path, "action=evaluate", f"action.run={folder}")
    assert refused.returncode == 1
    assert "evaluations is a link" in refused.stderr
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_run_of_ones_own_class_is_evaluated_only_with_consent(tmp_path: Path) -> None:
    (tmp_path / "my_lab.py").write_text(LAB)
    done = run(tmp_path, "backbone._target_=my_lab.Net", "backbone.width=4", *TINY)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "outputs" / "default").iterdir()
    (tmp_path / "imported_my_lab").unlink()
    evaluate = ("action=evaluate", f"action.run={folder}")
    refused = run(tmp_path, *evaluate)
    assert refused.returncode == 1
    assert "backbone._target_ names 'my_lab.Net'" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "imported_my_lab").exists()
    assert run(tmp_path, *evaluate, "action.trust=[my_lab.Net]").returncode == 0
    assert (tmp_path / "imported_my_lab").exists()

    # Somebody changes the run's configuration: consent to one target is not consent to another.
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["head"] = {**config["head"], "dropout": {"_target_": "os.mkdir", "path": "made"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    again = run(tmp_path, *evaluate, "action.trust=[my_lab.Net]")
    assert again.returncode == 1
    assert "head.dropout._target_ names 'os.mkdir'" in again.stderr
    assert not (tmp_path / "made").exists()
