"""Changing how a feature is laid out in memory: tokens to maps, channels last to channels first."""

import math

from torch import Tensor

from geocompose.errors import UserError
from geocompose.necks.base import Neck
from geocompose.registry import NECK_REGISTRY


@NECK_REGISTRY.register
class ReshapeTokensToImage(Neck):
    """Tokens (B, prefix + T * h * w, C) become maps (B, T * C, h, w), frames before channels.

    The rows and columns follow from the image's size, so that a wide image stays wide.
    """

    def __init__(
        self,
        channel_list: list[int],
        remove_cls_token: bool = True,
        effective_time_dim: int = 1,
        h: int | None = None,
        num_prefix_tokens: int | None = None,
    ) -> None:
        """Take the incoming widths and the token layout.

        remove_cls_token: whether one class token stands first. num_prefix_tokens: class and register tokens, where there
        are more than one. effective_time_dim: frames that the tokens hold apart. h: rows of the grid, where no image
        size is known.
        """
        super().__init__(channel_list)
        if effective_time_dim < 1:
            raise UserError(
                f"ReshapeTokensToImage: effective_time_dim is a number of frames, 1 or more; got {effective_time_dim}."
            )
        self.num_prefix_tokens = int(remove_cls_token) if num_prefix_tokens is None else num_prefix_tokens
        self.effective_time_dim = effective_time_dim
        self.h = h

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths times the frames."""
        return [width * self.effective_time_dim for width in channel_list]

    def forward(self, features: list[Tensor], image_size: tuple[int, int] | None = None) -> list[Tensor]:
        """Return the maps of token features.

        Raises:
            UserError: a feature is no token sequence, or its tokens don't form the grid of this image.
        """
        return [self._reshape(feature, image_size) for feature in features]

    def _reshape(self, tokens_bnd: Tensor, image_size: tuple[int, int] | None) -> Tensor:
        if tokens_bnd.ndim != 3:
            raise UserError(
                f"ReshapeTokensToImage takes tokens (batch, tokens, channels), got a feature of shape {tuple(tokens_bnd.shape)}; "
                "features that are maps already need no such neck."
            )
        patches = tokens_bnd[:, self.num_prefix_tokens :]
        batch, count, width = patches.shape
        rows, columns = self._grid(count, image_size)
        maps = patches.reshape(batch, self.effective_time_dim, rows, columns, width)
        return maps.permute(0, 1, 4, 2, 3).reshape(batch, self.effective_time_dim * width, rows, columns)

    def _grid(self, count: int, image_size: tuple[int, int] | None) -> tuple[int, int]:
        a_frame, rest = divmod(count, self.effective_time_dim)
        if self.h is not None:
            rows = self.h
        elif image_size is not None:
            rows = round(math.sqrt(a_frame * image_size[0] / image_size[1]))
        else:
            rows = math.isqrt(a_frame)
        columns = a_frame // rows if rows else 0
        square = image_size is None or rows * image_size[1] == columns * image_size[0] or self.h is not None
        if rest or not rows or rows * columns != a_frame or not square:
            of = f"an image of {image_size[0]} x {image_size[1]} pixels" if image_size else "a square image"
            raise UserError(
                f"ReshapeTokensToImage: {count} tokens in {self.effective_time_dim} frame(s) form no grid of {of}. "
                f"Check effective_time_dim (the backbone's frames) and the prefix tokens (now {self.num_prefix_tokens}), or give h."
            )
        return rows, columns


@NECK_REGISTRY.register
class PermuteDims(Neck):
    """Reorders the dimensions of every feature; `[0, 3, 1, 2]` turns channels-last maps into channels-first ones."""

    def __init__(self, channel_list: list[int], new_order: list[int]) -> None:
        """Take the incoming widths and the new order of dimensions.

        Raises:
            UserError: `new_order` is no permutation.
        """
        super().__init__(channel_list)
        if sorted(new_order) != list(range(len(new_order))):
            raise UserError(
                f"PermuteDims: new_order names each dimension once, such as [0, 3, 1, 2]; got {list(new_order)}."
            )
        self.new_order = list(new_order)

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths as they are."""
        return list(channel_list)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the features with their dimensions reordered."""
        return [feature.permute(*self.new_order).contiguous() for feature in features]
