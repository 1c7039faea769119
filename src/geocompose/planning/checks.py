"""What a decoder refuses to read, and what its user can do about it."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from geocompose.arguments import as_written
from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.needs import Needs
from geocompose.errors import UserError
from geocompose.planning import AutoNecks, NeckChoice, NeckList
from geocompose.planning.automatic import planned_necks
from geocompose.planning.levels import chosen_levels, doublings_in
from geocompose.planning.trace import listed, neck_name

KINDS = {
    "NCHW": "maps (B, channels, rows, columns)",
    "NHWC": "maps with channels last (B, rows, columns, channels)",
    "tokens": "tokens (B, tokens, channels)",
    "vector": "vectors (B, channels)",
}


def check_needs(
    decoder: str,
    needs: Needs,
    specs: Sequence[FeatureSpec],
    choice: NeckChoice | None = None,
    *,
    necks: Sequence[Any] = (),
    main: str | None = None,
) -> None:
    """Refuse features that a decoder can't read, or would read at the wrong scale without a word.

    choice: how the necks that lead to these features were chosen. necks: what came of it. main: the main decoder, where
        this is an auxiliary one.

    Raises:
        UserError: says what the decoder needs, what it would get, and what to write instead.
    """
    added = sum(neck_name(neck) == "AddInputLevel" for neck in necks) if isinstance(choice, NeckList) else 0
    for problem in _problems(needs, list(specs), added):
        raise UserError(f"{decoder} {problem}. {_advice(needs, list(specs), choice, list(necks), main)}")


def lost_levels(
    decoder: str, needs: Needs, specs: Sequence[FeatureSpec], choice: NeckChoice, necks: Sequence[Any]
) -> str | None:
    """Return what is lost of features that a decoder skips, and the necks that save it; None where nothing is.

    What may be skipped without a loss is of the input's resolution, or of half of it where it is the second: smp's
    encoders begin with these; or it is what a plan wouldn't read either. Elsewhere it is a level that a user
    selected, or that a neck learns. TerraTorch's own models are composed so, and load: hence no refusal.
    """
    places = [place for place in range(needs.skips) if specs[place].stride > 2**place]
    if not places:
        return None
    read = {level.layer for level in chosen_levels(specs, needs, only_pooled=False)}
    lost = [specs[place] for place in places if place in read]
    if not lost:
        return None
    first = "feature" if needs.skips == 1 else f"{needs.skips} features"
    return (
        f"{decoder} skips the first {first}, where it expects the image's own resolution, and so never reads "
        f"{listed(lost)}: what only leads there doesn't learn. {_advice(needs, list(specs), choice, list(necks), None)}"
    )


def _problems(needs: Needs, specs: list[FeatureSpec], added: int) -> Iterator[str]:
    """Yield what a decoder needs that these features are not.

    added: levels that a written list puts first for a decoder to skip, which hold nothing.
    """
    given = listed(specs)
    if any(spec.layout not in needs.layouts for spec in specs):
        yield f"reads {' or '.join(KINDS[layout] for layout in needs.layouts)}, but gets: {given}"
    least = needs.levels + needs.skips
    skipped = {0: "", 1: " (it skips the first)"}.get(needs.skips, f" (it skips the first {needs.skips})")
    if len(specs) < least:
        yield f"needs {least} features or more{skipped}, but gets {len(specs)}: {given}"
    if added > needs.skips and (needs.pyramid or needs.one_scale or needs.powers_of_two):
        skips = "none" if not needs.skips else f"{needs.skips} only"
        yield (
            "would read a level of AddInputLevel, which holds nothing and is there to be skipped; it skips "
            f"{skips}, and gets: {given}"
        )
    read = specs[needs.skips :]
    strides = [spec.stride for spec in read]
    shown = f"levels at strides {_shown(specs)}{skipped}"
    if needs.pyramid and (strides != sorted(strides) or strides[0] == strides[-1]):
        yield f"needs a pyramid, finest level first, but gets {shown}: it would run at the wrong scale"
    if needs.one_scale and len(set(strides)) > 1:
        yield f"scales its features itself: they must have one resolution, but it gets {shown}"
    if needs.doubling and any(2 * fine != coarse for fine, coarse in pairwise(strides)):
        yield (
            "doubles its way from the last feature to the finest: each must be half as fine as the one before, but it "
            f"gets {shown}"
        )
    if needs.powers_of_two and any(doublings_in(Fraction(stride) / Fraction(strides[0])) is None for stride in strides):
        yield f"halves and doubles its features: their strides must be powers of two of each other, but it gets {shown}"
    if needs.ratios and not any(Fraction(strides[0]) * ratio == strides[-1] for ratio in needs.ratios):
        times = " or ".join(map(str, needs.ratios))
        yield (
            f"joins its last feature to the first that it reads, which has to be {times} times as fine, but it gets "
            f"{shown}"
        )
    widths = [spec.channels for spec in read][-1 if needs.reads_one else 0 :]
    if needs.equal_widths and len(set(widths)) > 1:
        yield f"needs features of one width, but gets {widths} channels"
    if min(widths) < needs.least_width or any(width % needs.width_multiple for width in widths):
        multiple = f" in multiples of {needs.width_multiple}" if needs.width_multiple > 1 else ""
        least_width = max(needs.least_width, needs.width_multiple)
        yield f"needs features of {least_width} channels or more{multiple}, but gets {widths}"


def _shown(specs: Sequence[FeatureSpec]) -> list[float]:
    return [float(spec.stride) if Fraction(spec.stride).denominator > 1 else int(spec.stride) for spec in specs]


def _advice(
    needs: Needs, specs: list[FeatureSpec], choice: NeckChoice | None, necks: list[Any], main: str | None
) -> str:
    """Return the smallest change after which the decoder reads what it gets."""
    if isinstance(choice, AutoNecks) and main is not None:
        return (
            f"neck=auto plans for the main decoder, {main}: take an auxiliary decoder that reads what that one reads, "
            "or write the necks yourself (neck=list)."
        )
    aggregated = any(neck_name(neck) == "AggregateTokens" for neck in necks)
    if aggregated and any(spec.layout == "vector" for spec in specs):
        return "Vectors have no rows and columns: leave AggregateTokens out."
    if all(spec.layout == "vector" for spec in specs):
        return (
            "No neck makes maps of vectors: take a backbone that returns maps or tokens, or, for a task of whole "
            "images such as task=classification, decoder=identity or decoder=mlp."
        )
    if isinstance(choice, AutoNecks):
        return "The backbone returns no more: let the decoder read one of these, or take a backbone that returns more."
    # Levels that were added to be skipped hold nothing: what follows them is planned anew.
    added = next((index for index, spec in enumerate(specs) if (spec.channels, spec.stride) != (1, 1)), 0)
    missing = planned_necks(specs[added:], needs, "learned")
    if added == needs.skips:
        missing = [neck for neck in missing if neck["name"] != "AddInputLevel"]
    elif added:
        before = [neck for neck in necks if neck_name(neck) != "AddInputLevel"]
        at_the_end = necks[: len(before)] == before
        return (
            f"Use neck=auto, or neck=list 'neck.necks={as_written([*before, *missing])}'."
            if at_the_end
            else "Use neck=auto."
        )
    if not missing:
        return "Use neck=auto, or select other features (SelectIndices)."
    if isinstance(choice, NeckList) and necks:
        written = as_written(missing)[1:-1]
        place = "before AddInputLevel in" if added else "to the end of"
        return f"Add {place} neck.necks: {written}. Or use neck=auto."
    return f"Use neck=auto, or neck=list 'neck.necks={as_written([*necks, *missing])}'."


def unread_advice(choice: NeckChoice, *, declares: bool) -> str:
    """Return what to do about a decoder that stopped at features which fit what it declares, if it declares any."""
    if not declares:
        return (
            "It declares nothing of what it reads, so every feature is handed to it as a map: give its class an "
            "attribute such as needs = Needs(levels=2, pyramid=True) (geocompose.contracts.needs), or hand it what it "
            "reads by a list of necks."
        )
    if isinstance(choice, AutoNecks):
        return "They are as it declares to need them (`needs`): correct that, or its arguments and widths."
    return "Use neck=auto, or necks that give it what it reads."
