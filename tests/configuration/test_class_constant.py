"""What a class declares in its body, read from the source before anything of it is imported."""

import sys

import pytest

from geocompose.configuration.signatures import class_constant
from geocompose.from_config import task_kind

SOURCE = '''
from typing import ClassVar
from geocompose.tasks.segmentation import SegmentationTask

class Plain:
    kind = "regression"

class Annotated:
    kind: ClassVar[str] = "multilabel"

class Inherits(SegmentationTask):
    """Its kind stands in another module."""

class Nearer(Annotated):
    kind = "classification"

class Computed(Annotated):
    kind = "regr" + "ession"

class Bare:
    pass
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "own_tasks_by_source.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_tasks_by_source"
    sys.modules.pop("own_tasks_by_source", None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Plain", "regression"),
        ("Annotated", "multilabel"),
        ("Inherits", "segmentation"),
        ("Nearer", "classification"),
        ("Computed", None),
        ("Bare", None),
        ("Absent", None),
    ],
)
def test_a_literal_is_read_where_the_class_or_its_first_base_declares_it(module, name, expected):
    assert class_constant(f"{module}.{name}", "kind") == expected
    assert module not in sys.modules


def test_a_kind_that_the_source_does_not_say_is_asked_of_the_class(module):
    assert task_kind(f"{module}.Inherits") == "segmentation"
    assert module not in sys.modules
    assert task_kind(f"{module}.Computed") == "regression"
