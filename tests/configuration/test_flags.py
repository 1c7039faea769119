"""Flags of the command line: wherever they stand, and those that are none."""

import pytest

from geocompose import __version__
from geocompose.configuration.overrides import flags_first
from geocompose.configuration.own_parts import closed, opened
from tests.kit.command import typed
from tests.kit.places import CONF


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["a=1", "-m", "b=1,2"], ["-m", "a=1", "b=1,2"]),
        (["a=1", "--config-dir", "own", "b=1", "--multirun"], ["--config-dir", "own", "--multirun", "a=1", "b=1"]),
        (["a=1", "--config-dir=own", "b=1"], ["--config-dir=own", "a=1", "b=1"]),
        (["a=1", "--cfg", "job", "b=-1"], ["--cfg", "job", "a=1", "b=-1"]),
        (["a=1"], ["a=1"]),
        (["a=1", "--config-dir"], ["--config-dir", "a=1"]),
    ],
)
def test_flags_may_stand_anywhere(given, taken):
    assert flags_first(given) == taken


def test_a_sweep_s_flag_in_the_middle_is_understood(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    call = typed(CONF, monkeypatch, capfd)
    code, out, errors = call("launcher=plan_only", "-m", "decoder=fcn,unet", "study=middle", "data.num_scenes=4")
    assert code == 0, errors
    assert "2 cells" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--backbone", "resnet18"],
            "error: --backbone is not a flag. Settings are overrides here: backbone=resnet18.",
        ),
        (["--decoder=fcn"], "error: --decoder=fcn is not a flag. Settings are overrides here: decoder=fcn."),
    ],
)
def test_a_setting_as_a_flag_is_answered_with_its_override(arguments, told, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    code, _, errors = typed(CONF, monkeypatch, capfd)(*arguments)
    assert (code, errors.strip()) == (1, told)


def test_the_version_is_ours(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    code, out, _ = typed(CONF, monkeypatch, capfd)("--version")
    assert (code, out.split()[:2]) == (0, ["geocompose", __version__])


def test_overrides_of_own_classes_are_shown_as_they_were_typed():
    given = ["backbone._target_=my_lab.Net", "backbone.width=8", "decoder=fcn"]
    assert closed(opened(given)) == given
