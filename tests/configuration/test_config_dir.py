"""A further folder of config groups (--config-dir): it must be one, and its options are known to the messages."""

import subprocess
import sys

import pytest

from geocompose.configuration.diagnosis import check_config_dir, diagnose
from geocompose.errors import UserError
from tests.kit.places import CONF, ROOT


@pytest.fixture
def added(tmp_path):
    """A folder with an experiment and an option of a group."""
    for group, name in (("experiment", "mine"), ("optimizer", "lion")):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.yaml").write_text(
            "# @package _global_\nseed: 3\n" if name == "mine" else "beta: 1\n"
        )
    return tmp_path


@pytest.mark.parametrize("typed", [("--config-dir=nowhere",), ("--config-dir", "nowhere"), ("-cd", "nowhere")])
def test_a_folder_that_is_not_there_is_named_instead_of_the_option_in_it(typed, tmp_path):
    command = [sys.executable, str(ROOT / "run.py"), *typed, "experiment=mine"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --config-dir=nowhere does not exist (looked up from {tmp_path}).")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 3\n")
    with pytest.raises(UserError, match=r"mine\.yaml is a file\. It must be a folder of config groups"):
        check_config_dir(str(tmp_path / "mine.yaml"), CONF)


@pytest.mark.parametrize(("inside", "holds"), [(None, "no folder"), ("experments", "folders experments")])
def test_a_folder_without_a_config_group_is_told_what_it_holds(inside, holds, tmp_path):
    if inside:
        (tmp_path / inside).mkdir()
    with pytest.raises(UserError, match=rf"no config group in it: it holds {holds}\. .*FOLDER/experiment/NAME\.yaml"):
        check_config_dir(str(tmp_path), CONF)


def test_an_empty_folder_is_right_where_the_action_fills_it(tmp_path):
    check_config_dir(str(tmp_path), CONF, to_be_filled=True)
    (tmp_path / "experments").mkdir()
    with pytest.raises(UserError, match="it holds folders experments"):
        check_config_dir(str(tmp_path), CONF, to_be_filled=True)


def test_a_folder_of_groups_and_none_at_all_are_right(added):
    check_config_dir(str(added), CONF)
    check_config_dir(None, CONF)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["experiment=mine", "decoder=unett"], "decoder has no option 'unett'. Did you mean 'unet'?"),
        (["experiment=mien"], "experiment has no option 'mien'. Did you mean 'mine'? Allowed: "),
        (["optimizer=lion", "optimizer.bta=2"], "optimizer has no key 'bta'. Did you mean 'beta'? Allowed: beta."),
        (["optimizer.beta=2"], "optimizer has no key 'beta'. It is a key of optimizer=lion."),
    ],
)
def test_a_mistake_beside_options_of_that_folder_is_named(overrides, message, added):
    assert message in str(diagnose(overrides, CONF, str(added)))


def test_right_options_of_that_folder_have_no_fault(added):
    assert diagnose(["experiment=mine", "optimizer=lion"], CONF, str(added)) is None
