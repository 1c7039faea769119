"""The necks of a plan: from the levels chosen for a decoder to the list that a user could have written by hand."""

from collections.abc import Sequence
from typing import Any, Literal

from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.needs import Needs
from geocompose.necks.pyramid import up_to
from geocompose.planning.levels import chosen_levels

NeckConfig = dict[str, Any]
Pyramid = Literal["learned", "interpolated", "pooled"]

USUAL_WIDTH = 256  # of maps that a decoder wants equally wide, as feature pyramid networks have it


def planned_necks(specs: Sequence[FeatureSpec], needs: Needs, pyramid: Pyramid) -> list[NeckConfig]:
    """Return the necks between a backbone's features and a decoder.

    pyramid: how maps get finer or coarser where they have to.
    """
    if not specs or (not _has_places(specs) and "vector" not in needs.layouts):
        return []  # vectors have no cells: whoever checks the decoder's needs says so
    levels = chosen_levels(specs, needs, only_pooled=pyramid == "pooled")
    layers = [level.layer for level in levels]
    given = [specs[layer] for layer in layers]
    necks = _selection(layers, len(specs))
    if "NCHW" not in needs.layouts:
        return [*necks, *_other_layout(given, needs), *_input_levels(needs)]
    if not _has_places(given):
        return necks
    necks += to_maps(given)
    # Tokens of several frames become one map with the frames' channels side by side (ReshapeTokensToImage).
    widths = [spec.channels * spec.num_frames for spec in given]
    exponents = [level.exponent for level in levels]
    resampling = _resampling(exponents, pyramid)
    if resampling and resampling["name"] == "LearnedInterpolateToPyramidal":
        # It halves the width with each doubling: widths are first raised to what can be halved so often.
        halved = [up_to(width, 2 ** max(0, exponent)) for width, exponent in zip(widths, exponents, strict=True)]
        necks += _projection(widths, halved)
        widths = [width >> max(0, exponent) for width, exponent in zip(halved, exponents, strict=True)]
    if resampling:
        necks.append(resampling)
    return [*necks, *_projection(widths, _read_widths(widths, needs)), *_input_levels(needs)]


def _has_places(specs: Sequence[FeatureSpec]) -> bool:
    return any(spec.layout != "vector" for spec in specs)


def _selection(layers: list[int], count: int) -> list[NeckConfig]:
    if layers == list(range(count)):
        return []
    return [{"name": "SelectIndices", "indices": [-1] if layers == [count - 1] else layers}]


def to_maps(specs: Sequence[FeatureSpec]) -> list[NeckConfig]:
    """Return the necks that make maps (B, C, h, w) of features of any layout but vectors."""
    necks: list[NeckConfig] = []
    # Tokens with other prefix tokens, or of other frames, need a neck of their own.
    kinds: dict[tuple[int, int], list[int]] = {}
    for index, spec in enumerate(specs):
        if spec.layout == "tokens":
            kinds.setdefault((spec.num_prefix_tokens, spec.num_frames), []).append(index)
    for (prefix, frames), places in kinds.items():
        neck: NeckConfig = {"name": "ReshapeTokensToImage"}
        if prefix != 1:
            neck["num_prefix_tokens"] = prefix
        if frames > 1:
            neck["effective_time_dim"] = frames
        if len(kinds) > 1 or (frames > 1 and len(places) < len(specs)):  # otherwise maps go through as they are
            neck["indices"] = places
        necks.append(neck)
    # NHWC to NCHW: dimensions 0 (images), 3 (channels), 1 (rows), 2 (columns).
    last = [index for index, spec in enumerate(specs) if spec.layout == "NHWC"]
    if last:
        neck = {"name": "PermuteDims", "new_order": [0, 3, 1, 2]}
        necks.append(neck if len(last) == len(specs) else {**neck, "indices": last})
    return necks


def _other_layout(specs: Sequence[FeatureSpec], needs: Needs) -> list[NeckConfig]:
    """Return the necks for a decoder that doesn't read maps with channels first."""
    if all(spec.layout in needs.layouts for spec in specs):
        return []
    if "tokens" in needs.layouts:
        places = [index for index, spec in enumerate(specs) if spec.layout == "NHWC"]
        # Tokens stay tokens here, so only maps with channels last are made maps: a 1-channel map stands for the others.
        maps = to_maps([spec if index in places else FeatureSpec(1, 1) for index, spec in enumerate(specs)])
        return [*maps, {"name": "FlattenMapsToTokens"}]
    if "NHWC" in needs.layouts:
        return [*to_maps(specs), {"name": "PermuteDims", "new_order": [0, 2, 3, 1]}]
    return [*to_maps(specs), {"name": "AggregateTokens", "index": None}]


def _resampling(exponents: list[int], pyramid: Pyramid) -> NeckConfig | None:
    """Return the neck that enlarges each map 2^exponent times, or None where none changes."""
    # A neck that makes the wanted pyramid without `exponents` is written without: that is how a user would write it.
    count = len(exponents)
    if not any(exponents):
        return None
    if max(exponents) <= 0:
        downwards = {"name": "MaxpoolToPyramidal"}
        usual = exponents == [-step for step in range(count)]
        return downwards if usual else {**downwards, "exponents": exponents}
    if pyramid == "learned":
        learned = {"name": "LearnedInterpolateToPyramidal"}
        usual = exponents == list(range(count - 2, -2, -1))
        return learned if usual else {**learned, "exponents": exponents}
    # Nothing is enlarged in a pooled pyramid, so this is an interpolated one; bilinear keeps what is halved centred.
    return {"name": "InterpolateToPyramidal", "mode": "bilinear", "exponents": exponents}


def _read_widths(widths: list[int], needs: Needs) -> list[int]:
    """Return the least wider widths that the decoder reads; the usual one where they have to be equal and are not."""
    if needs.equal_widths and len(set(widths)) > 1:
        widths = [min(max(widths), USUAL_WIDTH)] * len(widths)
    return [up_to(max(width, needs.least_width), needs.width_multiple) for width in widths]


def _projection(widths: list[int], wanted: list[int]) -> list[NeckConfig]:
    if widths == wanted:
        return []
    return [{"name": "ProjectChannels", "channels": wanted[0] if len(set(wanted)) == 1 else wanted}]


def _input_levels(needs: Needs) -> list[NeckConfig]:
    return [{"name": "AddInputLevel"} for _ in range(needs.skips)]
