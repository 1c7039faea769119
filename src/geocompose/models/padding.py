"""Padding an image to the multiple that a model needs, and cropping its output back."""

from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional as F

PaddingMode = Literal["reflect", "replicate", "constant", "circular"]
PADDING_MODES: tuple[str, ...] = get_args(PaddingMode)


def pad_to_multiple(image: Tensor, multiple: int, padding: PaddingMode = "reflect") -> Tensor:
    """Return (..., H', W') with H' and W' the next multiples; split evenly, the odd pixel right and below.

    padding: `reflect` mirrors without repeating the border pixel, and `circular` goes on at the other side, where the
    image is large enough; else, and with `replicate`, the border is repeated. `constant` is 0.
    """
    for dim in (-1, -2):
        size = image.shape[dim]
        missing = -size % multiple
        if not missing:
            continue
        before, after = missing // 2, missing - missing // 2
        too_small = (padding == "reflect" and after >= size) or (padding == "circular" and after > size)
        image = _pad(image, dim, before, after, "replicate" if too_small else padding)
    return image


def _pad(image: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    spatial = [before, after, 0, 0] if dim == -1 else [0, 0, before, after]
    return F.pad(image, spatial + [0, 0] * (image.ndim - 4), mode=mode)


def crop_centre(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the part (..., H, W) of a padded map that the image of `size` occupied."""
    rows, columns = size
    top, left = (maps.shape[-2] - rows) // 2, (maps.shape[-1] - columns) // 2
    return maps[..., top : top + rows, left : left + columns]
