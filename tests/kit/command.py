"""The command line without a new process: compose as Hydra does, then run the action in the working directory."""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from geocompose.cli import main, run_action
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from tests.kit.places import CONF

# A composition and data that take a second or two.
SMALL = (
    "backbone=timm",
    "backbone.name=test_resnet",
    "decoder=fcn",
    "decoder.channels=16",
    "decoder.num_convs=1",
    "data.num_scenes=4",
    "data.scene_px=64",
    "data.tile_px=32",
    "data.batch_size=4",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.progress_bar=false",
)


def run(*overrides: str, figures: bool = False) -> None:
    """Do what `python run.py OVERRIDES` does.

    figures: whether a fit draws them. They take more than half of a small run's time, and a failure to draw is recorded
        and passes; so only tests that look at figures, or at what a run left out, ask for them.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    with ExitStack() as without:
        for drawing in () if figures else ("training.computation._draw_figures", "inference.pictures.draw"):
            without.enter_context(patch(f"geocompose.{drawing}"))
        run_action(config, CONF)


def typed(
    conf: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that does what a typed command line does with a user's conf.

    It takes the arguments, and returns the exit code, what was printed, and the errors.
    """

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        code = 0
        try:
            main(conf)
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return call


def composed_config(*overrides: str) -> dict[str, Any]:
    """Return the checked configuration that the overrides compose."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=list(overrides)), groups(CONF))


def only_run(study: str) -> Path:
    """Return the folder of the one run of a study."""
    (folder,) = (Path("outputs") / study).iterdir()
    return folder


def record_of(folder: Path) -> dict[str, Any]:
    """Return what a run's record.json holds."""
    return json.loads((folder / "record.json").read_text())
