"""mmsegmentation's decode heads, imported without the compiled operators of mmcv.

mmsegmentation names a few operators of `mmcv.ops` while it is imported, and mmcv-lite, which installs anywhere, has
none. For the time of the import a module stands in whose operators raise when they are used. Where the full mmcv
is installed and loads, nothing stands in for anything.
"""

import importlib
import os
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from geocompose.catalog.optional import imported
from geocompose.errors import UserError

SOURCE = "mmseg"
OPERATORS = "mmcv.ops"
# A module below `mmcv.ops` that mmcv itself asks for, and warns about where it is missing.
BELOW = "mmcv.ops.multi_scale_deform_attn"


def decode_heads() -> types.ModuleType:
    """Return `mmseg.models.decode_heads`.

    Raises:
        UserError: the packages are not installed; says how to install them.
    """
    loaded = sys.modules.get("mmseg.models.decode_heads")
    if loaded is not None:
        return loaded
    with _environment_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of theirs, about packages that no decode head needs
        imported(SOURCE, "mmengine")
        with _operators():
            return imported(SOURCE, "mmseg.models.decode_heads")


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo what the block sets in the process's environment: OpenCV changes where child processes find libraries."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _operators() -> Iterator[None]:
    """Let `mmcv.ops` be imported within the block, whether or not it has been compiled."""
    before = set(sys.modules)
    try:
        importlib.import_module(OPERATORS)
    except ImportError as error:
        for name in set(sys.modules) - before:
            if name.startswith(f"{OPERATORS}."):
                del sys.modules[name]  # loaded in part
        stand_ins = {name: _stand_in(name, str(error)) for name in (OPERATORS, BELOW)}
        sys.modules.update(stand_ins)
        try:
            yield
        finally:
            for name in stand_ins:
                del sys.modules[name]  # whoever asks for the operators later is told the truth
        return
    yield


def _stand_in(name: str, reason: str) -> types.ModuleType:
    module = types.ModuleType(name, "Stands in for compiled operators that can't be loaded.")
    module.__path__ = []

    def operator(operator_name: str) -> type:
        if operator_name.startswith("__"):
            raise AttributeError(operator_name)
        return type(operator_name, (), {"__init__": _refuse(operator_name, reason)})

    module.__getattr__ = operator  # type: ignore[method-assign]
    return module


def _refuse(operator_name: str, reason: str) -> Any:
    def refuse(self: object, *_: object, **__: object) -> NoReturn:
        raise UserError(
            f"{operator_name} is a compiled operator of mmcv, which can't be loaded here ({reason}). Use a decoder "
            "that does without it, or install a full mmcv that fits the installed torch."
        )

    return refuse
