"""What the arguments of segmentation_models.pytorch's decoders may be; smp itself finds some errors late, or not at all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from geocompose.arguments import dropout_rate, whole_number, whole_numbers
from geocompose.errors import UserError, choices

# Of smp's norms; "inplace" needs a package of its own, and "layernorm" does not fit maps.
NORMS = ("batchnorm", "identity", "instancenorm")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "nearest-exact")

Check = Callable[[str, Any], None]


def _width(name: str, value: Any) -> None:
    whole_number(name, value, 1)


def _widths(name: str, value: Any) -> None:
    whole_numbers(name, value, 1)


def _width_or_widths(name: str, value: Any) -> None:
    # One number or a list: the architecture's own row says which.
    (_widths if isinstance(value, Sequence) else _width)(name, value)


def _rates(name: str, value: Any) -> None:
    if len(whole_numbers(name, value, 1)) != 3:
        raise UserError(f"{name} are three whole numbers, such as [12, 24, 36]; got {value!r}.")


def _share(name: str, value: Any) -> None:
    dropout_rate(name, value)


def _switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise UserError(f"{name} is true or false; got {value!r}.")


def _one_of(*allowed: str) -> Check:
    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise UserError(f"{name} has no value {value!r}. {choices(value, allowed)}")

    return check


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
    "intermediate_channels": _widths,
    "out_channels": _width,
    "fusion_channels": _width,
    "pyramid_channels": _width,
    "segmentation_channels": _width,
    "prefinal_channels": _width,
    "pab_channels": _width,
    "reduction": _width,
    "output_stride": _width,
    "atrous_rates": _rates,
    "dropout": _share,
    "aspp_dropout": _share,
    "aspp_separable": _switch,
    "add_center_block": _switch,
    "center": _switch,
    "use_norm": _norm,
    "attention_type": _one_of("scse"),
    "interpolation_mode": _one_of(*INTERPOLATIONS),
    "merge_policy": _one_of("add", "cat"),
    "readout": _one_of("ignore", "cat"),
}


def checked(arch: str, given: Mapping[str, Any], allowed: Sequence[str]) -> dict[str, Any]:
    """Return the arguments given for an architecture, without those that are null, which are filled in.

    Raises:
        UserError: the architecture has no such argument, or the value is none that it takes.
    """
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name not in allowed:
            raise UserError(
                f"smp's {arch} decoder takes no argument {name!r}. {choices(name, allowed)} Give it as "
                "decoder.kwargs.NAME, or as decoder_NAME to build_model (decoder_decoder_channels, ...)."
            )
        if value is None:
            continue
        if name in CHECKS:
            CHECKS[name](f"smp {arch}: {name}", value)
        if isinstance(value, Mapping):  # smp takes no containers of a configuration
            value = dict(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = list(value)
        kept[name] = value
    return kept


def norm_type(value: Any) -> Any:
    """Return the name of the norm that a `use_norm` means."""
    return value.get("type") if isinstance(value, Mapping) else value
