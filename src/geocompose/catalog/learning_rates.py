"""Learning rates that published searches chose, by method, start, family and size: what `optimizer.lr: null` means.

One rate for all methods is wrong by four to twenty times, so a grid of backbones and methods at a fixed rate would
compare rates. All are for Adam and its kin. Free of torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geocompose.catalog.peft_methods import method_name
from geocompose.catalog.prithvi import VARIANTS
from geocompose.errors import UserError

UNTUNED = "untuned"  # with what the source of a rate begins where no search is known
ALL_OTHERS = ""

_PEFT_PAPER = "arXiv 2504.17397, median of searches"
_GEO_BENCH_2 = "arXiv 2511.15658, from its runs' configurations"


@dataclass(frozen=True)
class Rate:
    """One row of the table.

    method: how the backbone learns, as the option of `peft` is called; "" for all others. pretrained: whether it starts
        from weights. family: of backbones, "" for all others. least: the smallest number of parameters that it holds
        for.
    rate: what searches chose. source: whose; it begins with "untuned" where no search is known.
    """

    method: str
    pretrained: bool
    family: str
    least: int
    rate: float
    source: str


_AS_PRETRAINED = f"{UNTUNED}; as for pretrained weights"
_AS_LORA = f"{UNTUNED}; LoRA's rate"
_AS_NONE = f"{UNTUNED}; as full fine-tuning, whose weights these are"
_LP_FT = f"{UNTUNED} as a whole; a linear probe's at first, a tenth of it afterwards (OlmoEarth)"
_OF_300M = "arXiv 2504.17397, middle of 2.5e-5 to 5.7e-5, Prithvi-2 300M"

# The first row that fits is taken, so the special ones come first.
RATES = (
    Rate("none", True, "prithvi", 500_000_000, 2.0e-5, f"{_GEO_BENCH_2}, Prithvi-2 600M"),
    Rate("none", True, "prithvi", 200_000_000, 3.8e-5, _OF_300M),
    Rate("none", True, "", 0, 1.2e-4, f"{_PEFT_PAPER}, FCN, UNet and UPerNet"),
    Rate("none", False, "", 0, 5.0e-4, f"{UNTUNED}; usual for AdamW from random weights"),
    Rate("frozen", True, "", 0, 9.3e-4, f"{_PEFT_PAPER}, linear probe"),
    Rate("frozen", False, "", 0, 9.3e-4, _AS_PRETRAINED),
    Rate("lora", True, "", 0, 9.1e-4, f"{_PEFT_PAPER}, r = 16; many lay at the ceiling of 1e-3: search up to 3e-3"),
    Rate("lora", False, "", 0, 9.1e-4, _AS_PRETRAINED),
    Rate("vpt_deep", True, "prithvi", 200_000_000, 3.0e-4, "arXiv 2504.17397, Prithvi-2 300M"),
    Rate("vpt_deep", True, "", 0, 7.0e-4, f"{_PEFT_PAPER}, 100 prompts"),
    Rate("vpt_deep", False, "", 0, 7.0e-4, _AS_PRETRAINED),
    Rate("vpt_shallow", True, "prithvi", 200_000_000, 3.0e-4, f"{UNTUNED}; as deep prompts"),
    Rate("vpt_shallow", True, "", 0, 7.0e-4, f"{UNTUNED}; as deep prompts"),
    Rate("vpt_shallow", False, "", 0, 7.0e-4, f"{UNTUNED}; as deep prompts"),
    Rate("last_k_blocks", True, "prithvi", 500_000_000, 2.0e-5, _AS_NONE),
    Rate("last_k_blocks", True, "prithvi", 200_000_000, 3.8e-5, _AS_NONE),
    Rate("last_k_blocks", True, "", 0, 1.2e-4, _AS_NONE),
    Rate("last_k_blocks", False, "", 0, 5.0e-4, _AS_NONE),
    Rate("lp_ft", True, "", 0, 9.3e-4, _LP_FT),
    Rate("lp_ft", False, "", 0, 9.3e-4, _LP_FT),
    Rate(ALL_OTHERS, True, "", 0, 9.1e-4, _AS_LORA),
    Rate(ALL_OTHERS, False, "", 0, 9.1e-4, _AS_LORA),
)

_PRITHVI = "geocompose.backbones.prithvi.builder.build_prithvi"


def default_rate(config: Mapping[str, Any], *, pretrained: bool) -> Rate:
    """Return the row for a composed configuration.

    config: of which `backbone`, `peft`, `task` and `optimizer` are looked at. pretrained: whether the backbone starts
        from weights.

    Raises:
        UserError: the table has no rate for the optimizer or the method.
    """
    optimizer, peft = str(config["optimizer"]["_target_"]), method_name(config["peft"])
    if optimizer.rpartition(".")[2] == "SGD":
        raise UserError(
            "optimizer.lr must be a rate for SGD; got null, and the known rates are for Adam and its kin. Write "
            "optimizer.lr=0.01, for example."
        )
    if peft is None:
        raise UserError(
            f"optimizer.lr must be a rate for peft._target_={config['peft']['_target_']}; got null, and no rate of "
            "that method is known. Write optimizer.lr=1e-3, for example."
        )
    method, backbone = peft, config["backbone"]
    if backbone.get("vpt"):
        method = "vpt_deep"
    elif method == "none" and config["task"].get("freeze_backbone"):
        method = "frozen"
    family, size = _family(backbone)
    return next(
        row
        for row in RATES
        if row.method in (method, ALL_OTHERS)
        and row.pretrained == pretrained
        and row.family in ("", family)
        and size >= row.least
    )


def _family(backbone: Mapping[str, Any]) -> tuple[str, int]:
    """Return a backbone's family and its number of parameters, as far as known without building it: else "" and 0."""
    variant = VARIANTS.get(str(backbone.get("variant")))
    if backbone.get("_target_") != _PRITHVI or variant is None:
        return "", 0
    # A transformer's block has 12 matrices' worth of dim x dim weights: 4 in attention, 8 in its MLP.
    return "prithvi", 12 * variant.depth * variant.embed_dim**2
