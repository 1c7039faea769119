"""Every key that a new user may write is explained where it is set."""

import re

import pytest

from tests.kit.places import CONF

EXPLAINED = ("data", "task", "trainer", "optimizer", "head")


@pytest.mark.parametrize("group", EXPLAINED)
def test_every_key_of_an_option_has_a_comment(group):
    files = sorted((CONF / group).rglob("*.yaml"))
    assert files
    bare = [
        f"{path.name}: {line}"
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"[a-z]\w*:", line) and not re.search(r"\s# \S+ *\S", line)
    ]
    assert bare == []
