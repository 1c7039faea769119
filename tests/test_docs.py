"""What docs/ says of the tests and of itself is so."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEFECTS = ROOT / "docs" / "terratorch-defects.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


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
