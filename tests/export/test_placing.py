"""An export takes its place whole or not at all, and takes nothing that is not an export's."""

import errno
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.export.placing import MANIFEST, check_place, placed
from tests.kit.faults import Disk

REFUSALS = [errno.ENOSPC, errno.EROFS, errno.EIO]


def write_folder(destination, text="new"):
    with placed(destination) as place:
        (place / "inner").mkdir(parents=True)
        for name in (MANIFEST, "inner/weights"):
            with open(place / name, "xb") as file:
                file.write(text.encode())


def write_file(destination, text="new"):
    with placed(destination) as place, open(place, "xb") as file:
        file.write(text.encode())


WRITERS = {"folder": write_folder, "file": write_file}


def held(destination):
    """Return what is at a destination: text by name, one text of a file, or None."""
    if not destination.exists():
        return None
    files = [path for path in destination.rglob("*") if path.is_file()] if destination.is_dir() else [destination]
    return {str(path.relative_to(destination)): path.read_text() for path in files}


def whole(kind, text):
    return {"folder": {MANIFEST: text, "inner/weights": text}, "file": {".": text}}[kind]


@pytest.mark.parametrize("kind", WRITERS)
def test_an_export_takes_its_place(kind, tmp_path):
    destination = tmp_path / "further" / "sent"
    WRITERS[kind](destination)
    assert held(destination) == whole(kind, "new")
    WRITERS[kind](destination, "newer")
    assert held(destination) == whole(kind, "newer")
    assert [path.name for path in destination.parent.iterdir()] == ["sent"]


def told(write, destination):
    """Return what a user is told where the writing is refused."""
    try:
        write(destination)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("earlier", ["old", None])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_disk_that_refuses_leaves_the_earlier_or_the_new_one_whole(kind, earlier, refusal, tmp_path, monkeypatch):
    destination = tmp_path / "sent"
    if earlier:
        WRITERS[kind](destination, earlier)
    disk = Disk(tmp_path, monkeypatch)
    disk.refuse(10**8, refusal)
    WRITERS[kind](destination, earlier or "new")
    calls = disk.count
    assert calls >= 5
    for place in range(calls):
        disk.refuse(place, refusal, once=True)
        said = told(WRITERS[kind], destination)
        assert len(said.splitlines()) <= 1
        assert not said or str(destination) in said
        disk.heal()
        assert held(destination) in (whole(kind, "new"), whole(kind, earlier) if earlier else None)
        assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def fail(destination):
    with placed(destination) as place:
        place.write_text("half")
        raise UserError("no such model")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_failure_while_it_is_written_leaves_nothing(kind, tmp_path):
    destination = tmp_path / "sent"
    WRITERS[kind](destination, "old")
    with pytest.raises(UserError, match="no such model"):
        fail(destination)
    assert held(destination) == whole(kind, "old")
    assert [path.name for path in tmp_path.iterdir()] == ["sent"]


def test_places_that_an_export_can_not_take_are_refused(tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file.onnx"
    write_folder(folder)
    write_file(file)
    check_place(tmp_path / "free", "", overwrite=False)
    check_place(folder, "", overwrite=True)
    check_place(file, ".onnx", overwrite=True)
    for path, ending in ((folder, ""), (file, ".onnx")):
        with pytest.raises(UserError, match=r"exists already; action\.overwrite=true"):
            check_place(path, ending, overwrite=False)
    with pytest.raises(UserError, match=r"must end in \.pt2: write .*file\.pt2"):
        check_place(tmp_path / "file.onnx", ".pt2", overwrite=True)
    with pytest.raises(UserError, match="is a file that is there already"):
        check_place(file, "", overwrite=True)
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(UserError, match="is a folder that is there already"):
        check_place(tmp_path / "x.onnx", ".onnx", overwrite=True)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UserError, match="is a link"):
        check_place(tmp_path / "link", "", overwrite=True)


def test_a_folder_that_is_no_export_is_not_replaced(tmp_path):
    mine = tmp_path / "photographs"
    mine.mkdir()
    check_place(mine, "", overwrite=True)  # empty
    Path(mine / "cat.jpg").write_text("cat")
    with pytest.raises(UserError, match="not the folder of an earlier export"):
        check_place(mine, "", overwrite=True)
