"""The examples of the pages on statistics print what the pages say."""

import re

import pytest

from tests.kit.places import ROOT


@pytest.mark.parametrize("name", ["intervals", "comparing"])
def test_the_example_of_the_page_prints_what_stands_below_it(capsys, name):
    page = (ROOT / "docs" / f"{name}.md").read_text()
    found = re.search(r"```python\n(.*?)```\n\nprints\n\n((?:    [^\n]*\n)+)", page, re.DOTALL)
    exec(compile(found[1], f"docs/{name}.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [line.strip() for line in found[2].splitlines()]
