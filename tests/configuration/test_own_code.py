"""Which source files are a user's own code, of those that a configuration names."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geocompose.configuration.own_code import OwnCode, own_code
from geocompose.errors import UserError


@pytest.fixture
def write(tmp_path, monkeypatch) -> Callable[[str, str], Path]:
    """A folder on the path of modules, and what writes files into it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def named(*targets: str) -> dict[str, object]:
    return {"backbone": {"_target_": targets[0]}, "more": [{"in": {"_target_": target}} for target in targets[1:]]}


def files(*targets: str) -> list[str]:
    found = own_code(named(*targets))
    return [] if found is None else sorted(found.files)


def test_what_is_not_the_users_own_has_no_part_in_it():
    targets = ["geocompose.models.auxiliary.AuxiliaryDecoders", "torch.optim.AdamW", "collections.OrderedDict"]
    assert own_code(named(*targets, "timm.create_model", "sys.exit", "oc_not_there.Net")) is None


def test_a_module_counts_with_all_that_it_imports_of_the_users_own(write):
    write("oc_net.py", "import torch, json\nimport oc_one\ndef late():\n    from oc_folder.two import f\n")
    write("oc_one.py", "from oc_three import x as y\n")
    write("oc_three.py", "import oc_net  # a circle\n")
    write("oc_folder/two.py", "from . import three\nfrom .three import g\n")
    write("oc_folder/three.py")
    write("oc_folder/script.py")
    write("oc_other.py")
    expected = ["oc_folder/three.py", "oc_folder/two.py", "oc_net.py", "oc_one.py", "oc_three.py"]
    assert files("oc_net.Net") == expected


def test_of_a_package_all_files_count(write):
    for name in ("__init__", "nets", "registered", "inner/__init__", "inner/deep"):
        write(f"oc_package/{name}.py")
    write("oc_package/notes.txt")
    write("oc_package/.venv/lib.py")
    assert files("oc_package.nets.Net.small") == [
        "oc_package/__init__.py",
        "oc_package/inner/__init__.py",
        "oc_package/inner/deep.py",
        "oc_package/nets.py",
        "oc_package/registered.py",
    ]


def test_nested_targets_count_and_those_that_change_no_result_do_not(write):
    write("oc_loss.py")
    write("oc_logger.py")
    config = {"task": {"losses": [{"weight": 1, "of": {"_target_": "oc_loss.Dice"}}]}}
    config["logger"] = {"_target_": "oc_logger.Mine"}
    found = own_code(config, ["logger"])
    assert found is not None
    assert list(found.files) == ["oc_loss.py"]
    activation = own_code({"decoder": {"_target_": "geocompose.x", "final_act": "oc_loss.act"}})
    assert activation is not None
    assert list(activation.files) == ["oc_loss.py"]


@pytest.mark.parametrize("change", ["text", "comment", "new file", "gone"])
def test_every_change_of_the_source_changes_the_hash_and_moving_it_does_not(change, write, tmp_path):
    write("oc_hash/__init__.py")
    net = write("oc_hash/net.py", "WIDTH = 8\n")
    before = own_code(named("oc_hash.net.Net"))
    assert before is not None
    kept = OwnCode({name: bytes(content) for name, content in before.files.items()})
    assert kept.sha256 == before.sha256
    match change:
        case "text":
            net.write_text("WIDTH = 16\n")
        case "comment":
            net.write_text("WIDTH = 8  # wide\n")
        case "new file":
            write("oc_hash/more.py")
        case "gone":
            net.unlink()
    after = own_code(named("oc_hash.net.Net"))
    assert after is not None
    assert after.sha256 != before.sha256


def test_changes_are_told_by_file(tmp_path):
    kept = tmp_path / "code"
    (kept / "lab").mkdir(parents=True)
    (kept / "lab/a.py").write_text("1")
    (kept / "b.py").write_text("2")
    (kept / "c.py").write_text("3")
    now = OwnCode({"lab/a.py": b"1", "b.py": b"9", "d.py": b"4"})
    assert now.changes_since(kept) == ["b.py (changed)", "c.py (gone)", "d.py (new)"]


def installed(site: Path, *, of_a_folder: bool) -> None:
    """Install a package as pip does: from an index, or from a folder."""
    (site / "oc_pip").mkdir(parents=True)
    (site / "oc_pip/__init__.py").write_text("class Net: ...\n")
    about = site / "oc_pip-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: oc-pip\nVersion: 1.5\n")
    (about / "RECORD").write_text("oc_pip/__init__.py,,\n")
    (about / "top_level.txt").write_text("oc_pip\n")
    if of_a_folder:
        (about / "direct_url.json").write_text('{"url": "file:///lab", "dir_info": {}}')


@pytest.mark.parametrize("of_a_folder", [True, False])
def test_an_installed_package_counts_by_its_version_and_one_out_of_a_folder_by_its_source(
    of_a_folder, tmp_path, monkeypatch
):
    from geocompose.configuration import own_code as module

    site = tmp_path / "site-packages"
    installed(site, of_a_folder=of_a_folder)
    monkeypatch.syspath_prepend(site)
    module._distributions.cache_clear()
    found = own_code(named("oc_pip.Net"))
    module._distributions.cache_clear()
    assert found is not None
    assert dict(found.versions) == ({} if of_a_folder else {"oc-pip": "1.5"})
    assert list(found.files) == (["oc_pip/__init__.py"] if of_a_folder else [])


def test_nothing_is_imported_to_look_at_it(write):
    write("oc_fatal.py", "raise SystemExit('imported')\n")
    assert files("oc_fatal.Net") == ["oc_fatal.py"]
    assert "oc_fatal" not in sys.modules


def test_a_file_that_is_no_python_counts_as_it_is(write):
    write("oc_broken.py", "def (:\n")
    assert files("oc_broken.Net") == ["oc_broken.py"]


def test_a_source_that_cannot_be_read_is_said(write, monkeypatch):
    write("oc_secret.py")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError, match=r"Can't read .*oc_secret.py: permission denied"):
        files("oc_secret.Net")


@pytest.mark.parametrize("name", ["Twice", "oc_lab_Twice"])
@pytest.mark.parametrize(
    "config",
    [
        lambda name: {"neck": {"necks": ["Select", {"name": name, "times": 2}]}},
        lambda name: {"neck": {"necks": [name]}},
        lambda name: {"backbone": {"_target_": "geocompose.x", "parts": {"s1": {"name": name}, "s2": "prithvi"}}},
    ],
)
def test_a_part_that_is_named_by_an_entry_point_counts_like_its_target(config, name, write):
    write("oc_lab_parts/__init__.py", "from oc_beside import Parent\n")
    write("oc_lab_parts/inner.py")
    write("oc_beside.py")
    write("oc_lab-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: oc-lab\nVersion: 1.0\n")
    points = "".join(f"[geocompose.{kind}s]\nTwice = oc_lab_parts.inner:Twice\n" for kind in ("neck", "backbone"))
    write("oc_lab-1.0.dist-info/entry_points.txt", points)
    found = own_code(config(name))
    assert found is not None
    assert sorted(found.files) == ["oc_beside.py", "oc_lab_parts/__init__.py", "oc_lab_parts/inner.py"]
    assert own_code(config("Once")) is None


@pytest.mark.parametrize(
    "inherit", ["from oc_parent import Base\n", "import oc_parent as p\n", "from oc_parent import *\n"]
)
def test_the_module_of_a_parent_class_counts(inherit, write):
    write("oc_child.py", inherit + "\nclass Net(Base): ...\n")
    write("oc_parent.py", "from oc_grand.deep import Base\n")
    write("oc_grand/__init__.py")
    write("oc_grand/deep.py", "from . import x\n")
    assert files("oc_child.Net") == ["oc_child.py", "oc_grand/__init__.py", "oc_grand/deep.py", "oc_parent.py"]
