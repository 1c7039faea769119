"""What is installed is declared once, in pyproject.toml; the requirements files are names for it."""

import tomllib

import pytest

from geocompose.catalog.optional import PACKAGES
from tests.kit.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = sorted(ROOT.glob("requirements*.txt"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_requirements_file_names_an_extra_and_lists_nothing(file):
    extra = file.stem.partition("-")[2] or "test"
    assert extra in PROJECT["optional-dependencies"]
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert lines == [f"-e .[{extra}]"]


def test_every_extra_has_its_file_and_every_source_comes_by_one_or_along():
    extras = set(PROJECT["optional-dependencies"])
    assert {file.stem.partition("-")[2] or "test" for file in FILES} == extras
    along = {source for source in PACKAGES if any(text.startswith(source) for text in PROJECT["dependencies"])}
    assert set(PACKAGES) - along == extras - {"test"}
