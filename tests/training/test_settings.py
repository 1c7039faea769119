"""Numbers that no run can be trained with are told at once."""

import subprocess
import sys

import pytest

from geocompose.actions.run_identity import check_run_settings
from geocompose.errors import UserError
from geocompose.training.settings import check_settings
from tests.kit.command import composed_config, run

WRONG = (
    ("trainer.max_epochs=0", r"trainer\.max_epochs must be a whole number, 1 or more; got 0"),
    ("trainer.check_val_every_n_epoch=0", r"trainer\.check_val_every_n_epoch must be a whole number, 1 or more; got 0"),
    ("trainer.max_epochs=2 trainer.check_val_every_n_epoch=9", "never comes in 2 epochs"),
    ("trainer.early_stopping_patience=0", "must be a number of epochs, 1 or more, or null; got 0"),
    ("trainer.accumulate_grad_batches=0", r"accumulate_grad_batches must be a whole number, 1 or more; got 0"),
    ("trainer.gradient_clip_val=-1", r"gradient_clip_val must be a norm above 0, or null for none; got -1"),
    ("trainer.gradient_clip_val=0", r"gradient_clip_val must be a norm above 0, or null for none; got 0"),
    ("trainer.gradient_clip_val=inf", r"gradient_clip_val must be a norm above 0, or null for none; got inf"),
    ("trainer.gradient_clip_val=nan", r"gradient_clip_val must be a norm above 0, or null for none; got nan"),
    ("trainer.ema_decay=1", "between 0 and 1"),
    ("trainer.micro_batch=0", r"trainer\.micro_batch must be a whole number, 1 or more, auto or null; got 0"),
    ("trainer.micro_batch=-2", r"trainer\.micro_batch must be .*got -2"),
    ("trainer.devices=2", r"one process on one device: trainer\.devices must be 1.*For several, write trainer=ddp"),
    ("trainer.num_nodes=0", r"one process on one device: .* trainer\.num_nodes 1; got 1 and 0"),
    ("trainer=ddp trainer.devices=0", r"trainer\.devices must be auto, 1 or more, .*; got 0 and 1"),
    ("trainer=ddp trainer.devices=-1", r"trainer\.devices must be auto, 1 or more, .*; got -1 and 1"),
    ("trainer=ddp trainer.devices=[]", r"trainer\.devices must be auto, 1 or more, .*; got \[\] and 1"),
    ("trainer=ddp trainer.num_nodes=0", r"trainer\.num_nodes 1 or more; got auto and 0"),
    ("trainer.keep=[best,best]", r"trainer\.keep must be a list of best, last, base, each at most once"),
    ("optimizer.lr=-1", r"optimizer\.lr must be a number, 0 or more; got -1"),
    ("optimizer.lr=nan", r"optimizer\.lr must be a number, 0 or more; got nan"),
    ("optimizer=sgd optimizer.lr=-inf", r"optimizer\.lr must be a number, 0 or more; got -inf"),
    ("optimizer.weight_decay=-0.1", r"optimizer\.weight_decay must be a number, 0 or more; got -0\.1"),
    ("optimizer=rmsprop optimizer.eps=-1", r"optimizer\.eps must be a number, 0 or more; got -1"),
)


@pytest.mark.parametrize(("overrides", "message"), WRONG)
def test_a_number_that_cannot_be_is_told(overrides, message):
    config = composed_config(*overrides.split())
    with pytest.raises(UserError, match=message):
        check_run_settings(config)  # of a run and of each of a sweep's cells


@pytest.mark.parametrize("key", ["keep", "precision", "check_val_every_n_epoch"])
def test_a_key_that_was_taken_out_is_told(key):
    with pytest.raises(UserError, match=rf"^trainer\.{key} can't be taken out: leave it as it is"):
        check_run_settings(composed_config(f"~trainer.{key}"))


@pytest.mark.parametrize(
    "overrides",
    [
        "optimizer=sgd optimizer.lr=0",
        "trainer=ddp trainer.devices=[1,2]",
        "trainer=ddp trainer.devices=2 trainer.num_nodes=3",
        "trainer.devices=[3]",
        "trainer.micro_batch=auto",
        "trainer.keep=[]",
    ],
)
def test_a_number_that_can_be_is_taken(overrides):
    check_settings(composed_config(*overrides.split()))


def test_a_run_tells_it_before_it_opens_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^trainer\.max_epochs must be a whole number"):
        run("data=geotiff", "data.images=*.tif", "data.labels=*.tif", "data.class_names=[a,b]",
            f"data.root={tmp_path}", "trainer.max_epochs=0")  # fmt: skip
    assert not (tmp_path / "outputs").exists()


def test_it_takes_no_torch():
    code = "import sys, geocompose.training.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
