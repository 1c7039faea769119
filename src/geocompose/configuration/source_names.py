"""Names of other libraries' parts, held against our own tables: a wrong one is told before torch is loaded."""

from collections.abc import Callable, Mapping
from typing import Any

from geocompose.backbones.smp_encoders_names import check_name as check_smp_encoder
from geocompose.backbones.torchgeo_models import model_named
from geocompose.backbones.torchgeo_weight_names import check_weights as check_torchgeo_weights
from geocompose.backbones.transformers_types import check_type, is_folder_or_hub
from geocompose.decoders.mmseg_heads import head_row
from geocompose.errors import UserError
from geocompose.optional import PACKAGES, require


def _check_transformers(name: str) -> None:
    if not is_folder_or_hub(name):
        check_type(name, f"backbone.name={name}")


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "geocompose.backbones.smp_encoders.build_smp_encoder": check_smp_encoder,
    "geocompose.backbones.torchgeo.build_torchgeo": model_named,
    "geocompose.backbones.transformers.build_transformers": _check_transformers,
    "geocompose.decoders.mmseg.MmsegDecoder": head_row,
}


def check_source_names(config: Mapping[str, Any]) -> None:
    """Refuse a backbone or decoder whose source has none of that name, or weights, or is not installed.

    What has no table here is told when it is built.

    config: a checked configuration.

    Raises:
        UserError: in the words of the part itself, and with its group as `part`.
    """
    for group in ("backbone", "decoder"):
        for node in _nodes(config.get(group)):
            try:
                _check(node)
            except UserError as error:
                error.part = group
                raise


def _check(node: Mapping[str, Any]) -> None:
    target, name, weights = str(node.get("_target_")), node.get("name"), node.get("weights")
    check = _CHECKS.get(target)
    if check is not None and isinstance(name, str):
        check(name)
    source = _source(target)
    if source is not None:
        require(source)
    if source == "torchgeo" and isinstance(name, str) and isinstance(weights, str):
        check_torchgeo_weights(name, weights)


def _source(target: str) -> str | None:
    """Return the optional source of a part of ours: its module is named after it."""
    if not target.startswith("geocompose."):
        return None
    source = target.split(".")[-2].partition("_")[0]
    return source if source in PACKAGES else None


def _nodes(part: object) -> list[Mapping[str, Any]]:
    """Return a part's node and those of its own parts."""
    if not isinstance(part, Mapping):
        return []
    inner = part.get("parts")
    return [part, *(node for each in inner.values() for node in _nodes(each))] if isinstance(inner, Mapping) else [part]
