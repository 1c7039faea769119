"""Which method a configuration of the group `peft` is, by its target and the keys of a variant. Free of torch."""

from collections.abc import Mapping
from typing import Any

# Roles of modules in a backbone that `peft.roles` names; `geocompose.peft.roles` finds them in each family.
ATTENTION = ("query", "key", "value", "projection")
ROLES = (*ATTENTION, "mlp", "mlp_out", "convolution", "norm")

# Methods with a class of their own.
TARGETS: Mapping[str, str] = {
    "geocompose.peft.methods.FullFineTuning": "none",
    "geocompose.peft.methods.Frozen": "frozen",
    "geocompose.peft.adalora.AdaLora": "adalora",
    "geocompose.peft.lp_ft.LpFt": "lp_ft",
    "geocompose.peft.selective.BitFit": "bitfit",
    "geocompose.peft.selective.LastKBlocks": "last_k_blocks",
    "geocompose.peft.selective.NormTuning": "norm_tuning",
    "geocompose.peft.ssf.Ssf": "ssf",
}
_PROMPTS = "geocompose.peft.prompts.VisualPrompts"
_LORA = "geocompose.peft.lora.Lora"
# Variants of LoRA by arguments of PEFT's LoraConfig in `peft.kwargs`; the first one that is set names the method.
_LORA_VARIANTS = {"use_dora": "dora", "use_rslora": "rslora"}
# Methods of the library PEFT by the name that it knows them by, in `peft.method`.
_LIBRARY = ("geocompose.peft.adapters.Adapters", "geocompose.peft.library.Peft")


def frozen_epochs(head_share: float, num_epochs: int) -> int:
    """Return in how many epochs peft=lp_ft keeps the backbone frozen, of 2 or more: each phase has one at least."""
    return min(max(1, round(head_share * num_epochs)), num_epochs - 1)


def method_name(peft: Mapping[str, Any]) -> str | None:
    """Return the name of the method that a composed `peft` configuration is, as conf/peft names its options.

    A method of the library PEFT that has no option is named as PEFT names it, in lower case: `vblora`. What is written
    for LoRA without one of its variants is `lora`, or `lora_attention` where `peft.roles` are of attention alone. None
    for a target that is not one of ours.
    """
    target = str(peft.get("_target_"))
    if target in TARGETS:
        return TARGETS[target]
    if target in _LIBRARY:
        return str(peft.get("method")).lower()
    if target == _PROMPTS:
        return "vpt_deep" if peft.get("deep", True) else "vpt_shallow"
    if target != _LORA:
        return None
    kwargs: Mapping[str, Any] = peft.get("kwargs") or {}
    for argument, name in _LORA_VARIANTS.items():
        if kwargs.get(argument):
            return name
    roles = peft.get("roles") or ()
    return "lora_attention" if roles and set(roles) <= set(ATTENTION) else "lora"
