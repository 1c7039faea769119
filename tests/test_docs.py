"""What docs/ says of the tests and of itself is so."""

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from geocompose import registry
from geocompose.catalog import optional
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.configuration.typed import as_hydra_takes_it
from tests.kit import command
from tests.kit.places import CONF, ROOT

DEFECTS = ROOT / "docs" / "terratorch-defects.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTENDING = ROOT / "docs" / "extending.md"  # run as a whole
COMMAND = re.compile(r"^    python run\.py (.*)$")


def rows() -> list[tuple[str, str, str]]:
    """Return the table's lines: what goes wrong there, what happens here, what guards it."""
    lines = [
        line for line in DEFECTS.read_text().splitlines() if line.startswith("| ") and not line.startswith("| there")
    ]
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    assert all(len(row) == 3 for row in cells)
    return [(row[0], row[1], row[2]) for row in cells]


def names_of_tests(file: Path) -> set[str]:
    """Return the names of a file's tests."""
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_defect_in_the_table_is_guarded_by_a_test_or_not_built_yet():
    table = rows()
    assert len(table) >= 50
    for there, here, guards in table:
        assert here, there
        assert bool(NAMED.search(guards)) is (here != "not built yet"), there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page):
    named = NAMED.findall(page.read_text())
    assert len(named) == page.read_text().count(".py::"), "write a test as `tests/FILE.py::test_name`"
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or name not in names_of_tests(ROOT / file)
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_exists(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def commands(page: Path) -> list[list[str]]:
    """Return the arguments of each `python run.py ...` on a page."""
    lines = [COMMAND.match(line) for line in page.read_text().splitlines()]
    # A sweep's first cell stands for the others.
    return [
        [re.sub(r"^([^'\[{]+=[^,\[{]+),.*", r"\1", _low(text)) for text in shlex.split(line[1]) if text != "-m"]
        for line in lines
        if line
    ]


def _low(text: str) -> str:
    """Return an override with the lower end of an interval or a range in its place."""
    return re.sub(r"=.*\b(?:interval|range)\(([^,]+),.*$", r"=\1", text)


OF_THE_READER = "experiment=imported/"  # made by a command of the page before


@pytest.mark.parametrize("page", [page for page in PAGES if page != EXTENDING], ids=lambda page: page.name)
def test_every_command_on_a_page_composes_and_its_keys_and_values_are_right(page, tmp_path):
    for given in commands(page):
        if any(text.startswith(OF_THE_READER) for text in given):
            continue
        overrides = [text.replace("data.root=DIR", f"data.root={tmp_path}") for text in given]
        overrides = as_hydra_takes_it(overrides, [CONF])
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("config", overrides=overrides)
        check(config, groups(ROOT / "conf"))


def pieces(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what a page's reader does, in order: (file, name, text), (python, "", code), (command, "", arguments)."""
    block = re.compile(
        r"(?:^`(?P<file>[\w./-]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$"
        r"|^    python run\.py (?P<command>[^\n]*)$",
        re.MULTILINE | re.DOTALL,
    )
    for found in block.finditer(page.read_text()):
        if found["command"]:
            yield "command", "", found["command"]
        elif found["file"]:
            yield "file", found["file"], found["text"]
        else:
            if found["language"] == "console":  # of data that isn't here: tests/data/test_modules.py has some
                continue
            assert found["language"] == "python", (
                f"a block without a file's name is Python that is run: {found['text']}"
            )
            yield "python", "", found["text"]


# Examples of loggers that need a package: it, what tells the command from others, and where files of the run are.
FURTHER_LOGGERS = [
    ("mlflow", "logger=mlflow", "outputs/mlruns/*/*/metrics/val/mIoU"),
    ("wandb", "logger=wandb", "outputs/kept_by_wandb/*/wandb/offline-run-*/*.wandb"),
    ("mlflow", "loggers.MLFlowLogger", "mlruns/*/*/metrics/val/mIoU"),
    ("wandb", "loggers.WandbLogger", "outputs/synced/*/wandb/offline-run-*/*.wandb"),
]


def install(project: str, folder: Path) -> None:
    """Write what pip leaves of a package with this pyproject.toml, beside its modules in `folder`."""
    said = tomllib.loads(project)["project"]
    info = folder / f"{said['name'].replace('-', '_')}-{said['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {said['name']}\nVersion: {said['version']}\n")
    lines = []
    for group, points in said["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    importlib.invalidate_caches()


def test_the_examples_of_parts_of_ones_own_do_what_the_page_says(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.setattr(command, "CONF", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for each in (registry.BACKBONE_REGISTRY._own, registry.NECK_REGISTRY, registry.DECODER_REGISTRY._own):
        monkeypatch.setattr(each, "_parts", dict(each._load()))
    namespace: dict[str, object] = {}
    done = []
    try:
        for kind, file, text in pieces(EXTENDING):
            done.append(kind)
            if kind == "file":
                (tmp_path / file).write_text(text)
                if file == "pyproject.toml":
                    (tmp_path / "installed").mkdir()
                    install(text, tmp_path / "installed")
                    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
            elif kind == "python":
                exec(compile(text, "docs/extending.md", "exec"), namespace)
            elif any(name in text for _, name, _ in FURTHER_LOGGERS):
                done[-1] = "optional command"
            else:
                command.run(*as_hydra_takes_it(shlex.split(text), [CONF]))
                said = "outputs/" if text.startswith("action=fit") else "features for the decoder: "
                assert said in capsys.readouterr().out
    finally:
        for name in ("my_lab", "my_tasks", "my_losses", "my_callbacks", "my_data", "my_loggers"):
            sys.modules.pop(name, None)
    assert (done.count("file"), done.count("python"), done.count("command")) == (9, 3, 14)
    assert done.count("optional command") == len(FURTHER_LOGGERS)
    assert (tmp_path / "notes.txt").read_text().startswith("0 ")
    lines = [
        json.loads(line)
        for file in tmp_path.glob("outputs/*/*/lines.jsonl")
        for line in file.read_text().split("\n")
        if line
    ]
    assert any("val/mIoU" in line for line in lines)
    assert list(tmp_path.glob("outputs/kept_by_lightning/*/lightning_logs/*/metrics.csv"))


@pytest.mark.optional
@pytest.mark.parametrize(("package", "name", "kept"), FURTHER_LOGGERS, ids=lambda value: value)
def test_the_examples_of_further_loggers_keep_a_run_where_the_page_says(package, name, kept, tmp_path):
    if not optional.installed(package):
        pytest.skip(f"needs {package}")
    (text,) = [text for kind, _, text in pieces(EXTENDING) if kind == "command" and name in text]
    # In a process of its own, since W&B keeps the first run's settings; what runs in this one have set stays here.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "WANDB_"))}
    environment |= {"MLFLOW_ALLOW_FILE_STORE": "true"} if "loggers.MLFlowLogger" in text else {}  # as the page says
    command_line = [sys.executable, "-m", "geocompose", *shlex.split(text)]
    done = subprocess.run(command_line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [path for path in tmp_path.glob(kept) if path.is_file()]
    assert found
    (record,) = tmp_path.glob("outputs/*/*/record.json")
    said = json.loads(record.read_text())
    assert said["status"] == "completed"
    assert "left_out" not in said["training"]


# Groups whose options the page doesn't list one by one: a family of them stands for its members, as `mmseg_...` does.
FAMILIES = ("mmseg", "smp", "torchgeo", "transformers", "terratorch", "synthetic")


@pytest.mark.parametrize("group", sorted({path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}))
def test_the_page_of_options_names_every_one(group):
    rows = (ROOT / "docs" / "composing.md").read_text().split("\n| ")
    (row,) = [row for row in rows if f"`{group}`" in row.split("|")[0]]
    named = set(re.findall(r"`([a-z0-9_]+)`", row))
    options = {path.stem for path in (CONF / group).glob("*.yaml")}
    if group != "experiment":
        assert {name for name in options - named if not name.startswith(FAMILIES)} == set()


def test_every_page_can_be_reached_from_the_readme():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            links = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
            ahead += [(page.parent / link).resolve() for link in links]
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").glob("*/README.md"), ROOT / "CONTRIBUTING.md"]
    assert len(pages) > 10
    assert sorted(str(page) for page in pages if page.resolve() not in reached) == []
