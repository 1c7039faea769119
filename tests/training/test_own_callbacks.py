"""Callbacks of a user's own or of Lightning's in `trainer.callbacks`."""

import pytest

from geocompose.errors import UserError
from geocompose.runs import load_rules
from tests.kit.command import SMALL, composed_config, only_run, record_of, run
from tests.kit.own_modules import own_module
from tests.kit.places import CONF

MODULE = """
from lightning.pytorch.callbacks import Callback


class Notes(Callback):
    def __init__(self, file: str, every: int = 1):
        self.file, self.every = file, every

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch % self.every == 0:
            with open(self.file, "a") as file:
                file.write(f"{trainer.current_epoch}\\n")


class NoCallback:
    pass
"""


@pytest.fixture
def tried_callbacks(tmp_path, monkeypatch):
    with own_module(tmp_path, "tried_callbacks", MODULE, monkeypatch):
        yield tmp_path


def test_a_callback_is_called_and_its_code_is_part_of_the_run(tried_callbacks):
    run(*SMALL, "study=own", "trainer.callbacks=[{_target_: tried_callbacks.Notes, file: notes.txt}]")
    assert (tried_callbacks / "notes.txt").read_text().split() == ["0", "1"]
    record = record_of(only_run("own"))
    assert record["status"] == "completed"
    assert list(record["code"]["files"]) == ["tried_callbacks.py"]


def test_what_is_no_callback_is_refused_before_training(tried_callbacks):
    with pytest.raises(UserError, match=r"trainer\.callbacks\[0\] must be a callback of Lightning's.*NoCallback"):
        run(*SMALL, "study=own", "trainer.callbacks=[{_target_: tried_callbacks.NoCallback}]")


def test_keys_of_a_callback_are_checked(tried_callbacks):
    with pytest.raises(UserError, match=r"trainer\.callbacks\[0\] has no key 'evry'. Did you mean 'every'"):
        composed_config("trainer.callbacks=[{_target_: tried_callbacks.Notes, file: a, evry: 2}]")


def test_without_callbacks_recorded_runs_keep_their_identity():
    assert load_rules(CONF).defaults["trainer.callbacks"] == []
    assert composed_config()["trainer"]["callbacks"] == []


def test_a_callback_without_an_argument_that_it_needs_is_told(tried_callbacks):
    with pytest.raises(UserError, match=r"trainer.callbacks\[0\] needs file: write {_target_: .*Notes, file: VALUE}"):
        composed_config("trainer.callbacks=[{_target_: tried_callbacks.Notes}]")
