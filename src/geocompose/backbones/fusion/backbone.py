"""Several backbones side by side, each with its own bands, whose features are joined: late fusion."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.backbones.foreign.prefixes import of_part
from geocompose.backbones.fusion.as_one import bands_of, common_frames, common_size, merged_pretraining
from geocompose.backbones.fusion.levels import Level, as_map, map_channels, matched, onto_grid
from geocompose.contracts.backbone import contract_of
from geocompose.contracts.features import FeatureSpec, common_multiple
from geocompose.contracts.images import Image, split
from geocompose.contracts.probing import backbone_specs
from geocompose.errors import UserError
from geocompose.imagery.modalities import channel_places
from geocompose.imagery.part_bands import bands_of_parts, joined
from geocompose.imagery.pretraining import Pretraining
from geocompose.parts import resolve
from geocompose.registry import BACKBONE_REGISTRY

log = logging.getLogger("geocompose")


class FusionBackbone(nn.Module):
    """Gives each part its own bands of an image, and returns maps of all parts' channels by level (see `matched`).

    Takes one image (B, C, H, W) of all `bands` in their order, or a mapping from parts' names to images of their bands.
    Tokens become maps; maps of unequal resolution come onto the leading part's grid. Parts are under `parts`, each with
    its own names in the state dict.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        modalities: Mapping[str, Sequence[str]] | None = None,
        bands: Sequence[str] | None = None,
    ) -> None:
        """Take the parts by name, at least two.

        modalities: the bands of each part; the part's own `bands`, or made-up names, where null. bands: those of the
            stacked image; the parts' in order, each once, where null.

        Raises:
            UserError: parts can't stand side by side; says why.
        """
        super().__init__()
        for name in parts:
            if not name.isidentifier() or hasattr(nn.ModuleDict, name):
                raise UserError(
                    f"backbone.parts.{name}: a part's name is letters, digits and underscores, such as s1, and not one "
                    "that torch has."
                )
        if len(parts) < 2:
            raise UserError(
                f"Fusion joins two backbones or more; backbone.parts has {', '.join(parts) or 'none'}. Add one, or use "
                "it alone."
            )
        self.parts = nn.ModuleDict(parts)
        contracts = {name: contract_of(part) for name, part in parts.items()}
        self.modalities = {
            name: list((modalities or {}).get(name) or bands_of(name, said)) for name, said in contracts.items()
        }
        self.bands = joined(self.modalities) if bands is None else list(bands)
        self.in_chans = len(self.bands)
        self._places = channel_places(self.modalities, self.bands, backbone=type(self).__name__)
        self._inner_places = {name: said.places for name, said in contracts.items()}
        self.num_frames = common_frames(contracts)
        self.fixed_size, self.img_size = common_size(contracts)
        self._taken = {name: said.coordinates for name, said in contracts.items()}
        self.coords_encoding = list(dict.fromkeys(each for taken in self._taken.values() for each in taken))
        self._specs = {name: backbone_specs(part, self.img_size) for name, part in parts.items()}
        for name, specs in self._specs.items():
            if not specs or any(spec.layout == "vector" for spec in specs):
                raise UserError(
                    f"backbone.parts.{name}: {type(parts[name]).__name__} returns "
                    f"{'vectors' if specs else 'no features'}, which have no grid on which they could be joined; take "
                    "a backbone that returns maps or tokens."
                )
        # Whole cells of every part, those included that come onto another part's grid.
        self.pad_multiple = math.lcm(*(common_multiple(specs) for specs in self._specs.values()))
        self._levels: list[Level] = matched(self._specs)
        self.out_indices = list(range(len(self._levels)))

    @property
    def feature_specs(self) -> list[FeatureSpec]:
        """The joined features: maps."""
        return [
            FeatureSpec(
                sum(map_channels(self._specs[name][place]) for name, place in level.places.items()), level.stride
            )
            for level in self._levels
        ]

    @property
    def out_channels(self) -> list[int]:
        """The width of each joined feature."""
        return [spec.channels for spec in self.feature_specs]

    @property
    def weights(self) -> dict[str, object] | None:
        """Where the parts' weights come from, each key with its part's name; None where all are random."""
        found = {
            f"{name}.{key}": value
            for name, part in self.parts.items()
            for key, value in (contract_of(part).weights or {}).items()
        }
        return found or None

    @property
    def random_inputs(self) -> list[str]:
        """The parts' parameters with filters of bands that pretrained weights lack."""
        return [f"parts.{name}.{key}" for name, part in self.parts.items() for key in contract_of(part).random_inputs]

    @property
    def readers(self) -> list[tuple[nn.Module, list[str]]]:
        """The parts, each with the bands that it reads."""
        return [(part, self.modalities[name]) for name, part in self.parts.items()]

    @property
    def pretraining(self) -> Pretraining | None:
        """What the parts' weights have seen, of the bands that they read; None where all are random."""
        return merged_pretraining([(contract_of(part).pretraining, bands) for part, bands in self.readers])

    @property
    def published(self) -> Pretraining | None:
        """Likewise, with what is published of a part whose weights are random."""
        return merged_pretraining([(contract_of(part).known, bands) for part, bands in self.readers])

    def select_layers(self, indices: Sequence[int]) -> None:
        """Return these levels only, in this order; parts that can, compute nothing after the last level that they give.

        indices: of `out_indices`.

        Raises:
            UserError: an index is not there, or given twice.
        """
        if not indices or any(index not in self.out_indices for index in indices) or len(set(indices)) < len(indices):
            raise UserError(f"This backbone has levels {self.out_indices}, each selectable once; got {list(indices)}.")
        levels = [self._levels[self.out_indices.index(index)] for index in indices]
        for name, part in self.parts.items():
            used = sorted({level.places[name] for level in levels})
            said = contract_of(part)
            if said.select_layers is not None and said.out_indices is not None and len(used) < len(self._specs[name]):
                said.select_layers([said.out_indices[place] for place in used])
                self._specs[name] = [self._specs[name][place] for place in used]
                levels = [_moved(level, name, used.index(level.places[name])) for level in levels]
        self._levels, self.out_indices = levels, list(indices)

    def forward(
        self, image: Image, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> list[Tensor]:
        """Return maps of all parts' channels, one per level; coordinates go to the parts that take them."""
        images = split(image, self._places) if isinstance(image, Tensor) else image
        coordinates = {"time": ("temporal_coords", temporal_coords), "location": ("location_coords", location_coords)}
        maps: dict[str, list[Tensor]] = {}
        for name, part in self.parts.items():
            taken = self._taken[name]
            given = {key: value for word, (key, value) in coordinates.items() if word in taken and value is not None}
            own = images[name]
            size = (own.shape[-2], own.shape[-1])
            inner = self._inner_places[name]
            features = part(own if inner is None else split(own, inner), **given)
            maps[name] = [
                as_map(feature, spec, size) for feature, spec in zip(features, self._specs[name], strict=True)
            ]
        return [self._joined(maps, level) for level in self._levels]

    def _joined(self, maps: Mapping[str, list[Tensor]], level: Level) -> Tensor:
        grid = maps[level.leader][level.places[level.leader]].shape[-2:]
        return torch.cat(
            [onto_grid(maps[name][place], (grid[0], grid[1])) for name, place in level.places.items()], dim=1
        )


def _moved(level: Level, part: str, place: int) -> Level:
    return Level(level.stride, level.leader, {**level.places, part: place})


def build_fusion(
    parts: dict[str, object], bands: list[str] | None = None, img_size: int | list[int] | None = None
) -> FusionBackbone:
    """Return backbones side by side, each built with its own bands, which compute only the layers that are joined.

    parts: by a name of your own, at least two: a constructor (an option of the group `backbone`), or a mapping with the
        `name` of a registered backbone and its arguments.
    bands: those of the image, in their order; the parts' one after the other where null. A part without bands reads
        those that it was trained on (`pretrained_bands`), if all are there, else those that no other part takes.
    img_size: what parts are built for that take a size and have none, in pixels.

    Raises:
        UserError: a part can't be built, or parts can't stand side by side.
    """
    made = {name: resolve("backbone", *_constructor(name, given)) for name, given in parts.items()}
    given_of = {name: part.given for name, part in made.items()}
    if bands is None:
        for name, given in given_of.items():
            if not given.get("bands"):
                raise UserError(
                    f"backbone.parts.{name} has no bands: name them, or those of the whole image in backbone.bands."
                )
        bands = joined({name: given["bands"] for name, given in given_of.items()})
    own = bands_of_parts(given_of, bands)
    if torch.get_default_device().type != "meta":
        for name, read in own.items():
            log.info("The part %s of the backbone reads %s.", name, ", ".join(read))
    built = {}
    for name, part in made.items():
        part.arguments["bands"] = own[name]
        if img_size is not None and part.takes("img_size") and given_of[name].get("img_size") is None:
            part.arguments["img_size"] = img_size
        with of_part(name):
            built[name] = part.build()
    fused = FusionBackbone(built, own, bands)
    fused.select_layers(fused.out_indices)
    return fused


def _constructor(name: str, given: object) -> tuple[Any, Any, dict[str, Any]]:
    """Return what `resolve` takes of a part."""
    if isinstance(given, Mapping) and isinstance(given.get("name"), str):
        arguments = {str(key): value for key, value in given.items() if key != "name"}
        return given["name"], BACKBONE_REGISTRY.find, arguments
    if callable(given) and not isinstance(given, nn.Module):
        return given, BACKBONE_REGISTRY.find, {}
    raise UserError(
        f"backbone.parts.{name} must be an option of the group backbone (backbone@backbone.parts.{name}=resnet50), or "
        "a mapping with the name of a backbone and its arguments, such as {name: timm_resnet18, bands: [VV, VH]}; got "
        f"{given!r}."
    )


BACKBONE_REGISTRY.register_as("fusion", build_fusion)
