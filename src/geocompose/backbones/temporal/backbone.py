"""Time series through any image backbone: each time step by itself, then one feature out of those of all steps."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from geocompose.backbones.temporal.pooling import (
    KEY_CHANNELS,
    POOLINGS,
    TemporalAttention,
    days,
    group_means,
    groups_shown,
    pool,
)
from geocompose.backbones.temporal.steps import group_lengths, number_of_steps
from geocompose.contracts.backbone import BackboneContract, contract_of
from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.images import Image
from geocompose.contracts.probing import backbone_specs
from geocompose.contracts.shapes import channel_dim
from geocompose.errors import UserError, choices

log = logging.getLogger("geocompose")


class TemporalBackbone(nn.Module):
    """Takes (B, C, T, H, W), runs the backbone on each of the T images, and pools each feature over time.

    Features keep the backbone's layout; with `concat` their channels are those of all time steps, the first step's
    first. Coordinates go along: each date with its own image and, with `attention`, to the pooling; the place with all.
    What the attention has learned (`poolings`) goes on learning when the backbone is frozen. A backbone of several
    modalities takes a mapping of such images.

    masks_frames: whether time steps that are NaN throughout are passed over; set it where data has them. The backbone
        is then given the others alone.
    """

    def __init__(
        self,
        encoder: nn.Module,
        pooling: Literal["mean", "max", "diff", "concat", "attention"] = "mean",
        n_timestamps: int | None = None,
        subset_lengths: list[int] | None = None,
        features_permute_op: list[int] | None = None,
        num_heads: int | None = None,
        key_channels: int | None = None,
    ) -> None:
        """Take the image backbone.

        pooling: `mean` or `max` over time, `diff` (the first of two minus the second), `concat` of channels, or
            `attention` (`TemporalAttention`, one for each feature).
        n_timestamps: the number of time steps T; needed for `concat` without subsets. Where it is not given, and no
            subsets are, `mean`, `max` and `attention` take any number.
        subset_lengths: lengths of consecutive groups of time steps, together T; each group is averaged, then pooled.
        features_permute_op: changes nothing; where a feature's channels are is known here from the backbone.
        num_heads, key_channels: of the attention; see there.

        Raises:
            UserError: a pooling or a number of time steps can't be, or the backbone itself takes several frames.
        """
        super().__init__()
        if pooling not in POOLINGS:
            hint = (
                " keep would hand the time steps on apart, which no neck or decoder reads." if pooling == "keep" else ""
            )
            raise UserError(f"temporal.pooling has no {pooling!r}.{hint} {choices(pooling, POOLINGS)}")
        inside = contract_of(encoder)
        if inside.frames != 1:
            raise UserError(
                f"The backbone takes {inside.frames} frames at once; with temporal={pooling} (use_temporal) it is "
                "given one at a time. Write backbone.num_frames=1, or temporal=none."
            )
        if features_permute_op is not None:
            _check_permutation(features_permute_op)
        self.encoder = encoder
        self.masks_frames = False
        self.pooling = pooling
        self.subset_lengths = group_lengths(subset_lengths)
        self.n_timestamps = number_of_steps(pooling, n_timestamps, self.subset_lengths)
        self.num_frames = self.n_timestamps or 1
        self.counts_frames = True
        self.in_chans = inside.channels
        self._hand_on(inside)
        self._taken = inside.coords_encoding
        if self._taken is not None or pooling == "attention":
            times = ["time"] if pooling == "attention" else []
            self.coords_encoding = list(dict.fromkeys([*inside.coordinates, *times]))
        # A backbone that declares its features is asked anew each time, since a selection of layers changes them.
        self._probed = None if inside.feature_specs is not None else backbone_specs(encoder, inside.own_size)
        self.poolings: nn.ModuleList | None = None
        self.adapter_layer_names: tuple[str, ...] = ()
        if pooling == "attention":
            width_of_key = KEY_CHANNELS if key_channels is None else key_channels
            self.poolings = nn.ModuleList(
                TemporalAttention(spec.channels, num_heads, width_of_key) for spec in self._inner_specs
            )
            self.adapter_layer_names = ("poolings",)
        else:
            for name, value in (("num_heads", num_heads), ("key_channels", key_channels)):
                if value is not None:
                    raise UserError(
                        f"temporal.{name}={value} is of temporal=attention, not of {pooling}; leave it out."
                    )

    def _hand_on(self, inside: BackboneContract) -> None:
        """Say of itself what the backbone inside says."""
        self.bands = None if inside.bands is None else list(inside.bands)
        self.modalities = inside.modalities
        self.patch_size, self.pad_multiple = inside.patch_size, inside.pad_multiple
        self.img_size, self.fixed_size = inside.img_size, inside.fixed_size
        self.maps_by_default, self.weights = inside.maps_by_default, inside.weights
        self.random_inputs = [f"encoder.{name}" for name in inside.random_inputs]
        self.pretraining, self.published = inside.pretraining, inside.published

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
    def readers(self) -> list[tuple[nn.Module, list[str]]]:
        """Of backbones side by side, each with the bands that it reads."""
        return self.encoder.readers  # type: ignore[return-value]

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
        assert callable(self.encoder.select_layers)
        return self._select_layers

    def _select_layers(self, indices: Sequence[int]) -> None:
        before = self.out_indices
        self.encoder.select_layers(indices)  # type: ignore[operator]
        if self.poolings is not None:
            self.poolings = nn.ModuleList(self.poolings[before.index(layer)] for layer in self.out_indices)

    def forward(
        self, image: Image, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> list[Tensor]:
        """Return the backbone's features of an image (B, C, T, H, W), pooled over time.

        An image (B, C, H, W) is one time step. temporal_coords: (B, T, 2), year and day of year. location_coords: (B,
        2).

        Raises:
            UserError: another number of time steps than declared, or coordinates that the backbone doesn't take.
        """
        if isinstance(image, Tensor):
            series = _series(image)
            batch, steps = series.shape[0], series.shape[2]
            one_by_one: Image = series.transpose(1, 2).flatten(0, 1)
        else:
            several = {name: _series(one) for name, one in image.items()}
            shapes = {(one.shape[0], one.shape[2]) for one in several.values()}
            if len(shapes) != 1:
                given = ", ".join(f"{name} {tuple(one.shape)}" for name, one in several.items())
                raise UserError(f"All modalities have as many samples and time steps; got {given}.")
            batch, steps = shapes.pop()
            one_by_one = {name: one.transpose(1, 2).flatten(0, 1) for name, one in several.items()}
        if self.n_timestamps not in (None, steps):
            raise UserError(
                f"This backbone was built for {self.n_timestamps} time steps (data.num_frames, temporal.subset_lengths "
                f"or pooling diff); the image has {steps}."
            )
        coordinates = self._coordinates(batch, steps, temporal_coords, location_coords)
        gaps = self._shown(one_by_one) if self.masks_frames else None
        shown = None if gaps is None else gaps.unflatten(0, (batch, steps))
        if shown is None:
            features = self.encoder(one_by_one, **coordinates)
        else:
            # A series without any frame has no label; its frames are 0 then, so that a batch has numbers alone.
            shown = shown | ~shown.any(dim=1, keepdim=True)
            features = self._features_of(one_by_one, coordinates, shown.flatten())
        position = None if temporal_coords is None or self.poolings is None else days(temporal_coords)
        return [
            self._pool(feature.unflatten(0, (batch, steps)), spec, place, position, shown)
            for place, (feature, spec) in enumerate(zip(features, self._inner_specs, strict=True))
        ]

    @staticmethod
    def _shown(images: Image) -> Tensor | None:
        """Return which of (N, C, H, W) are not NaN, bool (N), in every modality; None where there are shapes alone."""
        several = [images] if isinstance(images, Tensor) else list(images.values())
        if several[0].is_meta:
            return None
        return torch.stack([~one.flatten(1).isnan().any(dim=1) for one in several]).all(dim=0)

    def _features_of(self, images: Image, coordinates: dict[str, Tensor], shown: Tensor) -> list[Tensor]:
        """Return the backbone's features of the images that are `shown`, bool (N), and 0 in place of the others'."""
        places = shown.nonzero().squeeze(1)

        def chosen(image: Tensor) -> Tensor:
            return image[places].nan_to_num()

        taken: Image = (
            chosen(images) if isinstance(images, Tensor) else {key: chosen(one) for key, one in images.items()}
        )
        found = self.encoder(taken, **{name: value[places] for name, value in coordinates.items()})
        return [one.new_zeros(len(shown), *one.shape[1:]).index_copy(0, places, one) for one in found]

    def _coordinates(
        self, batch: int, steps: int, temporal_coords: Tensor | None, location_coords: Tensor | None
    ) -> dict[str, Tensor]:
        """Return what of the coordinates goes to the backbone, once a time step."""
        given: dict[str, Tensor] = {}
        if temporal_coords is not None:
            if temporal_coords.shape != (batch, steps, 2):
                raise UserError(
                    f"temporal_coords must be ({batch}, {steps}, 2) for {steps} time steps; got "
                    f"{tuple(temporal_coords.shape)}."
                )
            if "time" in (self._taken or ()) or self.poolings is None:
                given["temporal_coords"] = temporal_coords.flatten(0, 1).unsqueeze(1)
        if location_coords is not None:
            given["location_coords"] = location_coords.repeat_interleave(steps, dim=0)
        if given and self._taken is None:
            raise UserError(
                f"{' and '.join(given)} are given, but {type(self.encoder).__name__} takes no coordinates; leave them "
                "out."
            )
        return given

    def _pool(
        self, series: Tensor, spec: FeatureSpec, place: int, position: Tensor | None, shown: Tensor | None
    ) -> Tensor:
        """Return one feature out of (B, T, ...), whose channels are where the spec's layout has them."""
        if self.subset_lengths:
            series = group_means(series, self.subset_lengths, shown)
            position = None if position is None else group_means(position, self.subset_lengths, shown)
            shown = None if shown is None else groups_shown(shown, self.subset_lengths)
        if self.poolings is None:
            return pool(series, self.pooling, spec, shown)
        channels = channel_dim(spec)
        if channels == -1:
            return self.poolings[place](series, position, shown)
        return self.poolings[place](series.movedim(channels + 1, -1), position, shown).movedim(-1, channels)


def _series(image: Tensor) -> Tensor:
    if image.ndim not in (4, 5):
        raise UserError(f"A time series must be (B, bands, time steps, rows, columns); got {tuple(image.shape)}.")
    return image.unsqueeze(2) if image.ndim == 4 else image


def _check_permutation(order: Sequence[int]) -> None:
    if sorted(order) != list(range(len(order))):
        raise UserError(
            f"temporal.features_permute_op names each dimension once, such as [0, 3, 1, 2]; got {list(order)}."
        )
    log.info("temporal.features_permute_op changes nothing: where channels are is known from the backbone.")
