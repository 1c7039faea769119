"""Sources of parts that are not installed with the project: imported when one of their parts is asked for."""

import importlib
import importlib.util
from collections.abc import Mapping
from types import ModuleType

from geocompose.errors import UserError

# The packages that a source needs, by the prefix that its parts have.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "torchgeo": ("torchgeo", "requests"),
    "transformers": ("transformers",),
    "mmseg": ("mmseg", "mmengine", "mmcv", "ftfy", "regex"),
    "terratorch": ("terratorch",),
}

# What is no source of parts, but is installed and asked for in the same way: loggers (logger=mlflow), what a format of
# action=export takes, what searches are made of.
TOOLS: Mapping[str, tuple[str, ...]] = {
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "search": ("optuna",),
}
# What asks for a tool, where it is not the logger of that name.
_ASKED_BY: Mapping[str, str] = {"export": "action.format=onnx", "search": "A search"}

# Sources whose packages come with the project's own requirements.
_COMES_ALONG = ("transformers",)


def lacking(source: str) -> list[str]:
    """Return the packages of a source that can't be found; imports none of them."""
    packages = TOOLS[source] if source in TOOLS else PACKAGES[source]
    return [package for package in packages if importlib.util.find_spec(package) is None]


def installed(source: str) -> bool:
    """Return whether all packages of a source can be found; imports none of them."""
    return not lacking(source)


def not_installed(source: str) -> str | None:
    """Return what is missing of a source and how to install it; None where nothing is."""
    missing = lacking(source)
    if not missing:
        return None
    packages = f"the package {missing[0]}, which is" if len(missing) == 1 else f"{', '.join(missing)}, which are"
    tool = _ASKED_BY.get(source, f"logger={source}")
    who = f"{tool} needs" if source in TOOLS else f"Parts of {source} need"
    return f"{who} {packages} not installed: {install_command(source)}"


def install_command(source: str) -> str:
    """Return what to type to install a source's packages."""
    file = "requirements.txt" if source in _COMES_ALONG else f"requirements-{source}.txt"
    return f"pip install -r {file}"


def require(source: str) -> None:
    """Refuse a source that is not installed.

    Raises:
        UserError: says how to install it.
    """
    message = not_installed(source)
    if message is not None:
        raise UserError(message)


def imported(source: str, module: str) -> ModuleType:
    """Return a module of an optional source.

    Raises:
        UserError: the source is not installed; says how to install it.
    """
    require(source)
    return importlib.import_module(module)
