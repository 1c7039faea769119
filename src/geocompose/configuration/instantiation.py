"""What `_target_` names becomes an object."""

from collections.abc import Mapping
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import OmegaConf


def instantiate(node: Mapping[str, Any]) -> Any:
    """Return what a config node builds, plain containers for its lists and mappings.

    Raises:
        Exception: the constructor's own error, not Hydra's wrapping of it.
    """
    try:
        return hydra.utils.instantiate(OmegaConf.create(dict(node)), _convert_="all")
    except InstantiationException as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise
