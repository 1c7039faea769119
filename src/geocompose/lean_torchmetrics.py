"""torchmetrics' core first, its many domains when they are asked for.

Lightning asks torchmetrics for its two base classes. The package's `__init__` imports the metrics of every domain for
that, and with them transformers (text), torchvision's models (images) and scipy.signal (sound): half of the time until
Lightning is there. After `import_core_first` the package consists of its core until another of its names is asked for;
then its own `__init__` is executed, and all is as without this module. What it imports by itself is the same either
way: only the moment differs.
"""

import importlib
import logging
import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PACKAGE = "torchmetrics"
_CORE = {"Metric": "metric", "MetricCollection": "collections", "__version__": "__about__"}
_FIRST = "utilities"  # metric and utilities import each other; from this end that succeeds
_lock = threading.RLock()


def import_core_first() -> None:
    """Have this process import only the core of torchmetrics until more is asked for; nothing is imported here.

    Where torchmetrics is loaded already, or is not installed, nothing changes.
    """
    if PACKAGE not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _CoreFirst(spec.loader)
        return spec


class _CoreFirst(Loader):
    """Executes a package's core, and its `__init__` where that is not possible or more is asked for."""

    def __init__(self, whole: Loader) -> None:
        self._whole = whole

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._whole.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
        try:
            _execute_core(module)
        except (ImportError, AttributeError):  # a version that is made otherwise
            _forget(module)
            self._whole.exec_module(module)
        else:
            module.__class__ = _Core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)  # sources, resources

    def execute_whole(self, module: ModuleType) -> None:
        """Execute the package's `__init__`, which finds its core imported."""
        self._whole.exec_module(module)


class _Core(ModuleType):
    """The package with its core; any other name completes it."""

    def __getattr__(self, name: str) -> Any:
        with _lock:
            if type(self) is _Core:
                self.__class__ = ModuleType  # type: ignore[assignment]
                loader = self.__spec__.loader if self.__spec__ is not None else None
                assert isinstance(loader, _CoreFirst)
                loader.execute_whole(self)
        return getattr(self, name)


def _execute_core(package: ModuleType) -> None:
    vars(package)["_logger"] = logging.getLogger(PACKAGE)  # its `__init__` gives it a handler when it is executed
    importlib.import_module(f"{PACKAGE}.{_FIRST}")
    for name, place in _CORE.items():
        vars(package)[name] = getattr(importlib.import_module(f"{PACKAGE}.{place}"), name)


def _forget(package: ModuleType) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]
        vars(package).pop(name.removeprefix(f"{PACKAGE}."), None)
    for name in ("_logger", *_CORE):
        vars(package).pop(name, None)
