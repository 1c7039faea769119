"""The sizes of a Prithvi encoder as they are given, and whether they fit together."""

from collections.abc import Sequence

from geocompose.backbones.prithvi.encodings import Grid
from geocompose.errors import UserError, at_least


def patch_of(patch_size: int | Sequence[int]) -> Grid:
    """Return frames, rows and columns of a patch; one number stands for rows and columns.

    Raises:
        UserError: it is not square, or not three numbers of 1 or more.
    """
    sizes = (1, patch_size, patch_size) if isinstance(patch_size, int) else tuple(patch_size)
    if len(sizes) != 3 or sizes[1] != sizes[2] or min(sizes) < 1:
        raise UserError(
            f"patch_size must be (frames, pixels, pixels) with square patches, such as [1, 16, 16]; got {list(sizes)}."
        )
    return sizes[0], sizes[1], sizes[2]


def image_of(img_size: int | Sequence[int]) -> tuple[int, int]:
    """Return rows and columns of an image in pixels; one number stands for both.

    Raises:
        UserError: it is not one number, or two, of 1 or more.
    """
    sizes = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
    if len(sizes) != 2 or min(sizes) < 1:
        raise UserError(f"img_size must be one number of pixels, or [rows, columns]; got {list(sizes)}.")
    return sizes[0], sizes[1]


def check_sizes(
    *, embed_dim: int, depth: int, num_heads: int, num_frames: int, mlp_ratio: float, patch_frames: int
) -> None:
    """Refuse sizes that no encoder can have.

    Raises:
        UserError: names the size, what it got and what is allowed.
    """
    counts = {"embed_dim": embed_dim, "depth": depth, "num_heads": num_heads, "num_frames": num_frames}
    for name, value in counts.items():
        at_least(name, value, 1)
    if int(embed_dim * mlp_ratio) < 1:
        raise UserError(f"mlp_ratio must be above 0: an MLP is so many times as wide as embed_dim; got {mlp_ratio}.")
    if embed_dim % num_heads:
        raise UserError(f"embed_dim must be a multiple of num_heads; got {embed_dim} and {num_heads}.")
    if num_frames % patch_frames:
        raise UserError(f"num_frames must be a multiple of the patch's {patch_frames} frames; got {num_frames}.")
