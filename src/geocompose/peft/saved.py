"""An adapter as the library PEFT saves it: its names for the tensors of a model, and its configuration."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

_ADAPTER = "default"  # PEFT's name for the adapter of a model that has one


@dataclass(frozen=True)
class SavedAdapter:
    """What PEFT saves of an adapted module, and which tensors of the module these are.

    method: PEFT's name of the method, such as LORA. tensors: the module's own, by PEFT's names. names: the module's
    names of each; several where modules share one.
    """

    method: str
    tensors: Mapping[str, Tensor]
    names: Mapping[str, list[str]]
    _module: Any

    @classmethod
    def of(cls, module: nn.Module) -> "SavedAdapter | None":
        """Return what PEFT saves of a module; None where it is not PEFT's.

        None too where PEFT saves other tensors than the module's own (AdaLoRA with fewer ranks than it began with), so
        that its file would not be the adapter that was trained.
        """
        configs: Any = getattr(module, "peft_config", None)
        if not isinstance(configs, Mapping) or list(configs) != [_ADAPTER] or not hasattr(module, "get_base_model"):
            return None
        function = importlib.import_module("peft.utils.save_and_load").get_peft_model_state_dict
        state = module.state_dict()
        saved = function(module, state_dict=state, adapter_name=_ADAPTER, save_embedding_layers=False)
        own = {id(value): name for name, value in state.items()}
        if not saved or any(id(value) not in own for value in saved.values()):
            return None
        shared: dict[tuple[Any, ...], list[str]] = {}
        for name, value in state.items():
            shared.setdefault(_place(name, value), []).append(name)
        names = {theirs: shared[_place(own[id(value)], value)] for theirs, value in saved.items()}
        return cls(str(configs[_ADAPTER].peft_type.value), saved, names, module)

    def config(self) -> str:
        """Return what PEFT keeps in adapter_config.json, for a model that is used and not trained any more."""
        config = self._module.peft_config[_ADAPTER]
        base = type(self._module.get_base_model())
        told = {
            **config.to_dict(),
            "inference_mode": True,
            "auto_mapping": {"base_model_class": base.__name__, "parent_library": base.__module__},
        }
        plain = {key: sorted(value) if isinstance(value, set) else value for key, value in told.items()}
        return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def _place(name: str, value: Tensor) -> tuple[Any, ...]:
    """Return what two tensors have in common that are the same numbers in memory."""
    pointer = value.data_ptr()
    return (pointer, tuple(value.shape), value.stride()) if pointer else (name,)
