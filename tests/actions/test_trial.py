"""Compositions tried before they are computed: what is impossible is said, and data and backbones are met once."""

import pytest

from geocompose.actions import trial as module
from geocompose.actions.trial import Trials
from geocompose.errors import UserError
from tests.kit.command import SMALL, composed_config, run


def test_a_composition_that_can_be_is_tried_without_a_word(caplog):
    Trials().try_composition(composed_config(*SMALL))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("backbone.name=test_resnett",), "Did you mean 'test_resnet'"),
        (("data.bands=[RED,BLU]",), "BLU"),
        (("decoder=unet", "decoder.channels=[16]"), "channels"),
        (("task=classification", "data=synthetic_segmentation", "decoder=identity"), "Write task=segmentation"),
    ],
)
def test_an_impossible_composition_is_refused(overrides, says):
    trials = Trials()
    trials.try_composition(composed_config(*SMALL))
    settings = SMALL if "decoder" not in " ".join(overrides) else (*SMALL[:2], *SMALL[5:])
    with pytest.raises(UserError, match=says):
        trials.try_composition(composed_config(*settings, *overrides))


def test_data_is_opened_once_for_compositions_that_read_the_same_bands(monkeypatch):
    opened = []
    original = module.preflight
    monkeypatch.setattr(module, "preflight", lambda *given: opened.append(1) or original(*given))
    trials = Trials()
    for overrides in ((), ("head.dropout=0.5",), ("data.bands=[RED,GREEN]",), ("data.bands=[RED,GREEN]", "peft=lora")):
        trials.try_composition(composed_config(*SMALL, *overrides))
    assert len(opened) == 2


@pytest.mark.parametrize("override", ["launcher=slurm", "launcher.workers=2"])
def test_a_launcher_for_a_single_run_is_refused(override, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="a single run is computed in this process"):
        run(*SMALL, override)
