"""What `_target_` names becomes an object."""

from collections.abc import Mapping
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from geocompose.errors import UserError


def instantiate(node: Mapping[str, Any]) -> Any:
    """Return what a config node builds, plain containers for its lists and mappings.

    Raises:
        UserError: a text holds an interpolation. A configuration was resolved when it was composed; one that is in it
            now is part of a name out of somebody's file, such as a band's or a class's, and is not resolved here.
        Exception: the constructor's own error, not Hydra's wrapping of it.
    """
    _refuse_interpolations(node, "")
    try:
        return hydra.utils.instantiate(OmegaConf.create(dict(node)), _convert_="all")
    except InstantiationException as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise


def _refuse_interpolations(value: object, place: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_interpolations(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _refuse_interpolations(inner, f"{place}[{number}]")
    elif isinstance(value, str) and "${" in value:
        raise UserError(f"{place} must be a text without ${{...}}, which Hydra would resolve; got {value!r:.200}.")
