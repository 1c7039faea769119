"""A user's own module in the working folder, for the time of a test."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def own_module(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write `name`.py into a folder, which becomes the working one, and forget it after the block.

    What is read of a module's source is kept for the life of a process: tests take names of their own.
    """
    (folder / f"{name}.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop(name, None)
    try:
        yield
    finally:
        sys.modules.pop(name, None)
