"""What a baseline has to know of a data set."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from geocompose.data.scene import Scene
from geocompose.data.statistics import Statistics
from geocompose.data.window import Region
from geocompose.imagery.samples import Inputs, Target


class LabelledSamples(Protocol):
    """A data set after its scan: `geocompose.data.module.SceneData` is one.

    bands: those that are selected, of `band_names`. regions: those of each split. scenes: what they are regions of.
    """

    bands: list[str]
    band_names: list[str]
    scenes: list[Scene]

    @property
    def target(self) -> Target:
        """What the labels are."""

    @property
    def regions(self) -> Mapping[str, Sequence[Region]]:
        """The regions of each split."""

    @property
    def class_names(self) -> list[str]:
        """The classes, where labels are classes."""

    @property
    def num_classes(self) -> int:
        """How many classes there are."""

    @property
    def inputs(self) -> Inputs:
        """What a sample gives a model."""

    @property
    def statistics(self) -> Statistics:
        """What the scan found."""

    def places(self, bands: Sequence[str]) -> list[list[int]]:
        """Return for each scene the places of `bands` among its bands."""

    def selected_places(self, scene: int) -> list[int]:
        """Return the places of the selected bands among those of a scene."""

    def tile_windows(self, split: str) -> list[Region]:
        """Return scene and window of each sample of a split."""
