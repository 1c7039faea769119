"""What is installed is declared once, in pyproject.toml; the requirements files are names for it."""

import re
import tomllib

import pytest

from geocompose.catalog.optional import PACKAGES, TOOLS
from geocompose.catalog.prefixes import ORDER
from geocompose.runs import environment
from tests.kit.places import ROOT

LAUNCHERS = {"ray", "slurm"}  # extras that bring no parts
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
    assert set(PACKAGES) - along == extras - {"test"} - LAUNCHERS - set(TOOLS)
    assert set(TOOLS) <= extras


def test_every_source_has_its_place_in_the_search_for_bare_names():
    assert set(PACKAGES) <= set(ORDER)


def test_records_name_the_version_of_every_source():
    helpers = {"geocompose", "requests", "ftfy", "regex"}  # our own extras, and what libraries forgot to ask for
    extras = PROJECT["optional-dependencies"]
    texts = [text for extra in extras if extra != "test" for text in extras[extra]]
    packages = {re.split(r"[<>=!~;\[]", text, maxsplit=1)[0] for text in texts}
    assert packages - helpers <= set(environment.OPTIONAL_PACKAGES)
