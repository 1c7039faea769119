"""How long a model waited for data: recorded, said at the end, and with a remedy where it is much."""

import logging
from types import SimpleNamespace

import pytest

from geocompose.data.readers import Readers
from geocompose.runs import Record
from geocompose.training import waiting
from geocompose.training.waiting import DataWait


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(waiting.time, "monotonic", lambda: self.now)


def train(callback, clock, epochs):
    """Train epochs of which each has these seconds of computing and of waiting."""
    loader = SimpleNamespace(waited_s=50.0)  # another training waited before
    callback.on_train_start(SimpleNamespace(current_epoch=0), None)
    for number, (computing_s, waiting_s) in enumerate(epochs):
        trainer = SimpleNamespace(train_dataloader=loader, is_global_zero=True, current_epoch=number)
        callback.on_train_epoch_start(trainer, None)
        clock.now += computing_s + waiting_s
        loader.waited_s += waiting_s
        callback.on_train_batch_end(trainer, None, None, None, 0)
        clock.now += 1000.0  # of validation
        callback.on_train_epoch_end(trainer, None)
    callback.on_train_end(trainer, None)


@pytest.mark.parametrize(
    ("epochs", "record", "last", "advised"),
    [
        ([(9.0, 1.0), (9.5, 0.5)], [1.0, 0.5], "for 1.5 s, 8 % of the training time (20 s)", 0),
        ([(9.0, 1.0), (6.0, 4.0), (5.0, 5.0)], [1.0, 4.0, 5.0], "for 10.0 s, 33 %", 1),
        ([(0.1, 0.1)], [0.1], "for 0.1 s, 50 %", 0),
    ],
)
def test_waiting_is_recorded_and_said(epochs, record, last, advised, monkeypatch, caplog):
    found = Record(run_id="0" * 10)
    callback = DataWait(
        found, SimpleNamespace(loading_advice="Set data.cache_mb=7.", loading=Readers(3, 0).as_record())
    )
    with caplog.at_level(logging.INFO):
        train(callback, Clock(monkeypatch), epochs)
    assert found.epochs["data_wait_s"] == record
    assert found.training["loading"] == {"num_workers": 3, "threads": 0}
    assert last in caplog.messages[-1]
    advice = [line for line in caplog.messages if "Set data.cache_mb=7." in line]
    assert len(advice) == advised
    assert all(line.startswith("In epoch 2 the model waited for data for 40 % of the time.") for line in advice)


def test_a_resumed_run_keeps_what_was_measured_before(monkeypatch):
    found = Record(run_id="0" * 10, epochs={"data_wait_s": [0.1, 0.2, 0.3]})
    callback = DataWait(found, SimpleNamespace(loading_advice="", loading=Readers(3, 0).as_record()))
    callback.on_train_start(SimpleNamespace(current_epoch=2), None)
    assert found.epochs["data_wait_s"] == [0.1, 0.2]
    earlier = Record(run_id="0" * 10)  # of a version that did not measure it
    DataWait(earlier, callback._data).on_train_start(SimpleNamespace(current_epoch=2), None)
    assert earlier.epochs["data_wait_s"] == [None, None]
