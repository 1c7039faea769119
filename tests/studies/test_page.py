"""The example of docs/intervals.md prints what the page says."""

import re

from tests.kit.places import ROOT


def test_the_example_of_the_page_prints_what_stands_below_it(capsys):
    page = (ROOT / "docs" / "intervals.md").read_text()
    found = re.search(r"```python\n(.*?)```\n\nprints\n\n((?:    [^\n]*\n)+)", page, re.DOTALL)
    exec(compile(found[1], "docs/intervals.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [line.strip() for line in found[2].splitlines()]
