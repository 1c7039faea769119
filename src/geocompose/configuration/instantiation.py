"""What `_target_` names becomes an object."""

import re
from collections.abc import Mapping
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

# What begins an interpolation, with the backslashes before it, which would escape it.
_INTERPOLATION = re.compile(r"(\\*)\$\{")


def instantiate(node: Mapping[str, Any]) -> Any:
    """Return what a config node builds, plain containers for its lists and mappings.

    Texts arrive as they are. A configuration was resolved when it was composed; a `${...}` that is in it now is part of
    a name out of somebody's file, such as a band's or a class's, and is not resolved on this machine.

    Raises:
        Exception: the constructor's own error, not Hydra's wrapping of it.
    """
    try:
        return hydra.utils.instantiate(OmegaConf.create(_literal(dict(node))), _convert_="all")
    except InstantiationException as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise


def _literal(value: Any) -> Any:
    """Return a plain value with its texts as OmegaConf has to be given them to leave them as they are."""
    if isinstance(value, Mapping):
        return {key: _literal(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(inner) for inner in value]
    if isinstance(value, str):
        return _INTERPOLATION.sub(lambda found: found[1] * 2 + r"\${", value)
    return value
