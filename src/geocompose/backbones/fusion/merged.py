"""A backbone that returns features by modality, as one that returns a list: they are merged level by level."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.backbones.fusion.levels import Level, as_map, map_channels, matched, onto_grid
from geocompose.contracts.attributes import MERGING
from geocompose.contracts.backbone import BackboneContract, contract_of
from geocompose.contracts.features import FeatureSpec, common_multiple
from geocompose.contracts.images import Image
from geocompose.contracts.probing import backbone_specs, returned_by
from geocompose.contracts.shapes import by_modality, modalities_of
from geocompose.errors import UserError, choices


class MergedModalities(nn.Module):
    """Merges what a backbone returns for each modality: maps (B, C, rows, columns) by level, or vectors (B, C).

    Features at one place of the modalities' lists go together, on the finest grid of them; of lists of unequal lengths,
    those that `matched` puts together. Tokens become maps. The backbone is under `backbone`, and takes its images and
    coordinates as it would alone.
    """

    def __init__(self, backbone: nn.Module, merging: str) -> None:
        """Take a backbone whose forward returns `{name: [features]}` or `[{name: feature}]`.

        merging: `concat` for all channels side by side, `mean`, or `max`.

        Raises:
            UserError: it returns no such features, or they can't be merged in this way.
        """
        super().__init__()
        if merging not in MERGING:
            raise UserError(
                f"backbone_merge_modalities has no {merging!r}. {choices(str(merging), [*MERGING, 'null'])}"
            )
        self.backbone, self.merging = backbone, merging
        inside = contract_of(backbone)
        names = modalities_of(returned_by(backbone, inside.own_size))
        if names is None:
            raise UserError(
                f"The backbone {inside.name} doesn't return features by modality, so that there is nothing to merge: "
                "leave backbone_merge_modalities out (merge_modalities of its class)."
            )
        self._specs = {name: backbone_specs(_OfModality(backbone, name), inside.own_size) for name in names}
        self._vectors = all(spec.layout == "vector" for specs in self._specs.values() for spec in specs)
        self._levels = self._joined_levels(inside.name)
        self._hand_on(inside)

    def _hand_on(self, inside: BackboneContract) -> None:
        """Say of itself what the backbone inside says."""
        self.in_chans, self.bands = inside.channels, inside.bands
        self.modalities, self.coords_encoding = inside.modalities, inside.coords_encoding
        self.img_size, self.fixed_size = inside.img_size, inside.fixed_size
        self.num_frames, self.counts_frames = inside.num_frames, inside.counts_frames
        self.pretraining, self.published, self.weights = inside.pretraining, inside.published, inside.weights
        self.random_inputs = [f"backbone.{name}" for name in inside.random_inputs]
        cells = [common_multiple(specs) for specs in self._specs.values() if not self._vectors]
        self.pad_multiple = math.lcm(inside.pad_multiple, *cells)

    def _joined_levels(self, backbone: str) -> list[Level]:
        """Return which features of each modality go together.

        Raises:
            UserError: features have no grid beside others that have one, or other widths than a mean can take.
        """
        if not self._vectors and any(spec.layout == "vector" for specs in self._specs.values() for spec in specs):
            raise UserError(
                f"The backbone {backbone} returns vectors beside maps, which have no grid on which they could be "
                "merged: let it return maps or tokens of all modalities, or vectors of all."
            )
        levels = _by_place(self._specs)
        if levels is None and self._vectors:
            said = ", ".join(f"{name} {len(specs)}" for name, specs in self._specs.items())
            raise UserError(
                f"The backbone {backbone} returns unequal numbers of vectors: {said}. Return as many of each."
            )
        if levels is None:
            levels = matched(self._specs)
        for level in levels:
            widths = {name: map_channels(self._specs[name][place]) for name, place in level.places.items()}
            if self.merging != "concat" and len(set(widths.values())) > 1:
                said = ", ".join(f"{name} {width}" for name, width in widths.items())
                raise UserError(
                    f"The modalities of the backbone {backbone} have features of unequal widths ({said}), which have "
                    f"no {self.merging}. Write backbone_merge_modalities='concat'."
                )
        return levels

    @property
    def feature_specs(self) -> list[FeatureSpec]:
        """The merged features: maps, or vectors."""
        return [
            FeatureSpec(self._width(level), level.stride, "vector" if self._vectors else "NCHW")
            for level in self._levels
        ]

    def _width(self, level: Level) -> int:
        widths = [map_channels(self._specs[name][place]) for name, place in level.places.items()]
        return sum(widths) if self.merging == "concat" else widths[0]

    @property
    def out_channels(self) -> list[int]:
        """The width of each merged feature."""
        return [spec.channels for spec in self.feature_specs]

    def forward(self, image: Image, **coordinates: Tensor) -> list[Tensor]:
        """Return one list of features for an image, or a mapping of images, as the backbone takes it."""
        returned = by_modality(self.backbone(image, **coordinates))
        if self._vectors:
            return [
                self._merged([returned[name][place] for name, place in level.places.items()]) for level in self._levels
            ]
        one = image if isinstance(image, Tensor) else next(iter(image.values()))
        size = (one.shape[-2], one.shape[-1])
        maps = {
            name: [as_map(feature, spec, size) for feature, spec in zip(returned[name], specs, strict=True)]
            for name, specs in self._specs.items()
        }
        merged = []
        for level in self._levels:
            grid = maps[level.leader][level.places[level.leader]].shape[-2:]
            of_level = [onto_grid(maps[name][place], (grid[0], grid[1])) for name, place in level.places.items()]
            merged.append(self._merged(of_level))
        return merged

    def _merged(self, features: Sequence[Tensor]) -> Tensor:
        if self.merging == "concat":
            return torch.cat(list(features), dim=1)
        stacked = torch.stack(list(features))
        return stacked.mean(dim=0) if self.merging == "mean" else stacked.amax(dim=0)


def _by_place(specs: Mapping[str, Sequence[FeatureSpec]]) -> list[Level] | None:
    """Return the levels of modalities with as many features each: those at one place, on the finest grid."""
    if len({len(each) for each in specs.values()}) > 1:
        return None
    levels = []
    for place in range(len(next(iter(specs.values())))):
        leader = min(specs, key=lambda name: specs[name][place].stride)
        levels.append(Level(specs[leader][place].stride, leader, dict.fromkeys(specs, place)))
    return levels


class _OfModality(nn.Module):
    """A backbone's features of one modality, to be looked at like a backbone's of one image."""

    feature_specs = None  # seen in the shapes

    def __init__(self, backbone: nn.Module, modality: str) -> None:
        super().__init__()
        self.backbone, self.modality = backbone, modality
        widths = contract_of(backbone).widths_by_modality
        self.out_channels = getattr(backbone, "out_channels", None) if widths is None else widths.get(modality)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("backbone"), name)

    def get_base_model(self) -> nn.Module:
        """Return the backbone, whose name messages have."""
        return self.backbone

    def forward(self, image: Image, **coordinates: Tensor) -> list[Tensor]:
        return by_modality(self.backbone(image, **coordinates))[self.modality]


def merged(backbone: nn.Module, asked: str | None) -> nn.Module:
    """Return a backbone as it is, or as one that merges its modalities.

    asked: `backbone_merge_modalities`; where null, what its class says (`merge_modalities`).

    Raises:
        UserError: see `MergedModalities`.
    """
    merging = contract_of(backbone).merge_modalities if asked is None else asked
    return backbone if merging is None else MergedModalities(backbone, merging)
