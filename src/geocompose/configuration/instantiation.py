"""What `_target_` names becomes an object."""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from geocompose.catalog.origin import is_ours
from geocompose.configuration.signatures import arguments
from geocompose.errors import UserError, choices


def instantiate(node: Mapping[str, Any]) -> Any:
    """Return what a config node builds, plain containers for its lists and mappings.

    Raises:
        UserError: a text holds an interpolation. A configuration was resolved when it was composed; one that is in it
            now is part of a name out of somebody's file, such as a band's or a class's, and is not resolved here. Or a
            key is not an argument of a class whose source doesn't tell them, so that they could not be checked before.
        Exception: the constructor's own error, not Hydra's wrapping of it.
    """
    _refuse_interpolations(node, "")
    _check_keys(node)
    try:
        return hydra.utils.instantiate(OmegaConf.create(dict(node)), _convert_="all")
    except InstantiationException as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise


def located(target: str) -> Any:
    """Return the class or function that a dotted name stands for, behind partials; it is imported."""
    found = hydra.utils.get_object(target)
    while isinstance(found, partial):
        found = found.func
    return found


def arguments_when_imported(target: str) -> list[str] | None:
    """Return the names of what a dotted class or function takes, by importing it; None where it takes any.

    For what source doesn't tell, such as a class that another function makes, when it is built anyway.
    """
    try:
        parameters = inspect.signature(hydra.utils.get_object(target)).parameters
    except (TypeError, ValueError):  # of compiled code
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return list(parameters)


def _check_keys(value: object) -> None:
    """Refuse keys that a class of a user's own doesn't take, where source doesn't tell: it is imported now anyway.

    Raises:
        UserError: names the key, and those that there are.
    """
    if isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)
    if not isinstance(value, Mapping):
        return
    for inner in value.values():
        _check_keys(inner)
    target = value.get("_target_")
    if not isinstance(target, str) or is_ours(target) or _is_told(target):
        return
    taken = arguments_when_imported(target)
    for key in value:
        if taken is not None and key not in taken and not str(key).startswith("_"):
            raise UserError(f"{target} has no argument {key!r}. {choices(str(key), taken)}")


def _is_told(target: str) -> bool:
    """Return whether source tells what a class or function takes; then its keys were checked already."""
    try:
        return arguments(target) is not None
    except (ModuleNotFoundError, AttributeError):
        return True  # whoever imports it says what is missing


def _refuse_interpolations(value: object, place: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_interpolations(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _refuse_interpolations(inner, f"{place}[{number}]")
    elif isinstance(value, str) and "${" in value:
        raise UserError(f"{place} must be a text without ${{...}}, which Hydra would resolve; got {value!r:.200}.")
