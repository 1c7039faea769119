"""Changing how a feature is laid out in memory: tokens to maps and back, channels last to channels first."""

import math

from torch import Tensor

from geocompose.arguments import whole_number, whole_numbers
from geocompose.contracts.shapes import map_to_tokens
from geocompose.errors import UserError, counted
from geocompose.necks.base import Neck
from geocompose.necks.select import layer_indices
from geocompose.registry import NECK_REGISTRY


@NECK_REGISTRY.register
class ReshapeTokensToImage(Neck):
    """Tokens (B, prefix + T * h * w, C) become maps (B, T * C, h, w), frames before channels.

    The rows and columns follow from the image's size, so that a wide image stays wide. Features that are maps stay as
    they are.
    """

    def __init__(
        self,
        channel_list: list[int],
        remove_cls_token: bool = True,
        effective_time_dim: int = 1,
        h: int | None = None,
        num_prefix_tokens: int | None = None,
        indices: list[int] | None = None,
    ) -> None:
        """Take the incoming widths and the token layout.

        remove_cls_token: whether one class token stands first. num_prefix_tokens: class and register tokens, where
            there are more than one; null: as `remove_cls_token` says.
        effective_time_dim: frames that the tokens hold apart (the image's frames by the tubelet).
        h: rows of the grid where the neck is called without an image's size, a square where null; in a model, rows
            follow from the image's size.
        indices: the features that are tokens of this kind, where there are others, which stay as they are; null: all.

        Raises:
            UserError: a number is out of range, or prefix tokens are both kept and counted.
        """
        super().__init__(channel_list)
        self.effective_time_dim = whole_number(
            "ReshapeTokensToImage: effective_time_dim, the frames,", effective_time_dim, 1
        )
        self.h = None if h is None else whole_number("ReshapeTokensToImage: h, the rows of the grid,", h, 1)
        self.num_prefix_tokens = int(remove_cls_token)
        if num_prefix_tokens is not None:
            self.num_prefix_tokens = whole_number("ReshapeTokensToImage: num_prefix_tokens", num_prefix_tokens, 0)
            if num_prefix_tokens and not remove_cls_token:
                raise UserError(
                    f"ReshapeTokensToImage: remove_cls_token=false says that no token stands before the grid's, "
                    f"num_prefix_tokens={num_prefix_tokens} that some do. Leave one of them out."
                )
        self.places = _places("ReshapeTokensToImage", indices, len(channel_list))

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths times the frames."""
        return [
            width * self.effective_time_dim if place in self.places else width
            for place, width in enumerate(channel_list)
        ]

    def forward(self, features: list[Tensor], image_size: tuple[int, int] | None = None) -> list[Tensor]:
        """Return the maps of token features.

        Raises:
            UserError: a feature is not a token sequence, or its tokens don't form the grid of this image.
        """
        return [
            self._reshape(feature, image_size) if place in self.places else feature
            for place, feature in enumerate(features)
        ]

    def _reshape(self, tokens_bnd: Tensor, image_size: tuple[int, int] | None) -> Tensor:
        if tokens_bnd.ndim == 4 and self.effective_time_dim == 1:
            return tokens_bnd  # a map already; lists of necks that are shared by several backbones have this neck too
        if tokens_bnd.ndim != 3:
            raise UserError(
                "ReshapeTokensToImage takes tokens (batch, tokens, channels), got a feature of shape "
                f"{tuple(tokens_bnd.shape)}; features that are maps already have no frames to put together: leave "
                "effective_time_dim=1."
            )
        patches = tokens_bnd[:, self.num_prefix_tokens :]
        batch, count, width = patches.shape
        rows, columns = self._grid(count, image_size)
        # Tokens come frame by frame, row by row; frames then go before channels: the first C channels are frame 1's.
        maps = patches.reshape(batch, self.effective_time_dim, rows, columns, width)
        return maps.permute(0, 1, 4, 2, 3).reshape(batch, self.effective_time_dim * width, rows, columns)

    def _grid(self, count: int, image_size: tuple[int, int] | None) -> tuple[int, int]:
        a_frame, rest = divmod(count, self.effective_time_dim)
        # Cells are square, so rows / columns = height / width, and rows * columns = tokens; so rows is the root of
        # tokens * height / width. The check below catches what rounding hides.
        if image_size is not None:
            rows = round(math.sqrt(a_frame * image_size[0] / image_size[1]))
        else:
            rows = self.h or math.isqrt(a_frame)
        columns = a_frame // rows if rows else 0
        # With other proportions than the image's the map would be scrambled without an error. An image of unknown size
        # is square, unless h says otherwise.
        height, width = image_size or ((1, 1) if self.h is None else (rows, columns))
        in_shape = rows * width == columns * height
        if rest or not rows or rows * columns != a_frame or not in_shape:
            of = "a square image" if self.h is None else f"{self.h} rows (h)"
            of = f"an image of {image_size[0]} x {image_size[1]} pixels" if image_size else of
            raise UserError(
                f"ReshapeTokensToImage: {count} tokens in {counted(self.effective_time_dim, 'frame')} don't form a "
                f"grid of {of}. Check effective_time_dim (the backbone's frames), the prefix tokens (now "
                f"{self.num_prefix_tokens}) and, without an image's size, h."
            )
        return rows, columns


@NECK_REGISTRY.register
class PermuteDims(Neck):
    """Reorders the dimensions of every feature; `[0, 3, 1, 2]` turns channels-last maps into channels-first ones."""

    def __init__(self, channel_list: list[int], new_order: list[int], indices: list[int] | None = None) -> None:
        """Take the incoming widths and the new order of dimensions.

        indices: the features that are reordered, where others stay as they are; null: all.

        Raises:
            UserError: `new_order` is not a permutation, or there is no such feature.
        """
        super().__init__(channel_list)
        self.places = _places("PermuteDims", indices, len(channel_list))
        self.new_order = whole_numbers("PermuteDims: new_order", new_order, example="[0, 3, 1, 2]")
        if not self.new_order or sorted(self.new_order) != list(range(len(self.new_order))):
            raise UserError(
                f"PermuteDims: new_order names each dimension once, such as [0, 3, 1, 2]; got {self.new_order}."
            )

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths as they are."""
        return list(channel_list)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the features with their dimensions reordered.

        Raises:
            UserError: a feature has another number of dimensions.
        """
        for place in self.places:
            if features[place].ndim != len(self.new_order):
                raise UserError(
                    f"PermuteDims: new_order={self.new_order} is for features of {len(self.new_order)} dimensions; got "
                    f"one of shape {tuple(features[place].shape)}."
                )
        return [
            feature.permute(*self.new_order).contiguous() if place in self.places else feature
            for place, feature in enumerate(features)
        ]


@NECK_REGISTRY.register
class FlattenMapsToTokens(Neck):
    """Maps (B, C, h, w) become tokens (B, h * w, C), row by row; tokens stay as they are."""

    keeps_tokens = True

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths as they are."""
        return list(channel_list)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the tokens of every map.

        Raises:
            UserError: a feature is neither a map nor tokens.
        """
        for feature in features:
            if feature.ndim not in (3, 4):
                raise UserError(
                    "FlattenMapsToTokens takes maps (batch, channels, rows, columns); got a feature of shape "
                    f"{tuple(feature.shape)}."
                )
        return [map_to_tokens(feature) if feature.ndim == 4 else feature for feature in features]


def _places(neck: str, indices: list[int] | None, count: int) -> list[int]:
    """Return the places of the features that a neck changes, counted from 0, for negative indices too."""
    if indices is None:
        return list(range(count))
    return [index % count for index in layer_indices(neck, indices, count)]
