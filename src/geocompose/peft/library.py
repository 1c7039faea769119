"""Methods of the library PEFT, applied to a backbone: one way for all of them, and TerraTorch's `peft_config`."""

import dataclasses
import importlib
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from geocompose.arguments import plain
from geocompose.catalog.peft_refusals import NOT_MERGED, OF_LANGUAGE_MODELS, STARTS_ELSEWHERE, UNUSABLE
from geocompose.errors import UserError, choices
from geocompose.models.freezing import adapter_parameters, random_inputs
from geocompose.peft.layers import check_layers, refuse_maps
from geocompose.peft.qkv import split_qkv
from geocompose.peft.roles import roles_of
from geocompose.peft.targets import check_patterns, check_targets, matched

log = logging.getLogger("geocompose")

# Arguments that have a method begin at other numbers than the backbone's where they are not as by default.
_STARTS = ("init_lora_weights", "init_weights", "init_ia3_weights")


@dataclass(frozen=True)
class Peft:
    """Any method of the library PEFT, as TerraTorch's `peft_config` describes it."""

    method: str
    replace_qkv: str | None = None
    peft_config_kwargs: Mapping[str, Any] = field(default_factory=dict)

    freezes = True

    @property
    def keeps_outputs_at_start(self) -> bool:
        """Whether the adapted backbone returns what it did before, until something is learned."""
        return keeps_outputs_at_start(self.method, self.peft_config_kwargs)

    @property
    def mergeable(self) -> bool:
        """Whether what was learned can be merged into the layers of most backbones; see `NOT_MERGED` for the rest."""
        return mergeable(self.method)

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> "Peft":
        """Return what a `peft_config` means.

        Raises:
            UserError: a key is unknown, `method` is missing, or a value is of another kind.
        """
        allowed = [part.name for part in dataclasses.fields(cls)]
        for key in config:
            if key not in allowed:
                raise UserError(f"peft_config has no key {key!r}. {choices(str(key), allowed)}")
        if not isinstance(config.get("method"), str):
            raise UserError(
                f"peft_config needs a method, the name of one of PEFT's, such as LORA; got {config.get('method')!r}."
            )
        replace_qkv, kwargs = config.get("replace_qkv"), config.get("peft_config_kwargs") or {}
        if replace_qkv is not None and not isinstance(replace_qkv, str):
            raise UserError(
                f"peft_config: replace_qkv must be the name of the fused layers, such as qkv; got {replace_qkv!r}."
            )
        if not isinstance(kwargs, Mapping):
            raise UserError(f"peft_config: peft_config_kwargs must be a mapping, such as {{r: 16}}; got {kwargs!r}.")
        return cls(config["method"], replace_qkv, {key: plain(value) for key, value in kwargs.items()})

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone within PEFT's model, whose state dict has the prefix `base_model.model.`.

        Raises:
            UserError: see `adapted`.
        """
        refuse_adapted(backbone)
        arguments = arguments_of(self.method)  # a wrong name is told before a wrong pattern
        check_arguments(self.method, self.peft_config_kwargs, arguments)
        if self.replace_qkv is not None:
            split_qkv(backbone, self.replace_qkv)
        return adapted(backbone, self.method, self.peft_config_kwargs)


def keeps_outputs_at_start(method: str, kwargs: Mapping[str, Any]) -> bool:
    """Return whether a backbone begins as it was under a method of PEFT with these arguments."""
    usual = method.upper() not in STARTS_ELSEWHERE
    if any(kwargs.get(name, usual or name != "init_weights") is not True for name in _STARTS):
        return False
    # HRA reflects twice at the same plane at first: an odd rank leaves one reflection.
    return method.upper() != "HRA" or kwargs.get("r", 8) % 2 == 0


def mergeable(method: str) -> bool:
    """Return whether PEFT merges what a method has learned into linear layers."""
    return (method.upper(), "linear layer") not in NOT_MERGED


def arguments_of(method: str) -> list[str]:
    """Return the arguments of a method's configuration in the library PEFT.

    Raises:
        UserError: PEFT has no such method, or it is for language models.
    """
    return [part.name for part in dataclasses.fields(_configuration(method)) if part.init]


def check_arguments(method: str, kwargs: Mapping[str, Any], arguments: list[str]) -> None:
    """Refuse an argument that a method of PEFT doesn't take.

    Raises:
        UserError: names the nearest.
    """
    for key in kwargs:
        if key not in arguments:
            raise UserError(f"PEFT's {method.upper()} takes no argument {key!r}. {choices(key, arguments)}")


def adapted(backbone: nn.Module, method: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """Return the backbone within PEFT's model, whose state dict has the prefix `base_model.model.`.

    method: a name of PEFT's, in any case. kwargs: arguments of its configuration.

    Raises:
        UserError: an unknown method or argument, a target that is not there, a layer that the method can't adapt, or
            what PEFT itself refuses.
    """
    name, configuration = method.upper(), _configuration(method)
    arguments = arguments_of(method)
    check_arguments(method, kwargs, arguments)
    targets = kwargs.get("target_modules")
    if targets is None and "target_modules" in arguments:
        raise UserError(f"PEFT's {name} has to know what to adapt: give target_modules, such as [mlp.fc1, mlp.fc2].")
    if targets is not None:
        check_targets(backbone, targets)
    check_patterns(backbone, kwargs)
    if kwargs.get("task_type") is not None:
        raise UserError(f"PEFT's {name}: task_type is about language models. Leave it out.")
    if targets is not None:
        row = "DORA" if kwargs.get("use_dora") else name
        layers = matched(backbone, targets, kwargs.get("exclude_modules"))
        check_layers(row, backbone, layers, kwargs.get("r"), roles_of(backbone))
    beside = (*adapter_parameters(backbone), *random_inputs(backbone))
    free = [parameter for parameter in beside if parameter.requires_grad]
    function = importlib.import_module("peft.mapping_func").get_peft_model
    with warnings.catch_warnings(record=True) as advice:
        try:
            model: nn.Module = function(backbone, configuration(**kwargs))
        except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError, AssertionError) as error:
            reason = str(error) or type(error).__name__
            raise UserError(f"PEFT's {name} can't adapt {type(backbone).__name__}: {reason}") from error
    for text in dict.fromkeys(str(each.message) for each in advice):  # such as a block's size that PEFT adjusts
        log.info("PEFT %s: %s", name, " ".join(text.split()))
    for parameter in free:  # PEFT freezes all that it has not added itself
        parameter.requires_grad_(True)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(
            f"With these arguments of PEFT's {name} nothing of the backbone learns. Leave inference_mode out."
        )
    refuse_maps(model, name)
    _say(name, model)
    return model


def refuse_adapted(backbone: nn.Module) -> None:
    """Refuse a finished module that an earlier build has adapted: adapters of adapters are a mistake.

    Raises:
        UserError: says what to give instead.
    """
    if any(hasattr(part, "base_layer") or hasattr(part, "peft_config") for part in backbone.modules()):
        raise UserError(
            "The backbone holds PEFT's adapters already. Give one without them, or leave peft_config null to use it as "
            "it is."
        )


def _configuration(method: str) -> Any:
    # The library takes seconds to load, and most runs need nothing of it.
    mapping = importlib.import_module("peft.mapping")
    known = {str(kind.value): config for kind, config in mapping.PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    usable = sorted(name for name in known if name not in (*OF_LANGUAGE_MODELS, *UNUSABLE))
    name = method.upper()
    if name in OF_LANGUAGE_MODELS:
        raise UserError(f"PEFT's method {method} is for language models. {choices(name, usable)}")
    if name in UNUSABLE:
        raise UserError(f"PEFT's method {method} can't be used here: {UNUSABLE[name]}. {choices(name, usable)}")
    if name not in known:
        raise UserError(f"PEFT has no method {method!r}. {choices(name, usable)}")
    return known[name]


def _say(name: str, adapted: nn.Module) -> None:
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in adapted.parameters()]
    all_of_them, learning = sum(size for size, _ in sizes), sum(size for size, learns in sizes if learns)
    modules = sum(
        bool(getattr(part, "adapter_layer_names", ())) and hasattr(part, "base_layer") for part in adapted.modules()
    )
    log.info(
        "PEFT %s: %d modules of the backbone adapted, %s of %s parameters learn (%.2f %%).",
        name, modules, f"{learning:,}", f"{all_of_them:,}", 100 * learning / max(1, all_of_them),
    )  # fmt: skip
