"""Pyramids out of maps that all have one resolution."""

from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.arguments import whole_number, whole_numbers
from geocompose.errors import UserError, choices
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY

MODES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")


@NECK_REGISTRY.register
class LearnedInterpolateToPyramidal(Neck):
    """n maps of one resolution become a pyramid: 2^(n-2) times as fine, ..., x2, x1, x1/2; x4, x2, x1, x1/2 for four.

    A transposed convolution doubles a map and halves its width; between two of them stand batch norm and GELU. The last
    map is max-pooled. A single map stays as it is. Source: ViTDet's simple feature pyramid (arXiv 2203.16527), with
    four levels in the form that TerraTorch's users have weights for.
    """

    reads_maps = True

    def __init__(self, channel_list: list[int], exponents: list[int] | None = None) -> None:
        """Take the incoming widths, one per level.

        exponents: each map is enlarged 2^exponent times; below 0 it is max-pooled, at 0 it stays. One per map; null:
            n-2, ..., 1, 0, -1.

        Raises:
            UserError: a width can't be halved as often as its map is doubled, or there is not one exponent per map.
        """
        super().__init__(channel_list)
        count = len(channel_list)
        self.of_one_scale = exponents is None
        self.exponents = _one_each("LearnedInterpolateToPyramidal", exponents, count)
        if exponents is None:
            # n-2, ..., 0, -1: the last map alone is coarser than what comes, as in ViTDet (x4, x2, x1, x1/2).
            self.exponents = list(range(count - 2, -2, -1)) if count > 1 else [0] * count
        for level, (width, times) in enumerate(zip(channel_list, self.exponents, strict=True)):
            if times > 0 and width % 2**times:
                narrowed = [up_to(width, 2 ** max(0, e)) for width, e in zip(channel_list, self.exponents, strict=True)]
                raise UserError(
                    f"LearnedInterpolateToPyramidal: {count} features make a pyramid whose level {level} is enlarged "
                    f"{2**times} times and {2**times} times as narrow, so its width must be a multiple of {2**times}; "
                    f"got {list(channel_list)}. Select other or fewer layers before it, such as {{name: SelectIndices, "
                    "indices: [2, 5, 8, 11]}"
                    + (f", or project them: {{name: ProjectChannels, channels: {narrowed}}}." if count <= 6 else ".")
                )
            self.add_module(f"fpn{level + 1}", _resampled(width, times))

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths, each halved as often as its map is doubled."""
        return [width >> max(times, 0) for width, times in zip(channel_list, self.exponents, strict=True)]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first.

        Raises:
            UserError: a map has too few rows or columns to pool, or they differ where no exponents were given.
        """
        _check_scales(type(self).__name__, features, of_one_scale=self.of_one_scale)
        for feature, times in zip(features, self.exponents, strict=True):
            _check_room(type(self).__name__, feature, 2 ** max(0, -times))
        levels = [getattr(self, f"fpn{level}") for level in range(1, len(self.exponents) + 1)]
        return [level(feature) for level, feature in zip(levels, features, strict=True)]


def _resampled(width: int, times: int) -> nn.Module:
    """Return what doubles a map `times` times, or halves it so often where that is below 0."""
    if times < 1:
        return nn.Identity() if times == 0 else nn.MaxPool2d(kernel_size=2**-times, stride=2**-times)
    # A 2 x 2 kernel at stride 2 writes each output cell once: no overlap, no checkerboard. Norm and activation stand
    # between two of them and not after the last, as in the weights of TerraTorch's users.
    layers: list[nn.Module] = []
    for _ in range(times):
        if layers:
            layers += [nn.BatchNorm2d(width), nn.GELU()]
        layers.append(nn.ConvTranspose2d(width, width // 2, 2, 2))
        width //= 2
    return nn.Sequential(*layers)


@NECK_REGISTRY.register
class InterpolateToPyramidal(Neck):
    """n maps of one resolution become a pyramid by interpolation: factors 2^n, ..., 4, 2 for a `scale_factor` of 2."""

    reads_maps = True

    def __init__(
        self,
        channel_list: list[int],
        scale_factor: int = 2,
        mode: str = "nearest",
        exponents: list[int] | None = None,
    ) -> None:
        """Take the incoming widths, the factor between levels and the interpolation.

        mode: `nearest`, `nearest-exact`, `bilinear`, `bicubic` or `area`. exponents: each map is enlarged
            scale_factor^exponent times (below 0: reduced). One per map; null: n, ..., 2, 1.

        Raises:
            UserError: the factor is below 2, there is no such interpolation, or there is not one exponent per map.
        """
        super().__init__(channel_list)
        self.scale_factor = whole_number("InterpolateToPyramidal: scale_factor", scale_factor, 2)
        if mode not in MODES:
            raise UserError(f"InterpolateToPyramidal: there is no mode {mode!r}. {choices(mode, MODES)}")
        self.mode = mode
        self.of_one_scale = exponents is None
        given = _one_each("InterpolateToPyramidal", exponents, len(channel_list))
        self.exponents = list(range(len(channel_list), 0, -1)) if exponents is None else given

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths as they are."""
        return list(channel_list)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first.

        Raises:
            UserError: a map has too few rows or columns to be reduced, or they differ where no exponents were given.
        """
        _check_scales(type(self).__name__, features, of_one_scale=self.of_one_scale)
        for feature, exponent in zip(features, self.exponents, strict=True):
            _check_room(type(self).__name__, feature, self.scale_factor ** max(0, -exponent))
        return [
            F.interpolate(feature, scale_factor=float(self.scale_factor**exponent), mode=self.mode)
            if exponent
            else feature
            for feature, exponent in zip(features, self.exponents, strict=True)
        ]


@NECK_REGISTRY.register
class MaxpoolToPyramidal(Neck):
    """n maps of one resolution become a pyramid by max-pooling: factors 1, 1/2, 1/4, ... for a `kernel_size` of 2."""

    reads_maps = True

    def __init__(self, channel_list: list[int], kernel_size: int = 2, exponents: list[int] | None = None) -> None:
        """Take the incoming widths and the factor between levels.

        exponents: each map is reduced to kernel_size^exponent of its rows and columns, so that they are 0 or less. One
            per map; null: 0, -1, ..., 1-n.

        Raises:
            UserError: the factor is below 2, or there is not one exponent of 0 or less per map.
        """
        super().__init__(channel_list)
        self.kernel_size = whole_number("MaxpoolToPyramidal: kernel_size", kernel_size, 2)
        self.of_one_scale = exponents is None
        given = _one_each("MaxpoolToPyramidal", exponents, len(channel_list))
        if any(exponent > 0 for exponent in given):
            raise UserError(f"MaxpoolToPyramidal: exponents must be 0 or less, since it enlarges nothing; got {given}.")
        self.exponents = [-level for level in range(len(channel_list))] if exponents is None else given

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths as they are."""
        return list(channel_list)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first; cells that fill no whole window at the right and below are left out.

        Raises:
            UserError: a map is smaller than the window of its level, or maps differ where no exponents were given.
        """
        _check_scales(type(self).__name__, features, of_one_scale=self.of_one_scale)
        levels = []
        for feature, exponent in zip(features, self.exponents, strict=True):
            # One pooling by k^n is n poolings by k: a maximum of maxima.
            window = self.kernel_size**-exponent
            _check_room(type(self).__name__, feature, window)
            levels.append(F.max_pool2d(feature, kernel_size=window) if exponent else feature)
        return levels


def _one_each(neck: str, exponents: list[int] | None, count: int) -> list[int]:
    """Return the exponents that a user wrote as a list of plain numbers; an empty list for null.

    Raises:
        UserError: they are not a list of whole numbers, one per feature.
    """
    if exponents is None:
        return []
    given = whole_numbers(f"{neck}: exponents", exponents, example="[2, 1, 0, -1]")
    if len(given) != count:
        raise UserError(f"{neck}: exponents has one number per feature: {count} here, got {given}. Or null.")
    return given


def up_to(width: int, multiple: int) -> int:
    """Return the least multiple of `multiple` that is `width` or more."""
    return -(-width // multiple) * multiple


def _check_scales(neck: str, features: list[Tensor], *, of_one_scale: bool) -> None:
    """Refuse features of several resolutions where each becomes the next level of one."""
    grids = [tuple(feature.shape[2:]) for feature in features]
    if of_one_scale and len(set(grids)) > 1:
        raise UserError(
            f"{neck} makes a pyramid of maps of one resolution; these have {len(set(grids))}, so they are one already. "
            "Leave it out, or say by exponents how many times each is enlarged, such as exponents: [1, 0, 0, -1]."
        )


def _check_room(neck: str, feature: Tensor, window: int) -> None:
    rows, columns = feature.shape[-2:]
    if min(rows, columns) < window:
        raise UserError(
            f"{neck} pools windows of {window} x {window} cells; a map here has {rows} x {columns}. "
            "Use larger images, or fewer levels."
        )
