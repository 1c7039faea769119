"""What the arguments of segmentation_models.pytorch's decoders may be; smp finds some errors late, or not at all."""

from collections.abc import Mapping, Sequence
from typing import Any

from geocompose.arguments import whole_numbers
from geocompose.decoders import foreign
from geocompose.decoders.foreign import Check, at_least, one_of, share, switch
from geocompose.errors import UserError, choices

# Of smp's norms; "inplace" needs a package of its own, and "layernorm" does not fit maps.
NORMS = ("batchnorm", "identity", "instancenorm")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "nearest-exact")

_width = at_least(1)


def _stage_widths(name: str, value: Any) -> None:
    whole_numbers(name, value, 1)


def _width_or_widths(name: str, value: Any) -> None:
    # One number or a list: the architecture's own row says which.
    (_stage_widths if isinstance(value, Sequence) else _width)(name, value)


def _rates(name: str, value: Any) -> None:
    if len(whole_numbers(name, value, 1)) != 3:
        raise UserError(f"{name} must be three whole numbers, such as [12, 24, 36]; got {value!r}.")


def _norm(name: str, value: Any) -> None:
    if isinstance(value, bool):
        return
    kind = norm_type(value)
    if kind not in NORMS:
        raise UserError(
            f"{name} has no value {value!r}. {choices(kind, NORMS)} Or true (batchnorm), false (identity), or a "
            "mapping with that name as its type and the norm's arguments."
        )


CHECKS: Mapping[str, Check] = {
    "decoder_channels": _width_or_widths,
    "intermediate_channels": _stage_widths,
    "out_channels": _width,
    "fusion_channels": _width,
    "pyramid_channels": _width,
    "segmentation_channels": _width,
    "prefinal_channels": _width,
    "pab_channels": _width,
    "reduction": _width,
    "output_stride": _width,
    "atrous_rates": _rates,
    "dropout": share,
    "aspp_dropout": share,
    "aspp_separable": switch,
    "add_center_block": switch,
    "center": switch,
    "use_norm": _norm,
    "attention_type": one_of("scse"),
    "interpolation_mode": one_of(*INTERPOLATIONS),
    "merge_policy": one_of("add", "cat"),
    "readout": one_of("ignore", "cat"),
}


def checked(arch: str, given: Mapping[str, Any], allowed: Sequence[str]) -> dict[str, Any]:
    """Return the arguments given for an architecture, as plain values, without those that are null.

    Raises:
        UserError: the architecture has no such argument, or can't take its value.
    """
    return foreign.checked(f"smp's {arch} decoder", f"smp {arch}", given, allowed, CHECKS, follows={})


def norm_type(value: Any) -> Any:
    """Return the name of the norm that a `use_norm` means."""
    return value.get("type") if isinstance(value, Mapping) else value
