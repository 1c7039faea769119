"""Which of a backbone's features a decoder is given, and how many times each is enlarged or reduced on its way.

Any map can be had from any other by doubling or halving it, so a plan exists for every decoder of maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.needs import Needs
from geocompose.necks.select import evenly_spaced

# Levels of a pyramid that is made of layers of one scale: ViTDet (arXiv 2203.16527) and the published fine-tunings of
# ViTs have four.
LEVELS = 4
# A pyramid whose finest level has this stride or less grows at its coarse end only. ResNets and Swin begin at stride 4;
# one level finer has four times the cells.
FINE_ENOUGH = 4
# The stride to which maps of several strides are brought where a decoder needs one: a ViT's usual patch.
NEAR = 16


@dataclass(frozen=True)
class Level:
    """One feature on its way to the decoder: `layer` of the backbone, enlarged 2^exponent times (below 0: reduced)."""

    layer: int
    exponent: int = 0


def chosen_levels(specs: Sequence[FeatureSpec], needs: Needs, *, only_pooled: bool) -> list[Level]:
    """Return what a decoder is given, in the order in which it reads it, without the features that it skips.

    specs: the backbone's features. only_pooled: no map is enlarged; levels that are missing are pooled from finer ones.
    """
    # A vector has no place in a pyramid; it is read only where the backbone returns nothing else.
    candidates = [index for index, spec in enumerate(specs) if spec.layout != "vector"] or list(range(len(specs)))
    # Fractions: a ViT's layers of stride 14, halved twice, are at 3.5, which stays exact.
    strides = {index: Fraction(specs[index].stride) for index in candidates}
    one_scale = len(set(strides.values())) == 1
    if needs.reads_one:
        return [Level(candidates[-1])]
    if needs.ratios:
        return _joined(strides, needs.ratios, only_pooled=only_pooled)
    if needs.pyramid and one_scale:
        return _pyramid_of_layers(strides, _wanted(needs, LEVELS), only_pooled=only_pooled)
    if needs.pyramid or (needs.powers_of_two and not one_scale):
        return _pyramid_of_levels(strides, needs, only_pooled=only_pooled)
    if needs.one_scale and not one_scale:
        return _brought_to_one(strides, needs, only_pooled=only_pooled)
    if one_scale and needs.layers is not None:
        return [Level(layer) for layer in _layers(candidates, needs, needs.layers)]
    chosen = _at_most(candidates, strides, needs.most)
    if len(chosen) < needs.levels:  # the same feature stands for several
        chosen = [chosen[index] for index in evenly_spaced(len(chosen), needs.levels)]
    return [Level(layer) for layer in chosen]


def _wanted(needs: Needs, usual: int) -> int:
    count = max(needs.levels, needs.layers or usual)
    return count if needs.most is None else min(count, needs.most)


def _layers(candidates: list[int], needs: Needs, usual: int) -> list[int]:
    """Return layers of one scale for a decoder that scales them itself, or joins what it gets."""
    count = _wanted(needs, usual)
    if count > len(candidates) and needs.levels == 1:
        return candidates
    return [candidates[index] for index in evenly_spaced(len(candidates), count)]


def _pyramid_of_layers(strides: dict[int, Fraction], count: int, *, only_pooled: bool) -> list[Level]:
    """Return a pyramid of layers that all have one stride: x4, x2, x1, x1/2 for four, never finer than the input."""
    layers, stride = list(strides), next(iter(strides.values()))
    # How often the first map is doubled: twice for four levels, so that the last is halved once (ViTDet). Fewer times
    # where the maps are fine already (stride below 4), or where a level would be finer than the image (stride < 1).
    finest = 0
    while not only_pooled and stride >= FINE_ENOUGH and finest < count - 2 and stride >= 2 ** (finest + 1):
        finest += 1
    chosen = evenly_spaced(len(layers), count)
    return [Level(layers[index], finest - step) for step, index in enumerate(chosen)]


def _pyramid_of_levels(strides: dict[int, Fraction], needs: Needs, *, only_pooled: bool) -> list[Level]:
    """Return a pyramid of features of several strides, finest first."""
    order = sorted(strides, key=lambda layer: strides[layer])
    coarsest = strides[order[-1]]
    # Doubling can't join strides such as 8 and 12: only those that are the coarsest over a power of two stay.
    if needs.doubling or needs.powers_of_two:
        order = [layer for layer in order if doublings_in(coarsest / strides[layer]) is not None]
    if needs.doubling:
        levels = _chain({layer: strides[layer] for layer in order}, only_pooled=only_pooled)
    else:
        levels = [Level(layer) for layer in _at_most(order, strides, needs.most)]
    # Where a decoder reads fewer, the finest go: the coarsest say most about what is in the image.
    levels = levels[-needs.most :] if needs.most is not None else levels
    while len(levels) < needs.levels:
        levels = _with_one_more(levels, strides, only_pooled=only_pooled)
    return levels


def _at_most(order: list[int], strides: dict[int, Fraction], most: int | None) -> list[int]:
    """Return not more features than a decoder reads: of every stride the deepest first, then the coarser ones."""
    if most is None or len(order) <= most:
        return order
    deepest = {strides[layer]: layer for layer in order}.values()
    # Ascending worth: shallow layers of a stride that has a deeper one, then fine strides, then early layers.
    ranked = sorted(order, key=lambda layer: (layer in deepest, strides[layer], layer))
    return [layer for layer in order if layer in ranked[-most:]]


def _chain(strides: dict[int, Fraction], *, only_pooled: bool) -> list[Level]:
    """Return levels of which each is half as fine as the one before, the deepest layer of each stride.

    A stride that is missing in between is made of the next coarser level, or of the next finer one if nothing is
    enlarged.
    """
    deepest = {stride: layer for layer, stride in strides.items()}
    levels = []
    stride = min(deepest)
    while stride <= max(deepest):
        coarser = min(found for found in deepest if found >= stride)
        finer = max(found for found in deepest if found <= stride)
        # The next coarser one, which is deeper, is enlarged; where nothing may be, the next finer one is pooled.
        source = finer if only_pooled else coarser
        exponent = doublings_in(source / stride)
        assert exponent is not None
        levels.append(Level(deepest[source], exponent))
        stride *= 2
    return levels


def _with_one_more(levels: list[Level], strides: dict[int, Fraction], *, only_pooled: bool) -> list[Level]:
    """Return the levels with a finer or a coarser one, made of its neighbour or of a layer that is not read yet."""
    first, last = levels[0], levels[-1]
    used = {level.layer for level in levels}
    # A finer level has half the stride of the first, which must not fall below FINE_ENOUGH.
    if strides[first.layer] / Fraction(2) ** first.exponent >= 2 * FINE_ENOUGH and not only_pooled:
        # Made of the shallowest layer of this stride: one that is not read yet, or the first level's own.
        fresh = [layer for layer in strides if strides[layer] == strides[first.layer] and layer not in used]
        return [Level(min([*fresh, first.layer]), first.exponent + 1), *levels]
    alike = [layer for layer, stride in strides.items() if stride == strides[last.layer] and layer not in used]
    if alike:  # the shallower one takes the place at this scale, the deeper one is pooled
        levels = [*levels[:-1], Level(min(alike[-1], last.layer), last.exponent)]
        last = Level(max(alike[-1], last.layer), last.exponent)
    return [*levels, Level(last.layer, last.exponent - 1)]


def _joined(strides: dict[int, Fraction], ratios: tuple[int, ...], *, only_pooled: bool) -> list[Level]:
    """Return two levels, of which the first is as many times as fine as the last as the decoder wants it."""
    order = sorted(strides, key=lambda layer: strides[layer])
    last = order[-1]
    for ratio in ratios:
        fitting = [layer for layer in order if strides[layer] * ratio == strides[last]]
        if fitting:
            return [Level(fitting[-1]), Level(last)]
    # No two features are as far apart as the decoder wants: one of two is resampled, to the ratio that it likes best.
    wanted = doublings_in(Fraction(ratios[0]))
    assert wanted is not None, "a decoder joins features of which one is a power of two times as fine"
    if len(set(strides.values())) == 1:
        first, last = (order[index] for index in evenly_spaced(len(order), 2))
    else:
        # What has to be resampled least; the deepest of these.
        powers = {layer: doublings_in(strides[last] / strides[layer]) for layer in order}
        distances = {layer: abs(wanted - power) for layer, power in powers.items() if power is not None}
        first = min(reversed(distances), key=lambda layer: (distances[layer], layer == last))
    power = doublings_in(strides[last] / strides[first])
    assert power is not None
    # The first is doubled so often; where it can't be (nothing is enlarged, or it would be finer than the image), the
    # last is halved as often instead, which gives the same ratio.
    doublings = wanted - power
    if doublings > 0 and (only_pooled or strides[first] < 2**doublings):
        return [Level(first), Level(last, -doublings)]
    return [Level(first, doublings), Level(last)]


def _brought_to_one(strides: dict[int, Fraction], needs: Needs, *, only_pooled: bool) -> list[Level]:
    """Return features of several strides at one of these: near a ViT's, or the coarsest if nothing is enlarged."""
    order = sorted(strides, key=lambda layer: strides[layer])
    order = [layer for layer in order if doublings_in(strides[order[-1]] / strides[layer]) is not None]
    order = _at_most(order, strides, needs.layers or needs.most)
    coarsest = strides[order[-1]]
    # The coarsest stride of 16 or less, as ViTs have it; the coarsest of all where each is above 16.
    target = coarsest if only_pooled else max((s for s in strides.values() if s <= NEAR), default=coarsest)
    # Strides such as 8 and 12 can't be brought to each other: then all go to the coarsest, as `order` can.
    if doublings_in(coarsest / target) is None:
        target = coarsest
    chosen = [order[index] for index in evenly_spaced(len(order), max(needs.levels, needs.layers or len(order)))]
    levels = []
    for layer in chosen:
        exponent = doublings_in(strides[layer] / target)
        assert exponent is not None
        levels.append(Level(layer, exponent))
    return levels


def doublings_in(ratio: Fraction) -> int | None:
    """Return n of a ratio of 2^n, which may be below 0; None where it is not a power of two."""
    # A fraction in lowest terms is a power of two only if both terms are: numbers of one bit, x & (x - 1) = 0.
    top, bottom = ratio.numerator, ratio.denominator
    if top & (top - 1) or bottom & (bottom - 1):
        return None
    return top.bit_length() - bottom.bit_length()
