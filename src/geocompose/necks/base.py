"""The contract of a neck, and the sequence of necks in a model."""

import inspect
from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor, nn

from geocompose.errors import UserError


class Neck(nn.Module):
    """Changes a list of features; says beforehand how it changes their widths.

    A subclass takes the incoming widths first, then its own arguments, and defines `process_channel_list` and
    `forward`. A `forward` that has an argument `image_size` is given the (padded) image's (rows, columns).

    reads_maps: whether it reads maps alone. keeps_tokens: whether tokens that it gets leave it as tokens.
    """

    reads_maps: ClassVar[bool] = False
    keeps_tokens: ClassVar[bool] = False

    def __init__(self, channel_list: list[int]) -> None:
        """Keep the widths of the incoming features."""
        super().__init__()
        self.channel_list = list(channel_list)

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        """Return the widths of the outgoing features, given those of the incoming ones."""
        raise NotImplementedError(f"{type(self).__name__} has to say how it changes the widths: process_channel_list.")

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the changed features; the list that was passed is left as it was."""
        raise NotImplementedError(f"{type(self).__name__} has no forward.")


class NeckSequence(nn.Sequential):
    """Necks in their order, the model's `neck`; an empty one hands the features on.

    Features go through as they are, without copies, and an error of a neck comes through as it is.
    """

    def __init__(self, necks: Iterable[nn.Module] = ()) -> None:
        super().__init__(*necks)
        self._wants_size = ["image_size" in inspect.signature(neck.forward).parameters for neck in self]

    @property
    def in_backbone(self) -> bool:
        """Whether the backbone already does what the first neck asks for."""
        return len(self) > 0 and bool(getattr(self[0], "in_backbone", False))

    def forward(self, features: list[Tensor], image_size: tuple[int, int]) -> list[Tensor]:  # type: ignore[override]
        """Return the features after the last neck; `image_size` is the padded image's (rows, columns).

        Raises:
            UserError: a neck returns something else than a list.
        """
        for neck, wants_size in zip(self, self._wants_size, strict=True):
            features = neck(features, image_size=image_size) if wants_size else neck(features)
            if not isinstance(features, list | tuple):
                raise UserError(
                    f"The neck {type(neck).__name__} returns {type(features).__name__}; a neck returns a list of "
                    "tensors."
                )
        return features
