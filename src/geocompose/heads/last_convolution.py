"""The convolution from a decoder's width to the outputs, with which heads of pixels end."""

from torch import nn

from geocompose.arguments import whole_number
from geocompose.errors import UserError


def last_convolution(width: int, num_outputs: int, kernel_size: int | None) -> nn.Conv2d:
    """Return a convolution that keeps rows and columns. kernel_size: odd; 1 where null.

    Raises:
        UserError: the size is even, or below 1.
    """
    size = 1 if kernel_size is None else whole_number("head.kernel_size", kernel_size, 1)
    if size % 2 == 0:
        raise UserError(f"head.kernel_size must be odd, such as 1 or 3, so that the map keeps its size; got {size}.")
    return nn.Conv2d(width, num_outputs, size, padding=size // 2)
