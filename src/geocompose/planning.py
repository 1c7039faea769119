"""Neck planning: which necks lead from a backbone's features to what a decoder reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from geocompose.decoders.needs import Needs
from geocompose.errors import UserError, choices
from geocompose.features import FeatureSpec, common_multiple

NeckConfig = dict[str, Any]

LEVELS = 4  # of a pyramid made of layers of one scale
FIRST_READ_AFTER_TWO = 4  # stride of the first feature that is read by a decoder that skips two (smp's habit)


@dataclass(frozen=True)
class AutoNecks:
    """Necks are planned between the backbone's features and the decoder's needs (`necks="auto"`)."""


@dataclass(frozen=True)
class NoNecks:
    """The features go to the decoder as they are, except that Prithvi's tokens become maps (`necks=None`)."""


@dataclass(frozen=True)
class NeckList:
    """Necks exactly as the user wrote them: mappings with a `name` and the neck's arguments."""

    necks: list[dict[str, object]] = field(default_factory=list)


NeckChoice = AutoNecks | NoNecks | NeckList


def neck_choice(necks: object) -> NeckChoice:
    """Return what `build_model(necks=...)` means.

    Raises:
        UserError: it is neither null, `auto` nor a list of mappings with a name.
    """
    if isinstance(necks, AutoNecks | NoNecks | NeckList):
        return necks if not isinstance(necks, NeckList) else NeckList(_checked(necks.necks))
    if necks is None:
        return NoNecks()
    if isinstance(necks, str):
        if necks == "auto":
            return AutoNecks()
        raise UserError(f"necks is null, 'auto' or a list of necks; got {necks!r}. {choices(necks, ['auto'])}")
    if isinstance(necks, Sequence):
        return NeckList(_checked(necks))
    raise UserError(
        f"necks is null, 'auto' or a list of necks such as [{{name: SelectIndices, indices: [-1]}}]; got {necks!r}."
    )


def _checked(necks: Sequence[Any]) -> list[Any]:
    for neck in necks:
        if not callable(neck) and (not hasattr(neck, "keys") or "name" not in neck):
            raise UserError(
                f"Each neck is a mapping with a name, such as {{name: ReshapeTokensToImage}}, a module or a constructor; got {neck!r}."
            )
    return [neck if callable(neck) else dict(neck) for neck in necks]


def plan(choice: NeckChoice, specs: list[FeatureSpec], needs: Needs, *, maps_by_default: bool) -> list[NeckConfig]:
    """Return the necks between features and decoder, as the list that one could have written by hand.

    maps_by_default: without necks, the backbone's tokens become maps (Prithvi's do).

    Raises:
        UserError: no plan fits; says what the decoder needs and what the backbone gives.
    """
    if isinstance(choice, NeckList):
        return _checked(choice.necks)
    if isinstance(choice, NoNecks):
        return [_reshape(specs[0])] if maps_by_default else []
    return _automatic(specs, needs)


def evenly_spaced(depth: int, count: int) -> list[int]:
    """Return `count` layers of `depth`, evenly spaced and ending in the last: 2, 5, 8, 11 of 12."""
    return [round((step + 1) * depth / count) - 1 for step in range(count)]


def _automatic(specs: list[FeatureSpec], needs: Needs) -> list[NeckConfig]:
    necks: list[NeckConfig] = []
    first = specs[0]
    one_scale = len({spec.stride for spec in specs}) == 1
    if one_scale:
        if needs.pyramid and len(specs) < LEVELS:
            raise UserError(
                f"The decoder needs a pyramid, planned from {LEVELS} layers; the backbone returns {len(specs)}. "
                "Use a deeper backbone, leave backbone.out_indices null, or a decoder that reads one map, such as decoder=fcn."
            )
        wanted = LEVELS if needs.pyramid else 1 if needs.reads_one else needs.layers
        if wanted is not None and wanted < len(specs):
            necks.append({"name": "SelectIndices", "indices": evenly_spaced(len(specs), wanted)})
    if first.layout == "tokens":
        necks.append(_reshape(first))
    elif first.layout == "NHWC":
        necks.append({"name": "PermuteDims", "new_order": [0, 3, 1, 2]})
    if one_scale and needs.pyramid:
        necks.append({"name": "LearnedInterpolateToPyramidal"})
    levels = _input_levels(specs, needs, planned=one_scale)
    return necks + [{"name": "AddInputLevel"} for _ in range(levels)]


def _input_levels(specs: list[FeatureSpec], needs: Needs, *, planned: bool) -> int:
    """Return how many levels of the input's resolution stand before the features, for a decoder to skip.

    planned: whether the features become a pyramid by plan; then each is meant to be read.
    """
    if not needs.skips:
        return int(_joins_better_with_input_level(_planned_strides(specs, needs), needs))
    # A decoder that skips two expects the input's resolution and half of it: a backbone's own fine levels are these.
    finer = 0 if planned or needs.skips < 2 else sum(spec.stride < FIRST_READ_AFTER_TWO for spec in specs)
    too_few = needs.levels + needs.skips - len(specs)
    return min(needs.skips, max(needs.skips - finer, too_few))


def _planned_strides(specs: list[FeatureSpec], needs: Needs) -> list[Fraction]:
    strides = [Fraction(spec.stride) for spec in specs]
    if needs.pyramid and len(set(strides)) == 1:
        return [strides[0] / 4, strides[0] / 2, strides[0], strides[0] * 2]
    return strides


def _joins_better_with_input_level(strides: list[Fraction], needs: Needs) -> bool:
    """Return whether a level put first moves the right feature to the third place."""
    ratio = needs.third_to_last
    if ratio is None or len(strides) < 3 or strides[2] * ratio == strides[-1]:
        return False
    return strides[1] * ratio == strides[-1]


def _reshape(spec: FeatureSpec) -> NeckConfig:
    neck: NeckConfig = {"name": "ReshapeTokensToImage"}
    if spec.num_prefix_tokens != 1:
        neck["num_prefix_tokens"] = spec.num_prefix_tokens
    if spec.num_frames > 1:
        neck["effective_time_dim"] = spec.num_frames
    return neck


def padding_multiple(before: list[FeatureSpec], after: list[FeatureSpec], needs: Needs) -> int:
    """Return the multiple of pixels that an image is padded to, given the features before and after the necks.

    It is a whole number of cells of every feature, and of every map inside a decoder that goes on to coarser ones.
    """
    inside = [replace(spec, stride=Fraction(spec.stride) * needs.coarser) for spec in after if spec.layout != "vector"]
    return common_multiple([*before, *after, *inside])


def check_needs(decoder: str, needs: Needs, specs: list[FeatureSpec]) -> None:
    """Refuse features that a decoder can't read, or would read at the wrong scale without a word.

    Raises:
        UserError: says what the decoder needs, what it would get, and what to write instead.
    """
    given = "; ".join(map(str, specs))
    advice = "Use neck=auto, or end the list of necks accordingly"
    for spec in specs:
        if spec.layout not in needs.layouts:
            neck = {
                "tokens": "ReshapeTokensToImage",
                "NHWC": "PermuteDims with new_order [0, 3, 1, 2]",
                "vector": "no AggregateTokens",
            }[spec.layout]
            raise UserError(f"{decoder} reads maps (B, channels, rows, columns), but gets: {given}. {advice} ({neck}).")
    least = needs.levels + needs.skips
    if len(specs) < least:
        raise UserError(f"{decoder} needs {least} features or more, but gets {len(specs)}: {given}. {advice}.")
    strides = [spec.stride for spec in specs]
    shown = [float(stride) if stride % 1 else int(stride) for stride in strides]
    if needs.pyramid and (strides != sorted(strides) or strides[0] == strides[-1]):
        raise UserError(
            f"{decoder} needs a pyramid, finest level first, but gets levels at strides {shown}: it would run at the wrong "
            f"scale. {advice} (LearnedInterpolateToPyramidal after four selected layers)."
        )
    if needs.one_scale and len(set(strides)) > 1:
        raise UserError(
            f"{decoder} scales its features itself: they must have one resolution, but the levels are at strides {shown}. "
            f"Leave decoder.scale_modules out for a pyramid, or hand on layers of one scale."
        )
    read = strides[needs.skips :]
    if needs.doubling and any(2 * fine != coarse for fine, coarse in pairwise(read)):
        raise UserError(
            f"{decoder} doubles its way from the last feature to the finest: each must be half as fine as the one before"
            f"{' (but for the first, which it skips)' if needs.skips else ''}; the levels are at strides {shown}. Select "
            "others, or use a decoder that resizes, such as decoder=upernet."
        )
