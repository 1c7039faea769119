"""What travels from part to part beside the tensors: a description of each feature map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Layout = Literal["tokens", "NCHW", "NHWC", "vector"]


@dataclass(frozen=True)
class FeatureSpec:
    """One feature map as a part returns it.

    channels: width of the feature.
    stride: input pixels per cell of the map, the same in both directions; a fraction where a patch of 14 is quartered,
        1 for vectors, which have no cells.
    layout: `tokens` (B, prefix + frames * rows * columns, channels), `NCHW`, `NHWC`, or `vector` (B, channels).
    num_prefix_tokens: class and register tokens before the patch tokens (tokens only).
    num_frames: time steps held apart in the token sequence (tokens only).
    """

    channels: int
    stride: int | Fraction
    layout: Layout = "NCHW"
    num_prefix_tokens: int = 0
    num_frames: int = 1

    def __str__(self) -> str:
        """Return the short form that summaries and errors show, such as `256 ch, 1/16, tokens`."""
        frames = f", {self.num_frames} frames" if self.num_frames > 1 else ""
        place = "" if self.layout == "vector" else f", 1/{float(self.stride):g}"
        return f"{self.channels} ch{place}, {self.layout}{frames}"


def common_multiple(specs: Sequence[FeatureSpec]) -> int:
    """Return the least number of pixels that is a whole number of cells of every feature."""
    strides = [Fraction(spec.stride) for spec in specs]
    return math.lcm(*(s.numerator for s in strides)) // math.gcd(*(s.denominator for s in strides))
