"""Data that was opened: what files, headers and lists say, before a pixel is read."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.files.left_out import FilesLeftOut
from geocompose.data.labels.base import Labels
from geocompose.data.modules.samples import DatasetScene
from geocompose.data.rasters.scene import RasterScene
from geocompose.data.scene import Scene
from geocompose.data.split import SPLITS
from geocompose.data.subset import Subset
from geocompose.data.tiling import Tiling
from geocompose.data.window import Region
from geocompose.errors import UserError, counted
from geocompose.imagery import bands as vocabulary
from geocompose.imagery.samples import Inputs
from geocompose.imagery.units import Values


@dataclass(frozen=True)
class Collection:
    """Data that was opened: headers and lists are read, pixels are not.

    scenes, regions: the scenes, and which regions of them each of train, val and test holds.
    labels: the kind of label they have. tiling: which windows of a region are samples.
    coordinates: when and where the scenes were taken, as far as that is given. num_frames: time steps of each scene.
    left_out: files that the data set has and does not use. groups: of each scene, which images belong
    together; None where that is not said.
    values: what is known of the values of all scenes; None is what the declaration states.
    subset: which training samples these are of all that there are; None where they are all.
    """

    scenes: Sequence[Scene]
    regions: Mapping[str, list[Region]]
    labels: Labels
    tiling: Tiling
    coordinates: Coordinates = field(default_factory=Coordinates)
    num_frames: int = 1
    left_out: Sequence[FilesLeftOut] = ()
    groups: Sequence[str] | None = None
    values: Values | None = None
    subset: Subset | None = None

    @property
    def band_names(self) -> list[str]:
        """Names of the bands that the first scene has, in its order."""
        return list(self.scenes[0].band_names)

    def inputs(self, bands: Sequence[str]) -> Inputs:
        """Return what samples with these bands give a model."""
        return Inputs(tuple(bands), self.tiling.tile_px, self.num_frames, self.coordinates.names)

    def chosen(self, choose: Callable[[Sequence[str]], list[str]]) -> list[str]:
        """Return the bands to read.

        choose: takes the bands of a scene, and returns those to read of it.

        Raises:
            UserError: scenes have different bands, and which are read would depend on which of them comes first.
        """
        bands = choose(self.band_names)
        sets = [frozenset(map(vocabulary.canonical, scene.band_names)) for scene in self.scenes]
        wanted = set(map(vocabulary.canonical, bands))
        for own in dict.fromkeys(sets):
            if own != sets[0] and set(map(vocabulary.canonical, choose(sorted(own)))) != wanted:
                raise UserError(_different_bands(self.scenes, sets))
        return bands

    def places(self, bands: Sequence[str]) -> list[list[int]]:
        """Return for each scene the places of `bands` among its bands.

        Raises:
            UserError: a scene lacks one of them, or has complex numbers there.
        """
        places = [
            vocabulary.positions(bands, scene.band_names, where=f"data.bands: {scene.name}") for scene in self.scenes
        ]
        for scene, of_scene in zip(self.scenes, places, strict=True):
            if isinstance(scene, RasterScene):
                scene.image.check_real(of_scene)
        return places

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the memory that the rasters with `num_bands` bands and their labels take decoded."""
        rasters = (scene for scene in self.scenes if isinstance(scene, RasterScene))
        return sum(scene.decoded_bytes(num_bands) for scene in rasters)

    def keep_decoded(self, num_bands: int, most_bytes: int) -> None:
        """Let rasters keep the pixels that are read, as many as fit into this memory with `num_bands` and their labels.

        Those that are read most often come first: of training, then of validation, which both are read in each epoch.
        """
        left = most_bytes
        for number in self._in_order_of_use():
            scene = self.scenes[number]
            if isinstance(scene, RasterScene):
                needed = scene.decoded_bytes(num_bands)
                scene.keep_decoded = needed <= left
                left -= needed if scene.keep_decoded else 0

    def _in_order_of_use(self) -> list[int]:
        used = [region.scene for split in SPLITS for region in self.regions[split]]
        return list(dict.fromkeys([*used, *range(len(self.scenes))]))

    @property
    def kept_decoded(self) -> tuple[int, int]:
        """How many rasters of training and validation keep their pixels once they were read, and how many there are."""
        kept = [scene.keep_decoded for scene in self._read_in_each_epoch if isinstance(scene, RasterScene)]
        return sum(kept), len(kept)

    @property
    def decodes_in_each_epoch(self) -> bool:
        """Whether a scene of training or validation is decoded anew whenever it is read."""
        kept, images = self.kept_decoded
        return kept < images or any(isinstance(scene, DatasetScene) for scene in self._read_in_each_epoch)

    @property
    def _read_in_each_epoch(self) -> list[Scene]:
        return [self.scenes[number] for number in {one.scene for split in SPLITS[:2] for one in self.regions[split]}]


def _different_bands(scenes: Sequence[Scene], sets: Sequence[frozenset[str]]) -> str:
    """Return what is wrong with scenes of different bands, from the view of those that most have."""
    usual = Counter(sets).most_common(1)[0][0]
    odd, own = next((scene, own) for scene, own in zip(scenes, sets, strict=True) if own != usual)
    others = sum(one == usual for one in sets)
    differs = [
        f"{word} {', '.join(sorted(names))}" for word, names in (("no", usual - own), ("also", own - usual)) if names
    ]
    common = frozenset.intersection(*sets)
    shared = ",".join(name for name in scenes[0].band_names if vocabulary.canonical(name) in common)
    advice = f"name those to read: 'data.bands=[{shared}]'" if shared else "leave it out"
    return (
        f"{odd.name} has other bands than {counted(others, 'other image')}: it has {' and '.join(differs)}. All "
        f"bands are read where data.bands is null, so all images need the same. Correct the file, or {advice}."
    )
