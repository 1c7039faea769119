"""Pyramids out of maps that all have one resolution, and the level that some decoders expect before the finest."""

from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.errors import UserError
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY


@NECK_REGISTRY.register
class LearnedInterpolateToPyramidal(Neck):
    """Four maps of one resolution become a pyramid: x4, x2, x1 and x1/2, the first two by transposed convolutions.

    Source: ViTDet's simple feature pyramid (arXiv 2203.16527), in the form TerraTorch's users have weights for.
    """

    def __init__(self, channel_list: list[int]) -> None:
        """Take the incoming widths, four.

        Raises:
            UserError: there are not four features, or their widths can't be halved.
        """
        super().__init__(channel_list)
        if len(channel_list) != 4:
            raise UserError(
                f"LearnedInterpolateToPyramidal makes a pyramid of 4 levels from 4 features; got {len(channel_list)}. "
                "Select four layers before it, such as {name: SelectIndices, indices: [2, 5, 8, 11]}."
            )
        first, second = channel_list[:2]
        if first % 4 or second % 2:
            raise UserError(
                f"LearnedInterpolateToPyramidal: the first width must be a multiple of 4, the second of 2; got {channel_list}."
            )
        self.fpn1 = nn.Sequential(
            nn.ConvTranspose2d(first, first // 2, 2, 2),
            nn.BatchNorm2d(first // 2),
            nn.GELU(),
            nn.ConvTranspose2d(first // 2, first // 4, 2, 2),
        )
        self.fpn2 = nn.Sequential(nn.ConvTranspose2d(second, second // 2, 2, 2))
        self.fpn3 = nn.Identity()
        self.fpn4 = nn.MaxPool2d(kernel_size=2, stride=2)

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return a quarter and a half of the first two widths, and the others."""
        return [channel_list[0] // 4, channel_list[1] // 2, channel_list[2], channel_list[3]]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first."""
        levels = (self.fpn1, self.fpn2, self.fpn3, self.fpn4)
        return [level(feature) for level, feature in zip(levels, features, strict=True)]


@NECK_REGISTRY.register
class InterpolateToPyramidal(Neck):
    """n maps of one resolution become a pyramid by plain interpolation: factors 2^n, ..., 4, 2 for a `scale_factor` of 2."""

    def __init__(self, channel_list: list[int], scale_factor: int = 2, mode: str = "nearest") -> None:
        """Take the incoming widths, the factor between levels and the interpolation.

        mode: `nearest`, `bilinear` or `bicubic`.
        """
        super().__init__(channel_list)
        if scale_factor < 2:
            raise UserError(f"InterpolateToPyramidal: scale_factor is a whole number from 2 on; got {scale_factor}.")
        if mode not in ("nearest", "bilinear", "bicubic"):
            raise UserError(f"InterpolateToPyramidal: mode is nearest, bilinear or bicubic; got {mode!r}.")
        self.scale_factor = scale_factor
        self.mode = mode

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths as they are."""
        return list(channel_list)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first."""
        exponents = range(len(features), 0, -1)
        return [
            F.interpolate(feature, scale_factor=float(self.scale_factor**exponent), mode=self.mode)
            for feature, exponent in zip(features, exponents, strict=True)
        ]


@NECK_REGISTRY.register
class AddInputLevel(Neck):
    """Puts a level of the input's resolution first, for smp decoders, which skip it and only read its size.

    It is one constant channel that takes no memory.
    """

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths with that of the new level first."""
        return [1, *channel_list]

    def forward(self, features: list[Tensor], image_size: tuple[int, int]) -> list[Tensor]:  # type: ignore[override]
        """Return the features with the new level (B, 1, rows, columns) first."""
        first = features[0]
        return [first.new_zeros(1).expand(first.shape[0], 1, *image_size), *features]
