"""From an image of any size to a sample of `tile_px` x `tile_px`: in training, and in the same way afterwards."""

from typing import Literal

import numpy as np

from geocompose.data.window import Window
from geocompose.errors import UserError

Fit = Literal["refuse", "crop", "resize"]


def fitted_window(height: int, width: int, tile_px: int, fit: Fit, name: str) -> Window:
    """Return which window of an image of this size is read for its sample.

    fit: for images with a side longer than `tile_px`: `crop` is the centre, at most `tile_px` long at each side;
        `resize` is the whole image, which `fitted_image` then shrinks; `refuse` stops. Smaller images are read whole.
    name: the image's name in errors.

    Raises:
        UserError: the image is larger than a sample under `refuse`.
    """
    if fit == "crop":
        rows, columns = min(height, tile_px), min(width, tile_px)
        return Window((height - rows) // 2, (width - columns) // 2, rows, columns)
    if fit == "refuse" and max(height, width) > tile_px:
        raise UserError(
            f"{name} has {height} x {width} pixels (rows x columns), more than data.tile_px={tile_px}. Set "
            "data.tile_px to the largest size, or say with data.fit=crop or data.fit=resize what becomes of larger "
            "images."
        )
    return Window(0, 0, height, width)


def fitted_image(image: np.ndarray, tile_px: int) -> np.ndarray:
    """Return a normalised image (bands, ..., height, width) as a sample (bands, ..., tile_px, tile_px), float32.

    An image with a side longer than `tile_px` is shrunk until that side fits, its shape kept (bilinear, antialiased);
    what is then missing below and at the right is 0, the mean.
    """
    *leading, height, width = image.shape
    longest = max(height, width)
    if longest > tile_px:
        import torch  # what is checked before torch is loaded never shrinks

        size = (max(1, round(height * tile_px / longest)), max(1, round(width * tile_px / longest)))
        batch = torch.from_numpy(np.ascontiguousarray(image)).reshape(1, -1, height, width)
        shrunk = torch.nn.functional.interpolate(batch, size=size, mode="bilinear", antialias=True)
        image = shrunk.numpy().reshape(*leading, *size)
        height, width = size
    if height < tile_px or width < tile_px:
        image = np.pad(image, (*[(0, 0)] * len(leading), (0, tile_px - height), (0, tile_px - width)))
    return image
