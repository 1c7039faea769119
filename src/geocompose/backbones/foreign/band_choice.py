"""Which filters of pretrained weights belong to which band of a model: matched by the bands' names."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from geocompose.errors import UserError, counted
from geocompose.imagery.bands import canonical
from geocompose.imagery.numbered_bands import WITHOUT_MEANING, is_numbered

log = logging.getLogger("geocompose")


class BandChoice:
    """Takes from pretrained weights what belongs to the model's bands, by their names."""

    def __init__(self, bands: Sequence[str], pretrained_bands: Sequence[str], allow_random: bool) -> None:
        """Match the bands.

        Raises:
            UserError: a band has no pretrained weights, and there is no consent.
        """
        self.pretrained_bands = list(pretrained_bands)
        place = {canonical(name): index for index, name in enumerate(pretrained_bands)}
        self.places = [place.get(canonical(name)) for name in bands]
        self.random = [name for name, found in zip(bands, self.places, strict=True) if found is None]
        if self.random and not allow_random:
            numbered = any(map(is_numbered, self.random))
            leave_out = f"{WITHOUT_MEANING}, start from random weights" if numbered else "Leave these bands out"
            raise UserError(
                f"The pretrained weights have no band {', '.join(self.random)}; they have "
                f"{', '.join(pretrained_bands)}. {leave_out}, or let them start randomly: "
                "backbone.allow_random_bands=true."
            )

    @property
    def is_the_same(self) -> bool:
        """Whether the model's bands are those of the weights, in their order."""
        return self.places == list(range(len(self.pretrained_bands)))

    def of_input(self, pretrained: Tensor, own: Tensor) -> Tensor:
        """Return the patch embedding's weights (embed_dim, bands, frames, rows, columns) for the model's bands."""
        self._check_count(pretrained.shape[1])
        if pretrained.shape[0] != own.shape[0] or pretrained.shape[2:] != own.shape[2:]:
            return pretrained  # reported with all other wrong shapes
        return self._chosen(pretrained, own, dim=1)

    def of_output(self, pretrained: Tensor, own: Tensor) -> Tensor:
        """Return the predictor's weights or biases for the model's bands.

        Their first dimension is a patch's pixels times the bands, and bands run fastest along it.
        """
        pixels, count = own.shape[0] // len(self.places), len(self.pretrained_bands)
        if pretrained.shape[0] != pixels * count or pretrained.shape[1:] != own.shape[1:]:
            return pretrained
        split = [tensor.unflatten(0, (pixels, -1)) for tensor in (pretrained, own)]
        return self._chosen(*split, dim=1).flatten(0, 1)

    def _chosen(self, pretrained: Tensor, own: Tensor, *, dim: int) -> Tensor:
        pairs = enumerate(self.places)
        slices = [own.select(dim, to) if at is None else pretrained.select(dim, at) for to, at in pairs]
        return torch.stack(slices, dim=dim)

    def _check_count(self, count: int) -> None:
        if count != len(self.pretrained_bands):
            raise UserError(
                f"The weights have {counted(count, 'input band')}, but pretrained_bands names "
                f"{len(self.pretrained_bands)}: {', '.join(self.pretrained_bands)}. Name the bands that the weights "
                "have seen, in their order: 'backbone.pretrained_bands=[BLUE,GREEN,...]'."
            )

    def announce(self) -> None:
        """Say which bands start randomly."""
        if self.random:
            log.warning("No pretrained weights for %s: these bands start randomly, as allowed.", ", ".join(self.random))
