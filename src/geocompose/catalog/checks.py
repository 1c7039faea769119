"""Names of other libraries' parts, held against our own tables: a wrong one is told before torch is loaded."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from geocompose.catalog.mmseg import check_name as check_mmseg_head
from geocompose.catalog.optional import require
from geocompose.catalog.smp import check_name as check_smp_encoder
from geocompose.catalog.torchgeo import model_named
from geocompose.catalog.torchgeo_weights import check_weights as check_torchgeo_weights
from geocompose.catalog.transformers import check_type, is_folder_or_hub
from geocompose.errors import UserError


def _check_transformers(name: str) -> None:
    if not is_folder_or_hub(name):
        check_type(name, f"backbone.name={name}")


class Source(NamedTuple):
    """Where a part of ours takes its models from.

    package: the optional source, a key of `geocompose.catalog.optional.PACKAGES`; None where it is always installed.
    check_name: refuses a name that the source does not have; None where that is not known without the source.
    check_weights: refuses a name of weights that the source does not have of a part; None likewise.
    """

    package: str | None = None
    check_name: Callable[[str], object] | None = None
    check_weights: Callable[[str, str], object] | None = None


# Our adapters of other libraries, by the target that conf/ names: importing one to ask it would load torch.
SOURCES: Mapping[str, Source] = {
    "geocompose.backbones.smp.builder.build_smp_encoder": Source(None, check_smp_encoder),
    "geocompose.backbones.torchgeo.builder.build_torchgeo": Source("torchgeo", model_named, check_torchgeo_weights),
    "geocompose.backbones.transformers.builder.build_transformers": Source("transformers", _check_transformers),
    "geocompose.backbones.terratorch.builder.build_terratorch": Source("terratorch"),
    "geocompose.decoders.mmseg.decoder.MmsegDecoder": Source("mmseg", check_mmseg_head),
}

# What a logger needs that does not come with the project, by the target that conf/ names.
LOGGERS: Mapping[str, str] = {
    "geocompose.training.loggers.mlflow": "mlflow",
    "geocompose.training.loggers.wandb": "wandb",
}


def check_source_names(config: Mapping[str, Any]) -> None:
    """Refuse a backbone or decoder whose source has none of that name, or weights, or is not installed; or a logger's.

    What has no table here is checked when it is built.

    config: a checked configuration.

    Raises:
        UserError: in the words of the part itself, and with its group as `part`.
    """
    target = str((config.get("logger") or {}).get("_target_"))
    if target in LOGGERS:
        require(LOGGERS[target])
    for group in ("backbone", "decoder"):
        for node in _nodes(config.get(group)):
            try:
                _check(node)
            except UserError as error:
                error.part = group
                raise


def _check(node: Mapping[str, Any]) -> None:
    source = SOURCES.get(str(node.get("_target_")))
    if source is None:
        return
    name, weights = node.get("name"), node.get("weights")
    if source.check_name is not None and isinstance(name, str):
        source.check_name(name)
    if source.package is not None:
        require(source.package)
    # Of which version the source is, is known only where it is installed.
    if source.check_weights is not None and isinstance(name, str) and isinstance(weights, str):
        source.check_weights(name, weights)


def _nodes(part: object) -> list[Mapping[str, Any]]:
    """Return a part's node and those of its own parts."""
    if not isinstance(part, Mapping):
        return []
    inner = part.get("parts")
    return [part, *(node for each in inner.values() for node in _nodes(each))] if isinstance(inner, Mapping) else [part]
