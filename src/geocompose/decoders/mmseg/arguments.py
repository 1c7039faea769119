"""What the arguments of mmsegmentation's decode heads may be; mmseg finds most errors late, or by a bare assertion."""

from collections.abc import Mapping, Sequence
from typing import Any

from geocompose.arguments import whole_number, whole_numbers
from geocompose.decoders import foreign
from geocompose.decoders.foreign import Check, at_least, count_of, one_of, share, switch, widths
from geocompose.errors import UserError, choices

NORMS = ("BN", "GN", "IN", "LN")
ACTIVATIONS = ("ReLU", "LeakyReLU", "PReLU", "ReLU6", "ELU", "GELU", "SiLU", "HSwish", "Swish", "Sigmoid", "Tanh")

# What follows from the features, the task or the purpose, so that a user can't give it.
FILLED_IN: Mapping[str, str] = {
    "in_channels": "follows from the features",
    "c1_in_channels": "follows from the features",
    "num_classes": "follows from the task",
    "out_channels": "follows from the task",
    "threshold": "is for mmseg's own prediction of two classes",
    "loss_decode": "is mmseg's loss; here the task has it (task.loss)",
    "loss_se_decode": "is mmseg's loss; here the task has it (task.loss)",
    "use_se_loss": "is for mmseg's own loss; here the task has it (task.loss)",
    "boundary_threshold": "is for mmseg's own loss; here the task has it (task.loss)",
    "sampler": "is for mmseg's own loss; here the task has it (task.loss)",
    "ignore_index": "is for mmseg's own loss; here it is data.ignore_index",
    "init_cfg": "is mmseg's own, which is applied",
    "readout_type": "is for class tokens, which maps don't have",
}


def _index(name: str, value: Any) -> None:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not whole_numbers(name, value):
            raise UserError(f"{name} must be a list of one or more, such as [0, 1]; got [].")
    else:
        whole_number(name, value)


def _positive(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UserError(f"{name} must be a number above 0; got {value!r}.")


def _some_of(*allowed: str) -> Check:
    def check(name: str, value: Any) -> None:
        if isinstance(value, str) or not isinstance(value, Sequence) or not value or set(value) - set(allowed):
            raise UserError(f"{name} must be a list of some of {', '.join(allowed)}; got {value!r}.")

    return check


def _layer(name: str, value: Any, kinds: Sequence[str]) -> None:
    if not isinstance(value, Mapping) or "type" not in value:
        raise UserError(f"{name} must be a mapping with a type, such as {{type: {kinds[0]}}}; got {value!r}.")
    if value["type"] == "SyncBN":
        raise UserError(f"{name}: SyncBN is for several processes; runs here have one. Write {{type: BN}}.")
    if value["type"] not in kinds:
        raise UserError(f"{name} has no type {value['type']!r}. {choices(value['type'], kinds)}")


def _norm(name: str, value: Any) -> None:
    _layer(name, value, NORMS[:3])
    if value["type"] == "GN" and not isinstance(value.get("num_groups"), int):
        raise UserError(f"{name}: GN needs num_groups, such as {{type: GN, num_groups: 32}}; got {value!r}.")


def _norm_of_one_cell(name: str, value: Any) -> None:
    _norm(name, value)
    if value["type"] == "IN":
        raise UserError(
            f"{name}: the head pools a map to one cell, of which an instance norm leaves nothing. Use BN or GN."
        )


def _layer_norm(name: str, value: Any) -> None:
    _layer(name, value, NORMS[3:])


def _activation(name: str, value: Any) -> None:
    _layer(name, value, ACTIVATIONS)


def _ham(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise UserError(f"{name} must be a mapping, such as {{MD_R: 16}}; got {value!r}.")
    for key, number in value.items():
        if key not in HAM_CHECKS:
            raise UserError(f"{name} has no {key!r}. {choices(key, HAM_CHECKS)}")
        HAM_CHECKS[key](f"{name}.{key}", number)


HAM_CHECKS: Mapping[str, Check] = {
    "MD_S": at_least(1),
    "MD_R": at_least(1),
    "train_steps": at_least(1),
    "eval_steps": at_least(1),
    "rand_init": switch,
}

# By argument.
CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(
        (
            "channels", "project_channels", "pam_channels", "ema_channels", "isa_channels", "ham_channels",
            "mla_channels", "embed_dims", "num_bases", "num_stages", "num_codes", "num_layers", "num_heads", "num_fcs",
            "mlp_ratio", "dilation", "kernel_size", "up_scale", "reduction",
        ),
        at_least(1),
    ),
    **dict.fromkeys(("num_convs", "c1_channels"), at_least(0)),
    **dict.fromkeys(
        (
            "pool_scales", "dilations", "filter_sizes", "query_scales", "key_pool_scales", "branch_channels",
            "feature_strides",
        ),
        widths,
    ),
    **dict.fromkeys(("dropout_ratio", "drop_path_rate", "drop_rate", "attn_drop_rate"), share),
    **dict.fromkeys(("align_corners", "concat_input", "fusion", "add_lateral", "use_scale", "qkv_bias"), switch),
    **dict.fromkeys(("ratio", "temperature", "momentum", "init_std"), _positive),
    "in_index": _index,
    "input_transform": one_of("resize_concat"),
    "norm_cfg": _norm,
    "norm_layer": _layer_norm,
    "act_cfg": _activation,
    "dw_act_cfg": _activation,
    "ham_kwargs": _ham,
    "down_factor": count_of(2),
    "post_process_channels": count_of(4),
    "mode": one_of("embedded_gaussian", "dot_product"),
    "pooling_type": one_of("att", "avg"),
    "fusion_types": _some_of("channel_add", "channel_mul"),
    "interpolate_mode": one_of("bilinear", "bicubic"),  # it says align_corners, which the others don't take
}  # fmt: skip

# By head and argument, before those by argument.
OF_HEADS: Mapping[tuple[str, str], Check] = {
    ("SegmenterMaskTransformerHead", "norm_cfg"): _layer_norm,
    **{
        (head, "norm_cfg"): _norm_of_one_cell
        for head in ("APCHead", "ASPPHead", "DepthwiseSeparableASPPHead", "PSPHead", "UPerHead")
    },
}

# For these a null is a value of mmseg's own; for others it means that they are filled in, or mmseg's default.
NULL_IS_A_VALUE = ("norm_cfg", "act_cfg", "dw_act_cfg")


def checked(head: str, given: Mapping[str, Any], allowed: Sequence[str], required: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments given for a head as plain values, without those that are null and filled in.

    allowed: the names that the head takes. required: those that it can't do without, each with an example.

    Raises:
        UserError: the head has no such argument, lacks one, or can't take a value.
    """
    checks = {**CHECKS, **{name: check for (of, name), check in OF_HEADS.items() if of == head}}
    nulls = NULL_IS_A_VALUE if head != "SegmenterMaskTransformerHead" else ()
    part, place = f"mmseg's {head}", f"mmseg {head}"
    kept = foreign.checked(part, place, given, allowed, checks, follows=FILLED_IN, null_is_a_value=nulls)
    lacking = [name for name in required if name not in kept]
    if lacking:
        written = " ".join(f"decoder.kwargs.{name}={required[name]}" for name in lacking)
        raise UserError(
            f"mmseg's {head} can't be built without {', '.join(f'decoder.kwargs.{name}' for name in lacking)}. Write "
            f"for example {written}; build_model takes {', '.join(f'decoder_{name}' for name in lacking)}."
        )
    return kept
