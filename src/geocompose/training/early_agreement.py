"""Whether data is what pretrained weights have seen, told before anything is read, trained or downloaded."""

from collections.abc import Mapping, Sequence
from typing import Any

from geocompose.backbones.prithvi.seen import bands_of_weights, seen_by_weights
from geocompose.catalog.origin import is_ours
from geocompose.catalog.prithvi import model_bands, variant_named
from geocompose.configuration.weights import loads_weights
from geocompose.imagery.agreement import Seen, consents, mismatches
from geocompose.imagery.pretraining import check_has_file
from geocompose.imagery.units import Values

PRITHVI = "geocompose.backbones.prithvi.builder.build_prithvi"


def check_early(config: Mapping[str, Any], bands: Sequence[str], values: Values) -> list[str]:
    """Return what `mismatches` does, from what a backbone declares, without its weights.

    What backbones of your own declare is looked at later, when they are built.

    config: a checked configuration. bands: those to read. values: what the data states of them.

    Raises:
        UserError: see `mismatches`.
    """
    backbone = config["backbone"]
    _check_statements(backbone)
    # Ours read and download nothing on the meta device; others might.
    if not loads_weights(backbone) or not is_ours(backbone["_target_"]):
        return []
    return mismatches(seen_early(config, bands), values, allowed=consents(config))


def seen_early(config: Mapping[str, Any], bands: Sequence[str]) -> Sequence[Seen]:
    """Return what the weights of each part of one of our backbones have seen, without them.

    config, bands: see `check_early`.

    Raises:
        UserError: something else is stated than the weights' run has recorded.
    """
    backbone = config["backbone"]
    if backbone["_target_"] == PRITHVI:
        # Said within a second, since its table needs no torch.
        variant, file = backbone["variant"], backbone.get("ckpt_path")
        stated = bands_of_weights(backbone["pretrained_bands"], file)
        of_weights = model_bands(list(bands), stated, None)[1]
        seen = seen_by_weights(variant, variant_named(variant), of_weights, file, backbone.get("pretrained_on"))
        return [(seen, list(bands))]
    from geocompose.from_config import backbone_contract

    return backbone_contract(config, bands).seen(bands)


def _check_statements(backbone: Mapping[str, Any]) -> None:
    check_has_file(backbone.get("pretrained_on"), backbone.get("ckpt_path"))
    for part in (backbone.get("parts") or {}).values():
        if isinstance(part, Mapping):
            _check_statements(part)
