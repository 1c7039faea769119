"""Hashes of input files: what changes them, and a cache that may fail but never lies."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.runs import fingerprint as module
from geocompose.runs.fingerprint import cache_folder, fingerprint, hash_file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache that remembers at once."""
    monkeypatch.setenv("GEOCOMPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "SETTLED_S", -1e9)
    module._warn_once.cache_clear()
    return tmp_path / "cache" / "hashes.sqlite"


@pytest.fixture
def data(tmp_path) -> Path:
    root = tmp_path / "floods"
    (root / "S2Hand").mkdir(parents=True)
    for name in ("a.tif", "b.tif", "S2Hand/a.tif"):
        (root / name).write_bytes(name.encode() * 100)
    return root


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of files whose contents were read."""
    names: list[str] = []
    digest = hashlib.file_digest

    def counting(file, algorithm):
        names.append(Path(file.name).name)
        return digest(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    return names


def test_hash_is_the_sha256_of_the_contents(data):
    assert hash_file(data / "a.tif") == hashlib.sha256(b"a.tif" * 100).hexdigest()


def test_a_moved_or_copied_folder_keeps_its_fingerprint(data, tmp_path):
    before = fingerprint(files(data), data)
    shutil.copytree(data, tmp_path / "copy")
    assert fingerprint(files(tmp_path / "copy"), tmp_path / "copy") == before
    data.rename(tmp_path / "moved")
    assert fingerprint(reversed(files(tmp_path / "moved")), tmp_path / "moved") == before


def test_a_relative_path_and_a_linked_root_keep_the_fingerprint(data, tmp_path, monkeypatch):
    before = fingerprint(files(data), data)
    (tmp_path / "link").symlink_to(data)
    assert fingerprint(files(data), tmp_path / "link") == before
    assert (
        fingerprint([tmp_path / "link" / path.relative_to(data) for path in files(data)], tmp_path / "link") == before
    )
    monkeypatch.chdir(tmp_path)
    assert fingerprint([path.relative_to(tmp_path) for path in files(data)], Path("floods")) == before


def test_links_into_a_store_count_under_their_own_names(data, tmp_path):
    before = fingerprint(files(data), data)
    linked = tmp_path / "linked"
    for number, path in enumerate(files(data)):
        stored = tmp_path / f"store-{number}"
        shutil.copy(path, stored)
        link = linked / path.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(stored)
    assert fingerprint(files(linked), linked) == before


def test_one_changed_byte_a_new_name_and_a_further_file_change_the_fingerprint(data):
    seen = {fingerprint(files(data), data)}
    path = data / "a.tif"
    stat = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    seen.add(fingerprint(files(data), data))
    path.rename(data / "c.tif")
    seen.add(fingerprint(files(data), data))
    (data / "d.tif").touch()
    seen.add(fingerprint(files(data), data))
    assert len(seen) == 4


def test_files_that_swap_their_contents_change_the_fingerprint(data):
    before = fingerprint(files(data), data)
    first, second = (data / "a.tif").read_bytes(), (data / "b.tif").read_bytes()
    (data / "a.tif").write_bytes(second)
    (data / "b.tif").write_bytes(first)
    assert fingerprint(files(data), data) != before


def test_a_file_outside_the_root_counts_by_name_and_contents(data, tmp_path):
    def with_list(folder: str, name: str, text: str) -> str:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return fingerprint([*files(data), path], data)

    before = with_list("lists", "train.csv", "a")
    assert with_list("other", "train.csv", "a") == before
    assert with_list("other", "train.csv", "b") != before
    assert with_list("lists", "val.csv", "a") != before


def test_contents_are_read_once(data, reads):
    first = fingerprint(files(data), data)
    assert len(reads) == 3
    assert fingerprint(files(data), data) == first
    assert hash_file(data / "b.tif")
    assert len(reads) == 3
    (data / "b.tif").write_bytes(b"new")
    fingerprint(files(data), data)
    assert reads[3:] == ["b.tif"]


def test_a_file_changed_a_moment_ago_is_not_remembered(data, reads, monkeypatch):
    monkeypatch.setattr(module, "SETTLED_S", 60.0)
    hash_file(data / "a.tif")
    hash_file(data / "a.tif")
    assert reads == ["a.tif", "a.tif"]


def test_a_file_that_changes_while_it_is_read_is_refused(data, monkeypatch):
    digest = hashlib.file_digest

    def slow(file, algorithm):
        with open(file.name, "ab") as other:
            other.write(b"more")
        return digest(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", slow)
    with pytest.raises(UserError, match="changed while it was read"):
        hash_file(data / "a.tif")


@pytest.mark.parametrize("contents", [b"this is no database, not at all" * 400, b""], ids=["foreign", "empty"])
def test_a_damaged_cache_is_bypassed_with_one_warning(data, cache, caplog, contents):
    expected = fingerprint(files(data), data)
    cache.write_bytes(contents)
    assert fingerprint(files(data), data) == expected
    assert fingerprint(files(data), data) == expected
    warnings = [record for record in caplog.records if "can't be remembered" in record.message]
    assert len(warnings) == (1 if contents else 0)  # an empty file is an empty database


def test_a_cache_with_a_truncated_page_never_gives_a_wrong_hash(data, cache):
    expected = fingerprint(files(data), data)
    whole = cache.read_bytes()
    for length in (100, 1000, len(whole) // 2, len(whole) - 1):
        cache.write_bytes(whole[:length])
        assert fingerprint(files(data), data) == expected


def test_a_cache_entry_that_is_no_hash_is_not_believed(data, cache):
    import sqlite3

    expected = hash_file(data / "a.tif")
    with sqlite3.connect(cache) as database:
        database.execute("UPDATE hashes_1 SET sha256 = 'abc'")
    database.close()
    assert hash_file(data / "a.tif") == expected


def test_a_cache_in_an_impossible_place_is_bypassed_with_one_warning(data, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEOCOMPOSE_CACHE", str(tmp_path / "file" / "below"))
    for _ in range(2):
        assert hash_file(data / "a.tif") == hashlib.sha256(b"a.tif" * 100).hexdigest()
    assert len(caplog.records) == 1


def test_a_locked_cache_is_bypassed(data, cache, monkeypatch, caplog):
    import sqlite3

    expected = hash_file(data / "a.tif")
    monkeypatch.setattr(module, "_BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(cache, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert hash_file(data / "a.tif") == expected
    assert "locked" in caplog.text
    other.close()


def test_processes_share_one_cache_without_harm(data, cache):
    script = (
        "import sys, pathlib; from geocompose.runs import fingerprint as m; m.SETTLED_S = -1e9\n"
        "root = pathlib.Path(sys.argv[1]); files = [p for p in root.rglob('*') if p.is_file()]\n"
        "print({m.fingerprint(files, root) for _ in range(20)})"
    )
    for number in range(200):
        (data / f"{number}.tif").write_text(str(number))
    command = [sys.executable, "-c", script, str(data)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=60) for process in started]
    assert {answer for answer, _ in answers} == {f"{ {fingerprint(files(data), data)} }\n"}
    assert all("can't be remembered" not in errors for _, errors in answers)


def test_missing_files_and_folders_are_refused(data):
    with pytest.raises(UserError, match=r"c\.tif does not exist"):
        hash_file(data / "c.tif")
    with pytest.raises(UserError, match="S2Hand is a folder"):
        fingerprint([data / "S2Hand"], data)


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GEOCOMPOSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/geocompose")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/somewhere/at_home")
    assert cache_folder() == Path("/somewhere/at_home/.cache/geocompose")
