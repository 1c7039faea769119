"""Packages that a launcher needs and that are not installed with the project."""

import importlib
import importlib.util
from types import ModuleType

from geocompose.errors import UserError


def launcher_package(package: str, launcher: str) -> ModuleType:
    """Return the package that a launcher is made of.

    Raises:
        UserError: it is not installed; says how to install it.
    """
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"launcher={launcher} needs the package {package}, which is not installed: "
            f"pip install -r requirements-{launcher}.txt"
        )
    return importlib.import_module(package)
