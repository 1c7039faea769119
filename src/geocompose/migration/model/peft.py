"""TerraTorch's `peft_config` as an option of our group peft."""

from geocompose.migration.ledger import Place
from geocompose.migration.model.arguments import ModelArguments
from geocompose.migration.translation import MODEL_ARGS, Translation

_LORA = {"r": "r", "lora_alpha": "alpha", "lora_dropout": "dropout", "target_modules": "target_modules"}
_DEFAULTS = {"r": 8, "alpha": 8, "dropout": 0.0}


def translate_peft(to: Translation, arguments: ModelArguments) -> None:
    """Translate what of the backbone is adapted."""
    place: Place = (*MODEL_ARGS, "peft_config")
    config = arguments.get("peft_config")
    if not config:
        to.choose("peft", "none")
        return
    if str(config.get("method")).upper() != "LORA":
        to.choose("peft", "none")
        why = f"the group peft has no method {config.get('method')!r}; here peft=none"
        to.ledger.lost(place, why, changes_model=True)
        return
    to.choose("peft", "lora")
    to.ledger.carried((*place, "method"), "peft=lora")
    # PEFT's own defaults hold where nothing is said, which our option's are not.
    for key, default in _DEFAULTS.items():
        to.set(f"peft.{key}", default)
    if config.get("replace_qkv") is not None:
        to.carry((*place, "replace_qkv"), "peft.replace_qkv", config["replace_qkv"])
    for name, value in (config.get("peft_config_kwargs") or {}).items():
        inner = (*place, "peft_config_kwargs", name)
        if name == "target_modules" and not isinstance(value, list):
            to.ledger.lost(inner, "peft.target_modules is a list of names", changes_model=True)
        elif name in _LORA:
            to.carry(inner, f"peft.{_LORA[name]}", value)
        else:
            to.carry(inner, f"peft.kwargs.{name}", value)
