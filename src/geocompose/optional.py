"""Sources of parts that are not installed with the project: imported when somebody asks for one of their parts."""

import importlib
import importlib.util
from collections.abc import Mapping
from types import ModuleType

from geocompose.errors import UserError

# The packages that a source needs, by the prefix that its parts have.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "torchgeo": ("torchgeo",),
    "transformers": ("transformers",),
    "mmseg": ("mmseg", "mmengine", "mmcv"),
    "terratorch": ("terratorch",),
}


def installed(source: str) -> bool:
    """Return whether all packages of a source can be found; imports none of them."""
    return all(importlib.util.find_spec(package) is not None for package in PACKAGES[source])


def imported(source: str, module: str) -> ModuleType:
    """Return a module of an optional source.

    Raises:
        UserError: the source is not installed; says how to install it.
    """
    if not installed(source):
        raise UserError(
            f"Parts of {source} need its packages ({', '.join(PACKAGES[source])}), which are not installed. "
            f"pip install -r requirements-{source}.txt"
        )
    return importlib.import_module(module)
