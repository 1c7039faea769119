"""Folders of kept features: what is removed to make room, and what is not."""

import multiprocessing
import os

import pytest

from geocompose.cache import folder as folders
from geocompose.cache.folder import computing, make_room, opened
from geocompose.errors import UserError


def filled(place, name, kilobytes, age):
    folder = place / name
    with opened(folder, {"name": name}):
        (folder / "layer_1").mkdir(exist_ok=True)
        (folder / "layer_1" / "a.npy").write_bytes(bytes(1000 * kilobytes))
    os.utime(folder / folders._READ, (1e9 - age, 1e9 - age))
    return folder


def names(place):
    return sorted(folder.name for folder in place.iterdir())


def test_what_was_used_least_recently_is_removed_first(tmp_path, caplog):
    caplog.set_level("INFO", logger="geocompose")
    for name, age in (("old", 30), ("older", 40), ("young", 10)):
        filled(tmp_path, name, 10, age)
    mine = filled(tmp_path, "mine", 10, 50)
    make_room(tmp_path, 5_000, 45_000, mine)
    assert names(tmp_path) == ["mine", "old", "older", "young"], "it fits as it is"
    make_room(tmp_path, 20_000, 40_000, mine)
    assert names(tmp_path) == ["mine", "young"]
    assert "cache.max_gb" in caplog.text


def test_what_is_in_use_stays_and_then_there_is_no_room(tmp_path):
    used = filled(tmp_path, "used", 10, 30)
    mine = filled(tmp_path, "mine", 1, 1)
    with (
        opened(used, {}),
        pytest.raises(UserError, match=r"don't fit.*cache\.max_gb.*fp16.*dihedral=false.*cache=none"),
    ):
        make_room(tmp_path, 15_000, 20_000, mine)
    assert names(tmp_path) == ["mine", "used"]
    os.utime(used / folders._READ, (1, 1))
    make_room(tmp_path, 15_000, 20_000, mine)
    assert names(tmp_path) == ["mine"]


def test_a_full_disk_is_told_before(tmp_path, monkeypatch):
    mine = filled(tmp_path, "mine", 1, 1)
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda place: type("Disk", (), {"free": 10_000}))
    with pytest.raises(UserError, match=r"disk of .* left.*cache\.folder"):
        make_room(tmp_path, 9_500, 10**9, mine)


def test_a_folder_that_was_removed_while_it_was_opened_is_made_again(tmp_path):
    folder = filled(tmp_path, "one", 1, 1)
    assert folders._removed(folder)
    with opened(folder, {"of": "it"}):
        assert (folder / "manifest.json").is_file()
        assert not folders._removed(folder), "it is in use"


def _count(folder, started, queue):
    started.wait(30)
    with computing(folder):
        number = int((folder / "number").read_text())
        if number == 0:
            (folder / "number").write_text("1")
        queue.put(number)


def test_two_processes_do_not_compute_the_same_twice(tmp_path):
    (tmp_path / "number").write_text("0")
    context = multiprocessing.get_context("spawn")
    started, queue = context.Event(), context.Queue()
    processes = [context.Process(target=_count, args=(tmp_path, started, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    started.set()
    found = sorted(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert found == [0, 1], "the second one finds what the first has made"
