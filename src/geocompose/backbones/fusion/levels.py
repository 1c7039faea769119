"""Features of several backbones, level by level: which go together, and how they come onto one grid."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor
from torch.nn import functional as F

from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError


@dataclass(frozen=True)
class Level:
    """One joined feature: its stride, the part on whose grid it is, and which feature of each part goes in."""

    stride: int | Fraction
    leader: str
    places: Mapping[str, int]


def matched(specs: Mapping[str, Sequence[FeatureSpec]]) -> list[Level]:
    """Return the levels to which the features of several parts are joined.

    One part leads and gives the levels and their grids: the one with the most strides, of these that with the most
    features, then that with the finest, then the first. Beside each of its levels goes, of another pyramid, the (last)
    feature of that stride, or of the nearest; of layers of one stride, those that are evenly spaced and end in the
    last.
    """
    leader = max(specs, key=lambda name: (*_strides_and_count(specs[name]), -min(s.stride for s in specs[name])))
    levels = [spec.stride for spec in specs[leader]]
    return [
        Level(
            stride,
            leader,
            {
                name: place if name == leader else _partner(others, stride, place, len(levels))
                for name, others in specs.items()
            },
        )
        for place, stride in enumerate(levels)
    ]


def _strides_and_count(specs: Sequence[FeatureSpec]) -> tuple[int, int]:
    return len({spec.stride for spec in specs}), len(specs)


def _partner(specs: Sequence[FeatureSpec], stride: int | Fraction, place: int, count: int) -> int:
    if len({spec.stride for spec in specs}) == 1:
        # Layer 3, 6, 9 and 12 of twelve beside four levels: evenly spaced, and the last beside the last.
        return math.ceil((place + 1) * len(specs) / count) - 1
    # Strides double from level to level, so that distance counts in halvings.
    away = [abs(math.log2(Fraction(spec.stride) / Fraction(stride))) for spec in specs]
    return max(index for index, distance in enumerate(away) if distance == min(away))


def as_map(feature: Tensor, spec: FeatureSpec, image_size: tuple[int, int]) -> Tensor:
    """Return a feature as a map (B, frames * channels, rows, columns), frames before channels.

    image_size: the image's rows and columns, so that tokens find their places.

    Raises:
        UserError: tokens form no grid of this image.
    """
    if spec.layout == "NCHW":
        return feature
    if spec.layout == "NHWC":
        return feature.permute(0, 3, 1, 2)
    assert spec.layout == "tokens"
    patches = feature[:, spec.num_prefix_tokens :]
    rows, columns = (int(pixels / Fraction(spec.stride)) for pixels in image_size)
    if patches.shape[1] != spec.num_frames * rows * columns:
        raise UserError(
            f"{patches.shape[1]} tokens of {spec} form no grid of an image of {image_size[0]} x {image_size[1]} "
            "pixels: give images of whole patches, or let the model pad them."
        )
    maps = patches.unflatten(1, (spec.num_frames, rows, columns))
    return maps.permute(0, 1, 4, 2, 3).flatten(1, 2)


def map_channels(spec: FeatureSpec) -> int:
    """Return the width of what `as_map` makes of a feature."""
    return spec.channels * spec.num_frames


def onto_grid(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps of this size: averaged where they are finer, bilinearly interpolated where they are coarser."""
    rows, columns = maps.shape[-2], maps.shape[-1]
    if (rows, columns) == size:
        return maps
    if rows * columns > size[0] * size[1]:
        return F.adaptive_avg_pool2d(maps, size)
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
