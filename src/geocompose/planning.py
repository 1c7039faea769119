"""Neck planning: which necks lead from a backbone's features to what a decoder reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from geocompose.decoders.needs import Needs
from geocompose.errors import UserError, choices
from geocompose.features import FeatureSpec

NeckConfig = dict[str, Any]


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


def _checked(necks: Sequence[Any]) -> list[dict[str, object]]:
    for neck in necks:
        if not hasattr(neck, "keys") or "name" not in neck:
            raise UserError(
                f"Each neck is a mapping with a name, such as {{name: ReshapeTokensToImage}}; got {neck!r}."
            )
    return [dict(neck) for neck in necks]


def plan(choice: NeckChoice, specs: list[FeatureSpec], needs: Needs, *, maps_by_default: bool) -> list[NeckConfig]:
    """Return the necks between features and decoder, as the list that one could have written by hand.

    maps_by_default: without necks, the backbone's tokens become maps (Prithvi's do).

    Raises:
        UserError: no plan fits; says what the decoder needs and what the backbone gives.
    """
    if isinstance(choice, NeckList):
        return [dict(neck) for neck in choice.necks]
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
    wanted = 4 if needs.pyramid else 1
    if one_scale and (needs.pyramid or needs.reads_one) and len(specs) != wanted:
        if len(specs) < wanted:
            raise UserError(
                f"The decoder needs a pyramid, planned from {wanted} layers; the backbone returns {len(specs)}. "
                "Use a deeper backbone, leave backbone.out_indices null, or a decoder that reads one map, such as decoder=fcn."
            )
        necks.append({"name": "SelectIndices", "indices": evenly_spaced(len(specs), wanted)})
    if first.layout == "tokens":
        necks.append(_reshape(first))
    elif first.layout == "NHWC":
        necks.append({"name": "PermuteDims", "new_order": [0, 3, 1, 2]})
    if one_scale and needs.pyramid:
        necks.append({"name": "LearnedInterpolateToPyramidal"})
    if needs.input_level or _joins_better_with_input_level(_planned_strides(specs, needs), needs):
        necks.append({"name": "AddInputLevel"})
    return necks


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


def check_needs(decoder: str, needs: Needs, specs: list[FeatureSpec]) -> None:
    """Refuse features that a decoder can't read, or would read at the wrong scale without a word.

    Raises:
        UserError: says what the decoder needs, what it would get, and what to write instead.
    """
    given = "; ".join(map(str, specs))
    advice = "Use neck=auto, or end the list of necks accordingly"
    if any(spec.layout != "NCHW" for spec in specs):
        neck = "ReshapeTokensToImage" if specs[0].layout == "tokens" else "PermuteDims with new_order [0, 3, 1, 2]"
        raise UserError(f"{decoder} reads maps (B, channels, rows, columns), but gets: {given}. {advice} ({neck}).")
    least = needs.levels + needs.input_level
    if len(specs) < least:
        raise UserError(f"{decoder} needs {least} features or more, but gets {len(specs)}: {given}. {advice}.")
    strides = [spec.stride for spec in specs]
    if needs.pyramid and (strides != sorted(strides) or strides[0] == strides[-1]):
        raise UserError(
            f"{decoder} needs a pyramid, finest level first, but gets levels at strides {[float(s) if s % 1 else int(s) for s in strides]}: it would run at the wrong "
            f"scale. {advice} (LearnedInterpolateToPyramidal after four selected layers)."
        )
