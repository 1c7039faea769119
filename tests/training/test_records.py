"""What a run records of itself while it trains, and what is said of each epoch."""

import json
import logging
import math
import os
import platform
import re

import pytest
import torch

from geocompose.runs import RunFolder
from geocompose.tasks.segmentation import SegmentationTask
from geocompose.training import pace
from geocompose.training.epoch_lines import duration
from tests.kit.command import SMALL, only_run, record_of, run

LINE = re.compile(
    r"epoch (\d+)/3: loss [\d.e-]+, val/mIoU ([\d.]+)( \(best so far\))?, lr ([\d.e-]+), [\d.]+ s; \d+ s left"
)
PLAIN = (*SMALL, "logger=csv", "data.baselines=[]", "action.scene_scores=false")


@pytest.fixture(scope="module")
def three_epochs(tmp_path_factory):
    """Return the folder of a run of three epochs, and what its log said."""
    messages: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record)

    handler, log = Keeping(), logging.getLogger("geocompose")
    log.addHandler(handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("three"))
        run(*PLAIN, "trainer.max_epochs=3", "study=three")
        folder = only_run("three").resolve()
    log.removeHandler(handler)
    return folder, messages


def test_the_record_names_choices_defaults_and_process(three_epochs):
    recorded = record_of(three_epochs[0])
    assert recorded["choices"]["backbone"] == "timm"
    assert recorded["choices"]["decoder"] == "fcn"
    assert recorded["choices"]["peft"] == "none"
    assert not [group for group in recorded["choices"] if group.startswith("hydra")]
    defaults = recorded["defaults"]
    assert defaults["optimizer.lr"] == {"value": 5e-4, "from": recorded["training"]["lr"]["source"]}
    assert defaults["data.bands"]["value"] == recorded["data"]["bands"]
    assert defaults["neck.necks"]["value"] == recorded["model"]["necks"]
    assert "trainer.accelerator" not in defaults  # it was given
    process = recorded["process"]
    assert (process["host"], process["pid"]) == (platform.node(), os.getpid())
    assert recorded["started"] <= process["alive"] == recorded["finished"]


def test_each_epoch_has_its_seconds_and_images_per_second(three_epochs):
    recorded = record_of(three_epochs[0])
    assert len(recorded["epochs"]["seconds"]) == len(recorded["epochs"]["images_per_s"]) == 3
    train = recorded["data"]["splits"]["train"]["tiles"]
    for seconds, speed in zip(recorded["epochs"]["seconds"], recorded["epochs"]["images_per_s"], strict=True):
        assert 0 < seconds < recorded["seconds"]
        assert speed >= 0.99 * train / seconds  # training is a part of the epoch
    assert recorded["peak_memory_mb"] > 100
    assert recorded["hardware"]["threads"] == torch.get_num_threads()


def test_each_epoch_has_a_line_in_the_log_and_on_a_console_that_is_no_terminal(three_epochs):
    folder, messages = three_epochs
    lines = [match for line in (folder / "run.log").read_text().splitlines() if (match := LINE.search(line))]
    assert [line[1] for line in lines] == ["1", "2", "3"]
    values = [float(row.split(",")[column(folder, "val/mIoU")]) for row in rows(folder)[1:]]
    assert [float(line[2]) for line in lines] == pytest.approx(values, abs=1e-4)
    assert [bool(line[3]) for line in lines] == [
        value > max([*values[:n], -math.inf]) for n, value in enumerate(values)
    ]
    shown = [message for message in messages if LINE.search(message.getMessage())]
    assert [message.name for message in shown] == ["geocompose.course"] * 3  # which reaches the terminal
    assert not any(LINE.search(said) for said in record_of(folder)["said"])


def rows(folder) -> list[str]:
    return (folder / "metrics.csv").read_text().splitlines()


def column(folder, name: str) -> int:
    return rows(folder)[0].split(",").index(name)


@pytest.mark.parametrize(("selected", "converged"), [("best", False), ("worst", True)])
def test_a_best_epoch_that_was_the_last_is_recorded_as_not_converged(selected, converged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scores = SegmentationTask.scores

    def by_epoch(task, split):
        found = scores(task, split)
        epoch = task.trainer.current_epoch
        return found | {"mIoU": 0.1 * (epoch + 1) if selected == "best" else 1 / (epoch + 1)}

    monkeypatch.setattr(SegmentationTask, "scores", by_epoch)
    run(*PLAIN, "study=last")
    folder = only_run("last")
    assert record_of(folder)["training"]["converged"] is converged
    assert ("not converged" in (folder / "run.log").read_text()) is not converged


def test_a_resumed_run_keeps_the_epochs_and_peaks_of_its_first_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write = pace.Pace.on_train_epoch_end

    def stop_after_two(self, trainer, module):
        write(self, trainer, module)
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    overrides = (*PLAIN, "trainer.max_epochs=4", "study=resumed")
    with monkeypatch.context() as patch:
        patch.setattr(pace.Pace, "on_train_epoch_end", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            run(*overrides)
    folder = RunFolder(only_run("resumed"))
    first = json.loads(folder.record.read_text())
    assert len(first["epochs"]["seconds"]) == 3  # of which the last one has no checkpoint
    first["peak_memory_mb"] = 1e6
    first["epochs"]["seconds"][0] = 77.0
    folder.record.write_text(json.dumps(first))
    run(*overrides)
    second = record_of(folder.path)
    assert second["resumed"] == 1
    assert second["peak_memory_mb"] == 1e6
    assert len(second["epochs"]["seconds"]) == len(second["epochs"]["images_per_s"]) == 4
    assert second["epochs"]["seconds"][:2] == [77.0, first["epochs"]["seconds"][1]]
    log = folder.log.read_text()
    assert [log.count(f"epoch {number}/4") for number in (1, 2, 3, 4)] == [1, 1, 1, 1]


def test_the_sign_of_life_is_renewed_within_a_long_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pace, "SIGN_OF_LIFE_S", 0)
    seen = []
    write = pace.Pace.on_train_batch_end

    def look(self, trainer, *batch):
        write(self, trainer, *batch)
        seen.append((trainer.current_epoch, record_of(only_run("alive"))["training"].get("epochs"), self._saved_s))

    monkeypatch.setattr(pace.Pace, "on_train_batch_end", look)
    run(*PLAIN, "trainer.max_epochs=1", "study=alive")
    assert [epochs for _, epochs, _ in seen] == [None] * len(seen)  # written before the epoch ended
    assert len({at for *_, at in seen}) == len(seen) > 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.2, "1 min 0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (9000, "2 h 30 min")]
)
def test_durations_have_two_units_at_most(seconds, text):
    assert duration(seconds) == text
