"""One feature out of those of several time steps: mean, maximum, difference, side by side, or learned attention."""

import math

import torch
from torch import Tensor, nn

from geocompose.backbones.prithvi.encodings import sine_cosine
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError, at_least

POOLINGS = ("mean", "max", "diff", "concat", "attention")
MOST_HEADS = 16  # of the attention, as in the paper
KEY_CHANNELS = 8


def group_means(values: Tensor, lengths: list[int], shown: Tensor | None = None) -> Tensor:
    """Return (B, groups, ...): the means of consecutive time steps of (B, T, ...), so many in each group.

    shown: bool (B, T), which time steps count; of a group of none the mean is 0. None: all do.
    """
    if shown is not None:
        groups = zip(values.split(lengths, dim=1), shown.split(lengths, dim=1), strict=True)
        return torch.stack([_masked_mean(group, there) for group, there in groups], dim=1)
    return torch.stack([group.mean(dim=1) for group in values.split(lengths, dim=1)], dim=1)


def groups_shown(shown: Tensor, lengths: list[int]) -> Tensor:
    """Return (B, groups): which groups have a time step that counts, of (B, T)."""
    return torch.stack([group.any(dim=1) for group in shown.split(lengths, dim=1)], dim=1)


def _masked_mean(series: Tensor, shown: Tensor) -> Tensor:
    there = _like(shown, series)
    return series.masked_fill(~there, 0).sum(dim=1) / there.sum(dim=1).clamp(min=1).to(series.dtype)


def _like(shown: Tensor, series: Tensor) -> Tensor:
    """Return (B, T) with a dimension of one for each further one of (B, T, ...)."""
    return shown.reshape(*shown.shape, *[1] * (series.ndim - 2))


def pool(series: Tensor, pooling: str, spec: FeatureSpec, shown: Tensor | None = None) -> Tensor:
    """Return one feature out of (B, T, ...) by a pooling without weights; `spec` is that of a single time step.

    shown: bool (B, T), which time steps count, one or more of each sample; for `mean` and `max`. None: all do.
    """
    if pooling == "mean":
        return series.mean(dim=1) if shown is None else _masked_mean(series, shown)
    if pooling == "max":
        if shown is not None:
            series = series.masked_fill(~_like(shown, series), -torch.inf)
        return series.amax(dim=1)
    assert shown is None, pooling
    if pooling == "diff":
        return series[:, 0] - series[:, 1]
    assert pooling == "concat"
    return torch.cat(series.unbind(1), dim=1 if spec.layout in ("NCHW", "vector") else -1)


def days(temporal_coords: Tensor) -> Tensor:
    """Return (B, T), float32: days since the start of each series' first known year; NaN where a date is not known.

    temporal_coords: (B, T, 2), year and day of the year from 0.
    """
    year, day = temporal_coords.float().unbind(-1)
    known = year.isfinite() & day.isfinite()
    first = torch.where(known, year, torch.inf).amin(dim=1, keepdim=True)
    return torch.where(known, 365.25 * (year - torch.where(known, first, 0)) + day, torch.nan)


class TemporalAttention(nn.Module):
    """Weighs the time steps of each pixel or token against one another, and returns their weighted mean.

    Channels are in groups of neighbours, the heads; a head has one learned query, and weights of its own:
    softmax over time of query * key, where a key is a linear map of the normalised feature and of its date's encoding.
    This is the attention of the Lightweight Temporal Attention Encoder with the maps at all places at once, as in
    U-TAE. Unlike there, values are the features themselves, without an MLP after: what comes out is between what went
    in, in the same channels, and every level of a backbone has an attention of its own.

    Source: L-TAE (arXiv 2007.00586), U-TAE (arXiv 2107.07933).
    """

    def __init__(self, channels: int, num_heads: int | None = None, key_channels: int = KEY_CHANNELS) -> None:
        """Take the feature's width.

        num_heads: groups of channels; the most up to 16 that divide the width where null. key_channels: of a key, even.

        Raises:
            UserError: heads don't divide the width, or a key can't be so wide.
        """
        super().__init__()
        at_least("temporal.key_channels", key_channels, 2)
        if key_channels % 2:
            raise UserError(
                f"temporal.key_channels must be even, half sines and half cosines of the date; got {key_channels}."
            )
        if num_heads is None:
            num_heads = max(heads for heads in range(1, MOST_HEADS + 1) if channels % heads == 0)
        at_least("temporal.num_heads", num_heads, 1)
        if channels % num_heads:
            raise UserError(
                f"temporal.num_heads={num_heads} are groups of channels, but a feature is {channels} wide. Write a "
                "divisor of that, or null, for which each feature has the most up to 16 that divide it."
            )
        self.num_heads, self.key_channels = num_heads, key_channels
        self.norm = nn.LayerNorm(channels)
        self.keys = nn.Linear(channels, num_heads * key_channels)
        self.date_keys = nn.Linear(key_channels, num_heads * key_channels, bias=False)
        self.queries = nn.Parameter(torch.empty(num_heads, key_channels))
        for weights in (self.queries, self.keys.weight):
            nn.init.normal_(weights, std=math.sqrt(2 / key_channels))
        nn.init.normal_(self.keys.weight, std=math.sqrt(2 / (channels + key_channels)))

    def forward(self, series: Tensor, position: Tensor | None = None, shown: Tensor | None = None) -> Tensor:
        """Return (B, ..., channels) for a series (B, T, ..., channels).

        position: (B, T), the days of the time steps; a step where it is NaN, and all where it is None, are told apart
        by what they show alone. shown: bool (B, T), which time steps count, one or more of each sample; None: all do.
        """
        keys = self.keys(self.norm(series)).unflatten(-1, (self.num_heads, self.key_channels))
        if position is not None:
            known = position.isfinite()
            dates = sine_cosine(torch.where(known, position, 0), self.key_channels)
            added = torch.where(known.unsqueeze(-1), self.date_keys(dates), 0).to(keys.dtype)
            between = [1] * (series.ndim - 3)  # the places, on all of which the date is the same
            keys = keys + added.reshape(*position.shape, *between, self.num_heads, self.key_channels)
        scores = (keys * self.queries.to(keys.dtype)).sum(dim=-1, keepdim=True) / math.sqrt(self.key_channels)
        if shown is not None:
            scores = scores.masked_fill(~_like(shown, scores), -torch.inf)
        weights = scores.float().softmax(dim=1).to(series.dtype)
        return (weights * series.unflatten(-1, (self.num_heads, -1))).sum(dim=1).flatten(-2)
