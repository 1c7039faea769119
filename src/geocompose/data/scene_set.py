"""A declared data set, opened: its scenes and splits, the bands that are read, and what a scan finds in all of it."""

from collections.abc import Sequence

import numpy as np

from geocompose.data.baselines import raw_values
from geocompose.data.baselines import rules as baseline_rules
from geocompose.data.conversion import convert
from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.declaration import DataSource
from geocompose.data.given_numbers import BandNumbers
from geocompose.data.known_values import tell
from geocompose.data.left_out import check_frames, say
from geocompose.data.normalization_rule import NormalizationRule
from geocompose.data.overlap import MEANT, SCORED, check_ground, check_pixels
from geocompose.data.split import SPLITS
from geocompose.data.statistics import Statistics, scan
from geocompose.data.window import Region
from geocompose.errors import UserError
from geocompose.imagery.samples import Inputs
from geocompose.imagery.units import Conversion


class SceneSet:
    """What a declared data set is; construction reads no pixel, `read` reads and checks all once.

    source: the declaration, which is opened if it is not yet. `use_bands` may change its bands.
    scanned: statistics of these bands in their own units (`read_as` None), where all pixels were read already.

    Attributes: name, baselines, tile_px (height and width of a sample), normalize; `band_names` (all there are),
    `bands` (those read); `target`, what the labels ask a model for (its mean and deviation are known after `read`);
    `scenes`, their `groups` (None where they have none), `regions`; `values`; `units` of the selected bands as they are
    read (None where unknown); `mismatches`, what differs from a model's pretraining and is intended; to be set:
    `only_scored`, where nothing is trained on the data, and `processes_here`, how many processes of a run read it on
    this machine.

    Raises:
        UserError: a band or baseline is not there, or the data can't be opened.
    """

    def __init__(
        self, source: DataSource, bands: Sequence[str] | None = None, scanned: Statistics | None = None
    ) -> None:
        """Open the declaration. bands: those to read in place of the declared ones."""
        collection = source.collection
        self.name: str | None = source.title  # as Lightning has it
        self.scenes = list(collection.scenes)
        self.groups = None if collection.groups is None else list(collection.groups)
        self.regions = {split: list(collection.regions[split]) for split in SPLITS}
        self.labels = collection.labels
        self.target = collection.labels.target
        self.tiling = collection.tiling
        self.tile_px = collection.tiling.tile_px
        self.normalize = source.loading.normalize
        self.baselines = list(source.baselines)
        self.band_names = collection.band_names
        self.values = source.known_values
        self.mismatches: list[str] = []
        self.only_scored = False
        self.processes_here = 1
        self._source = source
        self._collection = collection
        self._statistics: Statistics | None = None
        self._normalization = NormalizationRule(source.loading.normalize)
        baseline_rules.check(self.baselines, self.target, self.band_names, collection.num_frames)
        chosen = source.bands if bands is None else bands
        self.use_bands(list(self.band_names if chosen is None else chosen))
        tell(self.scenes, self._places, self.values)
        self._scanned = ((self.bands, self.conversions), scanned) if scanned is not None else None

    @property
    def class_names(self) -> list[str]:
        """The classes, where labels are classes."""
        assert self.target.of_classes, self.target.kind
        return list(self.target.names)

    @property
    def num_classes(self) -> int:
        """How many classes there are, where labels are classes."""
        return len(self.class_names)

    @property
    def ignore_index(self) -> int:
        """The value of what has no label, where labels are classes."""
        assert self.target.of_classes, self.target.kind
        return self.target.ignore_index

    @property
    def inputs(self) -> Inputs:
        """What a sample gives a model."""
        return self._collection.inputs(self.bands)

    def use_bands(self, bands: list[str]) -> None:
        """Choose and order the bands that are read, by the data's names or their aliases; before `setup`.

        Raises:
            UserError: no band, a band twice, or a band that a scene does not have.
        """
        assert self._statistics is None, "bands are chosen before setup"
        if not bands:
            raise UserError(
                f"data.bands=[] reads nothing. Name some of {', '.join(self.band_names)}, or set it to null."
            )
        self._places = self.places(bands)
        self._normalization.check_bands(bands, self._collection.num_frames)
        self.bands = list(bands)
        self.target = self.labels.target.of_bands(bands)
        self.read_as([None] * len(bands))

    def read_as(self, units: Sequence[str | None]) -> None:
        """Convert values to these units while reading, one per selected band, where a rule exists; before `setup`.

        Where none does, and for None, they stay as they are, without a declared offset. See
        `geocompose.data.conversion.convert`.
        """
        assert self._statistics is None, "units are chosen before setup"
        self.units = convert(self.scenes, self._places, self.bands, self.values, units)

    def places(self, bands: Sequence[str]) -> list[list[int]]:
        """Return for each scene the places of `bands` among its bands.

        Raises:
            UserError: a scene lacks one of them.
        """
        return self._collection.places(bands)

    def set_normalization(self, mean: BandNumbers, std: BandNumbers) -> None:
        """Normalise with these numbers, one per selected band, in place of the data set's own.

        They are a backbone's published ones under `normalize=pretraining`, or a trained model's when it meets this
        data.
        """
        assert len(mean) == len(self.bands), (mean, self.bands)
        self._normalization.give(mean, std)

    def read(self) -> None:
        """Read and check all pixels of all splits.

        Raises:
            UserError: see `geocompose.data.statistics.scan`; also a value that its unit does not have, a band that is
                constant under `normalize=dataset`, and training labels from which nothing can be learnt, unless
                nothing is trained on them (`only_scored`).
        """
        found = self._scan()
        found.plausibility.check()
        found.plausibility.say()
        self.labels.say_lone(list(found.labels.values()))
        self._normalization.check(self.bands, found)
        excuse = MEANT if self._source.allows_overlap else SCORED if self.only_scored else None
        check_ground(self.scenes, self.regions, excuse=excuse)
        check_pixels(self.scenes, self.regions, found.hashes, excuse=excuse)
        if not self.only_scored:
            self.labels.check_training(found.labels["train"])
        self._statistics = found
        scaled = self.labels.scaled(found.labels["train"])
        self.target = self.labels.of_images(scaled, self.bands, self.mean, self.std, found.std)
        say(self._collection.left_out, found.left_out, of_pixels=self.target.pixel_wise)

    def _scan(self) -> Statistics:
        """Return statistics of the selected bands as they are read, without reading again what was read already."""
        if self._scanned is not None and self._scanned[0] == (self.bands, self.conversions):
            return self._scanned[1]
        if self._source.cache_bytes:
            self._collection.keep_decoded(len(self.bands), self._source.cache_bytes // self.processes_here)
        if self._source.refuses_missing_frames:
            check_frames(self.scenes, self._places)
        return scan(self.scenes, self._places, self.regions, self.labels, self.tiling, self.values)

    @property
    def conversions(self) -> list[list[Conversion]]:
        """What is done to the values of the selected bands, scene by scene."""
        return [
            [(scene.conversions or ())[place] for place in places]
            for scene, places in zip(self.scenes, self._places, strict=True)
        ]

    @property
    def mean(self) -> BandNumbers:
        """What is subtracted from each selected band."""
        return self._normalization.numbers(len(self.bands), self._statistics)[0]

    @property
    def std(self) -> BandNumbers:
        """What each selected band is divided by after that."""
        return self._normalization.numbers(len(self.bands), self._statistics)[1]

    @property
    def statistics(self) -> Statistics:
        """What the scan of `setup` found."""
        assert self._statistics is not None, "setup() comes first"
        return self._statistics

    @property
    def coordinates(self) -> Coordinates:
        """When and where the scenes were taken, as far as that is given."""
        return self._collection.coordinates

    def tile_windows(self, split: str) -> list[Region]:
        """Return scene and window of each sample of a split, in the order of the samples' numbers."""
        return [tile for region in self.regions[split] for tile in self.tiling.tiles(region)]

    def num_tiles(self, split: str) -> int:
        """Return how many samples a split has."""
        return len(self.tile_windows(split))

    def pixels(
        self, split: str, max_pixels: int | None = None, seed: int = 0, bands: Sequence[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return labelled pixels of a split, see `geocompose.data.baselines.raw_values.pixels`."""
        return raw_values.pixels(self, split, max_pixels, seed, bands)

    def selected_places(self, scene: int) -> list[int]:
        """Return the places of the selected bands among those of a scene."""
        return self._places[scene]
