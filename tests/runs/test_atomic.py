"""Files are written whole or not at all, and what the disk refuses is said in one message."""

import builtins
import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.runs.atomic import sync_tree, write_json, write_text

REFUSALS = [
    (errno.ENOSPC, "the disk is full"),
    (errno.EDQUOT, "quota is used up"),
    (errno.EROFS, "the file system is read-only"),
    (errno.EACCES, "permission denied"),
    (errno.EIO, "input/output error"),
]


def refuse(monkeypatch, name: str, code: int) -> None:
    """Let one of the steps of writing fail as the operating system would."""

    def failing(*arguments, **options):
        raise OSError(code, os.strerror(code))

    if name == "open":
        opened = builtins.open
        monkeypatch.setattr(
            builtins,
            "open",
            lambda file, mode="r", *rest, **options: (
                failing() if "x" in mode or "w" in mode else opened(file, mode, *rest, **options)
            ),
        )
    else:
        monkeypatch.setattr(os, name, failing)


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
@pytest.mark.parametrize(("code", "message"), REFUSALS, ids=[errno.errorcode[code] for code, _ in REFUSALS])
def test_a_refused_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, code, message):
    path = tmp_path / "record.json"
    write_text(path, "old")
    with monkeypatch.context() as patch:
        refuse(patch, step, code)
        with pytest.raises(UserError, match=rf"Can't write .*record\.json: .*{message}"):
            write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_text(path, "old")

    def stopped(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_that_has_no_advice_is_not_disguised(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "missing" / "file", "text")


def test_a_file_where_a_folder_is_needed_is_said(tmp_path):
    (tmp_path / "study").touch()
    with pytest.raises(UserError, match="a file stands where a folder is needed"):
        write_text(tmp_path / "study" / "file", "text")


def test_text_is_replaced_and_readable_by_the_same_people_as_any_other_file(tmp_path):
    write_text(tmp_path / "a", "größe\n")
    write_text(tmp_path / "a", "zwei\n")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").read_bytes() == b"zwei\n"
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_json_is_strict_and_takes_numbers_of_numpy_and_paths(tmp_path):
    value = {
        "nan": math.nan,
        "inf": [-math.inf, np.float32("nan")],
        "numpy": (np.float32(0.5), np.int64(3), np.bool_(True), np.float64(0.1), np.array(7)),
        "path": Path("a/b"),
        "deep": {"a": [{"b": math.nan}]},
        7: "ü",
    }
    write_json(tmp_path / "a.json", value)

    def refused(name):
        raise AssertionError(name)

    read = json.loads((tmp_path / "a.json").read_text(), parse_constant=refused)
    assert read == {
        "nan": None,
        "inf": [None, None],
        "numpy": [0.5, 3, True, 0.1, 7],
        "path": "a/b",
        "deep": {"a": [{"b": None}]},
        "7": "ü",
    }


def test_json_keeps_file_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.tif")
    write_json(tmp_path / "a.json", {"file": name})
    assert json.loads((tmp_path / "a.json").read_text()) == {"file": name}


def test_json_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(TypeError, match="object can't be recorded as JSON"):
        write_json(tmp_path / "a.json", {"a": object()})
    with pytest.raises(AssertionError, match="two keys"):
        write_json(tmp_path / "a.json", {1: "a", "1": "b"})
    assert list(tmp_path.iterdir()) == []


def test_a_tree_with_links_and_folders_is_flushed(tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(b"1")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    flushed = []
    sync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (flushed.append(os.readlink(f"/proc/self/fd/{handle}")), sync(handle))
    )
    sync_tree(tmp_path)
    assert {Path(name).name for name in flushed} == {"best.ckpt", "checkpoints", tmp_path.name}


def test_a_file_name_of_any_bytes_can_be_written(tmp_path):
    write_text(tmp_path / "t.csv", "file\nb\udcff.tif\n")
    assert (tmp_path / "t.csv").read_text("utf-8") == "file\nb\\udcff.tif\n"
