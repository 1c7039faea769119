"""How a backbone learns: all of it, none of it, or by small parts added to it. The options of the group `peft`."""

import dataclasses
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import nn

from geocompose.arguments import plain
from geocompose.errors import UserError, at_least, choices
from geocompose.models.freezing import adapter_parameters, random_inputs
from geocompose.peft.qkv import split_qkv
from geocompose.peft.targets import check_patterns, check_targets, family_targets

log = logging.getLogger("geocompose")

# Methods of PEFT that change the prompts or the embeddings of language models.
OF_LANGUAGE_MODELS = (
    *("ADAPTION_PROMPT", "CARTRIDGE", "CPT", "MULTITASK_PROMPT_TUNING", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING"),
    *("POLY", "TRAINABLE_TOKENS", "XLORA"),
)


@runtime_checkable
class PeftMethod(Protocol):
    """What the factory asks of a method."""

    freezes: bool  # whether the backbone's own parameters stop learning

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone as the method changes it; the one given may be changed."""


@dataclass(frozen=True)
class FullFineTuning:
    """No method: everything learns that is not frozen otherwise."""

    method: None = None

    freezes = False

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone as it is."""
        return backbone


@dataclass(frozen=True)
class Frozen:
    """The backbone does not learn, nor do its statistics move."""

    freezes = True

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone as it is; the model freezes it."""
        return backbone


@dataclass(frozen=True)
class Lora:
    """Low-rank matrices beside the layers of the backbone, which itself does not learn. Source: arXiv 2106.09685.

    r, alpha: rank, and the factor alpha / r of what is added. dropout: of what the added matrices are given.
    target_modules: the last parts of the names of the modules to adapt; where null, those that follow from the family:
    queries, values and feed-forward layers of transformers after fused ones were split, convolutions of others.
    replace_qkv: with target_modules, the name of fused layers to split into q_linear, k_linear and v_linear.
    kwargs: further arguments of PEFT's LoraConfig, such as {use_dora: true}.
    """

    r: int = 16
    alpha: int = 16
    dropout: float = 0.0
    target_modules: list[str] | None = None
    replace_qkv: str | None = None
    kwargs: dict[str, object] = field(default_factory=dict)

    freezes = True

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone within PEFT's model.

        Raises:
            UserError: numbers out of range, targets that are not there, or an argument that LoraConfig doesn't have.
        """
        _refuse_adapted(backbone)
        at_least("peft.r", self.r, 1)
        at_least("peft.alpha", self.alpha, 1)
        if not 0 <= self.dropout < 1:
            raise UserError(f"peft.dropout must be from 0 to below 1; got {self.dropout}.")
        own = {"r": self.r, "lora_alpha": self.alpha, "lora_dropout": self.dropout}
        for name in self.kwargs:
            if name in (*own, "target_modules"):
                raise UserError(
                    f"peft.kwargs has {name!r}, which has its own key: write peft.{name.removeprefix('lora_')}."
                )
        if self.target_modules is None:
            if self.replace_qkv is not None:
                raise UserError(
                    "peft.replace_qkv goes with peft.target_modules; without them fused layers are split anyway."
                )
            targets: list[str] = family_targets(backbone, self.r)
        else:
            targets = list(self.target_modules)
        return Peft("LORA", self.replace_qkv, {**own, **self.kwargs, "target_modules": targets}).adapt(backbone)


@dataclass(frozen=True)
class Peft:
    """Any method of the library PEFT, as TerraTorch's `peft_config` describes it."""

    method: str
    replace_qkv: str | None = None
    peft_config_kwargs: Mapping[str, Any] = field(default_factory=dict)

    freezes = True

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
            UserError: an unknown method or argument, a target that is not there, or what PEFT itself refuses.
        """
        _refuse_adapted(backbone)
        # The library takes seconds to load, and most runs need nothing of it.
        mapping = importlib.import_module("peft.mapping")
        known = {str(kind.value): config for kind, config in mapping.PEFT_TYPE_TO_CONFIG_MAPPING.items()}
        usable = sorted(name for name in known if name not in OF_LANGUAGE_MODELS)
        name = self.method.upper()
        if name in OF_LANGUAGE_MODELS:
            raise UserError(f"PEFT's method {self.method} is for language models. {choices(name, usable)}")
        if name not in known:
            raise UserError(f"PEFT has no method {self.method!r}. {choices(name, usable)}")
        arguments = [part.name for part in dataclasses.fields(known[name]) if part.init]
        for key in self.peft_config_kwargs:
            if key not in arguments:
                raise UserError(f"PEFT's {name} takes no argument {key!r}. {choices(key, arguments)}")
        if self.replace_qkv is not None:
            split_qkv(backbone, self.replace_qkv)
        targets = self.peft_config_kwargs.get("target_modules")
        if targets is None and "target_modules" in arguments:
            raise UserError(
                f"PEFT's {name} has to know what to adapt: give target_modules, such as [mlp.fc1, mlp.fc2]."
            )
        if targets is not None:
            check_targets(backbone, targets)
        check_patterns(backbone, self.peft_config_kwargs)
        if self.peft_config_kwargs.get("task_type") is not None:
            raise UserError(f"PEFT's {name}: task_type is about language models. Leave it out.")
        beside = (*adapter_parameters(backbone), *random_inputs(backbone))
        free = [parameter for parameter in beside if parameter.requires_grad]
        function = importlib.import_module("peft.mapping_func").get_peft_model
        try:
            adapted: nn.Module = function(backbone, known[name](**self.peft_config_kwargs))
        except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError) as error:
            raise UserError(f"PEFT's {name} can't adapt {type(backbone).__name__}: {error}") from error
        for parameter in free:  # PEFT freezes all that it has not added itself
            parameter.requires_grad_(True)
        if not any(parameter.requires_grad for parameter in adapted.parameters()):
            raise UserError(
                f"With these arguments of PEFT's {name} nothing of the backbone learns. Leave inference_mode out."
            )
        _say(name, adapted)
        return adapted


def peft_method(given: object) -> PeftMethod:
    """Return the method that `build_model(peft_config=...)` means: null, TerraTorch's mapping, or an option of ours.

    Raises:
        UserError: it is something else.
    """
    if given is None:
        return FullFineTuning()
    if isinstance(given, Mapping):
        return Peft.from_mapping(given)
    if isinstance(given, PeftMethod):
        return given
    raise UserError(
        "peft_config must be null, or a mapping such as {method: LORA, replace_qkv: qkv, peft_config_kwargs: {...}}; "
        f"got {given!r}."
    )


def _refuse_adapted(backbone: nn.Module) -> None:
    """Refuse a finished module that an earlier build has adapted: adapters of adapters are a mistake.

    Raises:
        UserError: says what to give instead.
    """
    if any(hasattr(part, "base_layer") or hasattr(part, "peft_config") for part in backbone.modules()):
        raise UserError(
            "The backbone holds PEFT's adapters already. Give one without them, or leave peft_config null to use it as "
            "it is."
        )


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
