"""Which pretrained filters the bands of an imported model get, where TerraTorch hands them out by another rule."""

from collections.abc import Mapping, Sequence
from typing import Any

from geocompose.imagery.bands import canonical, is_known
from geocompose.migration.translation import Translation
from geocompose.training.early_agreement import PRITHVI, seen_early

# Built by timm and smp in TerraTorch, which know no bands: channel i gets filter i modulo 3, rescaled where the numbers
# differ (timm.models._manipulate.adapt_input_conv, segmentation_models_pytorch.encoders._utils.patch_first_conv).
_BY_ORDER = ("geocompose.backbones.timm.builder.build_timm", "geocompose.backbones.smp.builder.build_smp_encoder")


def tell_input_filters(to: Translation, config: Mapping[str, Any]) -> None:
    """Say which filters of the weights TerraTorch gives the bands, where that differs from what they get here.

    config: a checked configuration whose backbone loads weights.
    """
    target = config["backbone"]["_target_"]
    if to.bands is None or target not in (*_BY_ORDER, PRITHVI):
        return
    ((seen, bands),) = seen_early(config, to.bands)
    if seen is None or (target in _BY_ORDER and config["backbone"].get("ckpt_path")):
        return  # filters of a file stay where they are
    names = seen.names
    here = [_filter_of(band, names) for band in bands]
    there = _by_order(names, len(bands)) if target in _BY_ORDER else _by_name(to, names)
    if len(there) != len(bands):
        return  # which TerraTorch could not build
    lacking = [band for band, found in zip(bands, here, strict=True) if found is None]
    if there == here and (target == PRITHVI or len(bands) == len(names)):
        if lacking:
            to.ledger.remark(f"The input layer's filters of {', '.join(lacking)} start randomly, as in TerraTorch.")
        return
    given = ", ".join(f"{band}: {found or 'random'}" for band, found in zip(bands, there, strict=True))
    rescales = target in _BY_ORDER and len(bands) not in (1, len(names))
    scaled = f", times {len(names)}/{len(bands)}" if rescales else ""
    rule = "model_args name them" if target == PRITHVI and to.model_bands is not None else "they come in order"
    ours = f", and those of {', '.join(lacking)} start randomly" if lacking else ""
    to.ledger.remark(
        f"TerraTorch gives the bands the input layer's pretrained filters as {rule} ({given}{scaled}). Here each band "
        f"has the filter of its name{ours}.{_advice(lacking, there)}"
    )


def _filter_of(band: object, names: Sequence[str]) -> str | None:
    """Return the name of the filter that a band has by its own; None where the weights have none."""
    there = {canonical(name): name for name in names}
    return there.get(canonical(band)) if isinstance(band, str) else None


def _by_order(names: Sequence[str], count: int) -> list[str | None]:
    return ["+".join(names)] if count == 1 else [names[index % len(names)] for index in range(count)]


def _by_name(to: Translation, names: Sequence[str]) -> list[str | None]:
    """Return the filters that Prithvi's bands have by their names in model_args; without these, they come in order."""
    return list(names) if to.model_bands is None else [_filter_of(band, names) for band in to.model_bands]


def _advice(lacking: Sequence[str], there: Sequence[str | None]) -> str:
    """Return how bands without a name get the filters that TerraTorch gives them."""
    if not lacking or all(map(is_known, lacking)):
        return ""
    once = [found for found in there if found is not None]
    such_as = once if len(set(once)) == len(there) else ["RED", "GREEN", "BLUE", "..."][: len(there)]
    return (
        f" Name the bands that are read, in their order, to have their filters: 'action.bands=[{','.join(such_as)}]'."
    )
