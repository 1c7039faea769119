"""What timm's definition of a model says, and the one place that has timm build it."""

import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import timm
from torch import nn

from geocompose.backbones.foreign.memory import remembered
from geocompose.backbones.foreign.probe import reason, shell
from geocompose.errors import FOREIGN_ERRORS, UserError

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Architecture:
    """What timm's definition of a model says.

    class_name, arguments: its class and what that takes; open_ended: the class passes others on, to a config.
    reductions: stride of each level it can return, by timm's number of the level.
    input_size, input_channels: of the images it was made for.
    """

    class_name: str
    arguments: tuple[str, ...]
    open_ended: bool
    reductions: dict[int, int]
    input_size: tuple[int, int]
    input_channels: int


@lru_cache(maxsize=64)
def architecture_of(name: str) -> Architecture:
    """Return what timm's definition of the model `name` says.

    timm tells the class of a model only by the model itself, so it is built once, in shapes alone.
    """
    model = shell(lambda: timm.create_model(name))
    arguments, open_ended = _arguments(type(model))
    config: Any = model.pretrained_cfg
    channels, height, width = config["input_size"]
    return Architecture(type(model).__name__, arguments, open_ended, _reductions(model), (height, width), channels)


def _arguments(model: type[nn.Module]) -> tuple[tuple[str, ...], bool]:
    """Return the names that a class takes, and whether it passes others on."""
    arguments: dict[str, None] = {}
    open_ended = False
    for base in model.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        arguments |= dict.fromkeys(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
        # A class that hands the rest to its parent is described by both.
        if not open_ended or base.__mro__[1] is nn.Module:
            break
    return tuple(arguments), open_ended


def _reductions(model: nn.Module) -> dict[int, int]:
    levels: Any = getattr(model, "feature_info", None) or []
    # A level without a module is one that the model only counts, such as the first of TResNet.
    return {number: level["reduction"] for number, level in enumerate(levels) if level["module"]}


def reductions_of(name: str, architecture: Architecture, arguments: Arguments) -> dict[int, int]:
    """Return the stride of each level that the model has with these arguments."""
    return remembered(
        [reductions_of, name, arguments],
        lambda: _reductions(shell(lambda: create(name, architecture, arguments, features_only=False))),
    )


def names_of(name: str, architecture: Architecture, arguments: Arguments) -> frozenset[str]:
    """Return the names in the whole model's state dict."""
    whole = {key: value for key, value in arguments.items() if key != "out_indices"}
    return remembered(
        [names_of, name, whole],
        lambda: frozenset(shell(lambda: create(name, architecture, whole, features_only=False)).state_dict()),
    )


def create(name: str, architecture: Architecture, arguments: Arguments, *, features_only: bool = True) -> nn.Module:
    """Have timm build the features module, or the whole model; what it refuses is told with its own reason."""
    try:
        return timm.create_model(name, features_only=features_only, **arguments)
    except FOREIGN_ERRORS as error:
        shown = ", ".join(f"{key}={value}" for key, value in arguments.items() if key != "pretrained_cfg_overlay")
        raise UserError(
            f"timm can't build {name} with {shown}: {reason(error)} "
            f"{architecture.class_name} takes: {', '.join(architecture.arguments)}."
        ) from error
