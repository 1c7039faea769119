"""Time series through any image backbone: each time step by itself, then one feature out of those of all steps."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from geocompose.errors import UserError, at_least, choices
from geocompose.features import FeatureSpec
from geocompose.probing import backbone_specs, input_channels

log = logging.getLogger("geocompose")

POOLINGS = ("mean", "max", "diff", "concat")
# What other parts ask a backbone for, handed on from the one inside.
HANDED_ON = (
    *("bands", "patch_size", "img_size", "fixed_size", "maps_by_default"),
    *("coords_encoding", "weights", "pretraining_statistics"),
)
_PREFIX = "temporal_"
_NAMES = ("pooling", "n_timestamps", "subset_lengths", "features_permute_op", "concat")


class TemporalBackbone(nn.Module):
    """Takes (B, C, T, H, W), runs the backbone on each of the T images, and pools each feature over time.

    Features keep the backbone's layout; with `concat` their channels are those of all time steps, the first step's first.
    Coordinates go along: each date with its own image, the place with all.
    """

    def __init__(
        self,
        encoder: nn.Module,
        pooling: Literal["mean", "max", "diff", "concat"] = "mean",
        n_timestamps: int | None = None,
        subset_lengths: list[int] | None = None,
        features_permute_op: list[int] | None = None,
    ) -> None:
        """Take the image backbone.

        pooling: `mean` or `max` over time, `diff` (the first of two minus the second), or `concat` of channels.
        n_timestamps: the number of time steps T; needed for `concat` without subsets. Where it is not given, and no
            subsets are, `mean` and `max` take any number.
        subset_lengths: lengths of consecutive groups of time steps, together T; each group is averaged, then pooled.
        features_permute_op: changes nothing; where a feature's channels are is known here from the backbone.

        Raises:
            UserError: a pooling or a number of time steps can't be, or the backbone itself takes several frames.
        """
        super().__init__()
        if pooling not in POOLINGS:
            hint = (
                " keep would hand the time steps on apart, which no neck or decoder reads." if pooling == "keep" else ""
            )
            raise UserError(f"backbone.temporal_pooling has no {pooling!r}.{hint} {choices(pooling, POOLINGS)}")
        if getattr(encoder, "num_frames", 1) != 1:
            raise UserError(
                f"The backbone takes {encoder.num_frames} frames at once; with use_temporal it is given one at a time. Write "
                "backbone.num_frames=1, or leave use_temporal out."
            )
        if features_permute_op is not None:
            _check_permutation(features_permute_op)
        self.encoder = encoder
        self.pooling = pooling
        self.subset_lengths = _lengths(subset_lengths)
        self.n_timestamps = self._steps(n_timestamps)
        self.num_frames = self.n_timestamps or 1
        self.in_chans = input_channels(encoder)
        for name in HANDED_ON:
            if hasattr(encoder, name):
                setattr(self, name, getattr(encoder, name))
        # A backbone that declares its features is asked anew each time, since a selection of layers changes them.
        self._probed = None if hasattr(encoder, "feature_specs") else backbone_specs(encoder, self._size())

    def _steps(self, n_timestamps: int | None) -> int | None:
        """Return the number of time steps, or None where any will do."""
        if n_timestamps is not None:
            at_least("backbone.temporal_n_timestamps", n_timestamps, 1)
        total = sum(self.subset_lengths) if self.subset_lengths else n_timestamps
        if n_timestamps not in (None, total):
            raise UserError(
                f"backbone.temporal_subset_lengths={self.subset_lengths} are {total} time steps together, but "
                f"temporal_n_timestamps={n_timestamps}. Let them agree, or leave the latter out."
            )
        if self.pooling == "diff":
            pooled = len(self.subset_lengths) if self.subset_lengths else total
            if pooled not in (None, 2):
                raise UserError(
                    f"backbone.temporal_pooling=diff takes two time steps, or two subsets of them; got {pooled}. Give two "
                    "lengths as backbone.temporal_subset_lengths, such as [1, 2]."
                )
            return total or 2
        if self.pooling == "concat" and total is None:
            raise UserError(
                "backbone.temporal_pooling=concat makes features as many times as wide as there are time steps: give their "
                "number as backbone.temporal_n_timestamps."
            )
        return total

    def _size(self) -> tuple[int, int]:
        size = getattr(self.encoder, "img_size", None) or 224
        return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))

    @property
    def _inner_specs(self) -> list[FeatureSpec]:
        return list(self.encoder.feature_specs) if self._probed is None else self._probed  # type: ignore[arg-type]

    @property
    def feature_specs(self) -> list[FeatureSpec]:
        """The pooled features."""
        times = 1
        if self.pooling == "concat":
            times = len(self.subset_lengths) if self.subset_lengths else self.num_frames
        return [replace(spec, channels=spec.channels * times) for spec in self._inner_specs]

    @property
    def out_channels(self) -> list[int]:
        """The width of each pooled feature."""
        return [spec.channels for spec in self.feature_specs]

    @property
    def out_indices(self) -> list[int]:
        """The layers that the backbone returns, where it can say so."""
        return self.encoder.out_indices  # type: ignore[return-value]

    @property
    def select_layers(self) -> Callable[[Sequence[int]], None]:
        """The backbone's own way of returning only some layers, where it has one."""
        return self.encoder.select_layers  # type: ignore[return-value]

    def forward(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> list[Tensor]:
        """Return the backbone's features of an image (B, C, T, H, W), pooled over time.

        An image (B, C, H, W) is one time step. temporal_coords: (B, T, 2), year and day of year. location_coords: (B, 2).

        Raises:
            UserError: another number of time steps than declared, or coordinates that the backbone doesn't take.
        """
        if image.ndim == 4:
            image = image.unsqueeze(2)
        if image.ndim != 5:
            raise UserError(f"A time series is (B, bands, time steps, rows, columns); got {tuple(image.shape)}.")
        batch, steps = image.shape[0], image.shape[2]
        if self.n_timestamps not in (None, steps):
            raise UserError(
                f"This backbone was built for {self.n_timestamps} time steps (temporal_n_timestamps, temporal_subset_lengths "
                f"or pooling diff); the image has {steps}."
            )
        coordinates = self._coordinates(batch, steps, temporal_coords, location_coords)
        features = self.encoder(image.transpose(1, 2).flatten(0, 1), **coordinates)
        return [
            self._pool(feature.unflatten(0, (batch, steps)), spec)
            for feature, spec in zip(features, self._inner_specs, strict=True)
        ]

    def _coordinates(
        self, batch: int, steps: int, temporal_coords: Tensor | None, location_coords: Tensor | None
    ) -> dict[str, Tensor]:
        given: dict[str, Tensor] = {}
        if temporal_coords is not None:
            if temporal_coords.shape != (batch, steps, 2):
                raise UserError(
                    f"temporal_coords are ({batch}, {steps}, 2) for {steps} time steps; got {tuple(temporal_coords.shape)}."
                )
            given["temporal_coords"] = temporal_coords.flatten(0, 1).unsqueeze(1)
        if location_coords is not None:
            given["location_coords"] = location_coords.repeat_interleave(steps, dim=0)
        if given and not hasattr(self.encoder, "coords_encoding"):
            raise UserError(
                f"{' and '.join(given)} are given, but {type(self.encoder).__name__} takes no coordinates; leave them out."
            )
        return given

    def _pool(self, feature: Tensor, spec: FeatureSpec) -> Tensor:
        """Return one feature out of (B, T, ...), whose channels are where the spec's layout has them."""
        if self.subset_lengths:
            groups = feature.split(self.subset_lengths, dim=1)
            feature = torch.stack([group.mean(dim=1) for group in groups], dim=1)
        if self.pooling == "mean":
            return feature.mean(dim=1)
        if self.pooling == "max":
            return feature.amax(dim=1)
        if self.pooling == "diff":
            return feature[:, 0] - feature[:, 1]
        return torch.cat(feature.unbind(1), dim=1 if spec.layout == "NCHW" else -1)


def split_temporal(backbone_kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the arguments of the image backbone, and those of `TemporalBackbone` or None without `use_temporal`.

    backbone_kwargs: arguments without the prefix `backbone_`; `use_temporal` and `temporal_*` are taken out of them.

    Raises:
        UserError: an unknown `temporal_` name, `temporal_` arguments without use_temporal=true, or `temporal_concat`.
    """
    inner = {key: value for key, value in backbone_kwargs.items() if not _is_temporal(key)}
    temporal = {
        key.removeprefix(_PREFIX): value
        for key, value in backbone_kwargs.items()
        if key.startswith(_PREFIX) and value is not None
    }
    for name in temporal:
        if name not in _NAMES:
            allowed = [f"backbone_{_PREFIX}{known}" for known in _NAMES[:-1]]
            raise UserError(
                f"There is no argument backbone_{_PREFIX}{name}. {choices(f'backbone_{_PREFIX}{name}', allowed)}"
            )
    use = backbone_kwargs.get("use_temporal")
    if use not in (None, False, True):
        raise UserError(f"backbone_use_temporal is true or false; got {use!r}.")
    if temporal.pop("concat", False):
        raise UserError("backbone_temporal_concat is out of use; write backbone_temporal_pooling='concat'.")
    if not use:
        for name in temporal:
            raise UserError(
                f"backbone_{_PREFIX}{name} counts only with backbone_use_temporal=true; write that, or leave it out."
            )
        return inner, None
    return inner, temporal


def _is_temporal(key: str) -> bool:
    return key == "use_temporal" or key.startswith(_PREFIX)


def _lengths(subset_lengths: Sequence[int] | None) -> list[int] | None:
    if subset_lengths is None:
        return None
    lengths = list(subset_lengths)
    if not lengths or min(lengths) < 1:
        raise UserError(
            f"backbone.temporal_subset_lengths are numbers of time steps, each 1 or more, such as [2, 3]; got {lengths}."
        )
    return lengths


def _check_permutation(order: Sequence[int]) -> None:
    if sorted(order) != list(range(len(order))):
        raise UserError(
            f"backbone.temporal_features_permute_op names each dimension once, such as [0, 3, 1, 2]; got {list(order)}."
        )
    log.info("backbone.temporal_features_permute_op changes nothing: where channels are is known from the backbone.")
