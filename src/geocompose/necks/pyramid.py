"""Pyramids out of maps that all have one resolution."""

from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.arguments import whole_number
from geocompose.errors import UserError, choices
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY

MODES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")


@NECK_REGISTRY.register
class LearnedInterpolateToPyramidal(Neck):
    """n maps of one resolution become a pyramid: 2^(n-2) times as fine, ..., x2, x1, x1/2; x4, x2, x1, x1/2 for four.

    A transposed convolution doubles a map and halves its width; between two of them stand batch norm and GELU. The last
    map is max-pooled. A single map stays as it is. Source: ViTDet's simple feature pyramid (arXiv 2203.16527), with four
    levels in the form that TerraTorch's users have weights for.
    """

    def __init__(self, channel_list: list[int]) -> None:
        """Take the incoming widths, one a level.

        Raises:
            UserError: a width can't be halved as often as its map is doubled.
        """
        super().__init__(channel_list)
        count = len(channel_list)
        # How often each level is doubled; -1: halved.
        self.doublings = list(range(count - 2, -2, -1)) if count > 1 else [0] * count
        for level, (width, times) in enumerate(zip(channel_list, self.doublings, strict=True)):
            if times > 0 and width % 2**times:
                raise UserError(
                    f"LearnedInterpolateToPyramidal: {count} features make a pyramid whose level {level} is enlarged {2**times} "
                    f"times and {2**times} times as narrow, so its width must be a multiple of {2**times}; got {list(channel_list)}. "
                    "Select other or fewer layers before it, such as {name: SelectIndices, indices: [2, 5, 8, 11]}."
                )
            self.add_module(f"fpn{level + 1}", _resampled(width, times))

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths, each halved as often as its map is doubled."""
        return [width >> max(times, 0) for width, times in zip(channel_list, self.doublings, strict=True)]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first.

        Raises:
            UserError: the last map has no two rows and columns to pool.
        """
        if self.doublings[-1:] == [-1]:
            _check_room(type(self).__name__, features[-1], 2)
        levels = [getattr(self, f"fpn{level}") for level in range(1, len(self.doublings) + 1)]
        return [level(feature) for level, feature in zip(levels, features, strict=True)]


def _resampled(width: int, times: int) -> nn.Module:
    """Return what doubles a map `times` times, or halves it (-1)."""
    if times < 1:
        return nn.Identity() if times == 0 else nn.MaxPool2d(kernel_size=2, stride=2)
    layers: list[nn.Module] = []
    for _ in range(times):
        if layers:
            layers += [nn.BatchNorm2d(width), nn.GELU()]
        layers.append(nn.ConvTranspose2d(width, width // 2, 2, 2))
        width //= 2
    return nn.Sequential(*layers)


@NECK_REGISTRY.register
class InterpolateToPyramidal(Neck):
    """n maps of one resolution become a pyramid by plain interpolation: factors 2^n, ..., 4, 2 for a `scale_factor` of 2."""

    def __init__(self, channel_list: list[int], scale_factor: int = 2, mode: str = "nearest") -> None:
        """Take the incoming widths, the factor between levels and the interpolation.

        mode: `nearest`, `nearest-exact`, `bilinear`, `bicubic` or `area`.

        Raises:
            UserError: the factor is below 2, or there is no such interpolation.
        """
        super().__init__(channel_list)
        self.scale_factor = whole_number("InterpolateToPyramidal: scale_factor", scale_factor, 2)
        if mode not in MODES:
            raise UserError(f"InterpolateToPyramidal: there is no mode {mode!r}. {choices(mode, MODES)}")
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
class MaxpoolToPyramidal(Neck):
    """n maps of one resolution become a pyramid by max-pooling: factors 1, 1/2, 1/4, ... for a `kernel_size` of 2."""

    def __init__(self, channel_list: list[int], kernel_size: int = 2) -> None:
        """Take the incoming widths and the factor between levels.

        Raises:
            UserError: the factor is below 2.
        """
        super().__init__(channel_list)
        self.kernel_size = whole_number("MaxpoolToPyramidal: kernel_size", kernel_size, 2)

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths as they are."""
        return list(channel_list)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first; cells that fill no whole window at the right and below are left out.

        Raises:
            UserError: a map is smaller than the window of its level.
        """
        levels = [features[0]]
        for exponent, feature in enumerate(features[1:], start=1):
            window = self.kernel_size**exponent
            _check_room(type(self).__name__, feature, window)
            levels.append(F.max_pool2d(feature, kernel_size=window))
        return levels


def _check_room(neck: str, feature: Tensor, window: int) -> None:
    rows, columns = feature.shape[-2:]
    if min(rows, columns) < window:
        raise UserError(
            f"{neck} pools windows of {window} x {window} cells; a map here has {rows} x {columns}. "
            "Use larger images, or fewer levels."
        )
