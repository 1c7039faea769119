"""The kinds of made-up data: landscapes with a label for each pixel, or for each tile. Declarations, without torch."""

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ClassVar, Literal

from geocompose.data.declaration import DataSource
from geocompose.data.folds import split_by_fold
from geocompose.data.labels.base import Labels
from geocompose.data.labels.classification import ClassificationLabels
from geocompose.data.labels.multilabel import MultilabelLabels
from geocompose.data.labels.reconstruction import ReconstructionLabels
from geocompose.data.labels.regression import RegressionLabels
from geocompose.data.labels.scalar_regression import ScalarRegressionLabels
from geocompose.data.labels.segmentation import SegmentationLabels
from geocompose.data.loading import check_at_least
from geocompose.data.opened import Collection
from geocompose.data.split import split_by_fractions, split_by_members
from geocompose.data.synthetic.kinds import IGNORE_INDEX, LANDSCAPES, LandscapeKind, Maker
from geocompose.data.synthetic.scenes import (
    Summary,
    class_share,
    dominant_class,
    landscapes,
    present_classes,
    without_labels,
)
from geocompose.data.tiling import GridTiling
from geocompose.errors import UserError
from geocompose.imagery.units import Values


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticSource(DataSource):
    """Made-up landscapes in six HLS bands (reflectance x 10000), 30 m.

    landscape: what tells their classes, and so which they have. `context`: texture, shape and arrangement tell lake
        from river, forest from plantation and fields from village, which no pixel's spectrum does. `spectral`: a
        pixel's spectrum tells water, vegetation, bare and built, as well as noise and mixed pixels let it.
    num_scenes, scene_px: how many, and their height and width. A scene is the same whatever their number.
    bands: of BLUE GREEN RED NIR_NARROW SWIR_1 SWIR_2.
    split: fractions of the scenes for train, val and test; None means [0.6, 0.2, 0.2]. A single scene is split by
        columns.
    tile_px: a sample is a cell of a grid over each scene.
    seed: chooses the landscapes, and which of them belong to which split.
    """

    kind: ClassVar[str]

    # What a run has that was recorded before there was a choice. conf/data/ says `context`.
    landscape: Literal["context", "spectral"] = "spectral"
    num_scenes: int = 8
    scene_px: int = 256
    split: list[float] | None = field(default_factory=lambda: [0.5, 0.25, 0.25])

    @property
    def title(self) -> str:
        """The data set's name in records."""
        return self.kind

    @cached_property
    def values(self) -> Values:
        """What the landscapes' values are: as HLS has them, surface reflectance x 10000."""
        return Values("reflectance_1e4", "BOA", allow_mismatch=self.allow_mismatch)

    def open(self) -> Collection:
        """Return the landscapes, with the labels of this kind."""
        for key, value, least in (("num_scenes", self.num_scenes, 1), ("scene_px", self.scene_px, 32)):
            check_at_least(key, value, least)
        check_at_least("seed", self.seed, 0)
        labels, summary, tiling = self._labels, self._summary, GridTiling(self.tile_px)
        scenes = landscapes(self._make, summary, self.num_scenes, self.scene_px, self.seed)
        fold = self.cross_validation
        if fold is None:
            regions = split_by_fractions(scenes, self.split, seed=self.seed)
        else:
            members = split_by_fold(len(scenes), fold, self.split, seed=self.seed, groups=None)
            regions = split_by_members(scenes, members)
        return Collection(scenes, regions, labels, tiling)

    @property
    @abstractmethod
    def _labels(self) -> Labels: ...

    @property
    def _landscape(self) -> LandscapeKind:
        return LANDSCAPES[self.landscape]

    @property
    def _make(self) -> Maker:
        return self._landscape.make_classes

    @property
    def _summary(self) -> Summary | None:
        """What turns the pixels of a tile into its label, where tiles have one each."""
        return None


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticSegmentation(SyntheticSource):
    """Made-up landscapes with a class for each pixel."""

    kind: ClassVar[str] = "synthetic"

    tile_px: int = 64
    baselines: list[str] = field(default_factory=lambda: ["logistic"])

    @property
    def _labels(self) -> Labels:
        return SegmentationLabels(self._landscape.class_names, IGNORE_INDEX)


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticRegression(SyntheticSource):
    """Made-up landscapes with the biomass of each pixel in t/ha.

    normalize_target: whether a model predicts in units of the training labels' deviation from their mean (`dataset`),
        or in t/ha (`none`).
    """

    kind: ClassVar[str] = "synthetic_regression"

    tile_px: int = 64
    normalize_target: Literal["dataset", "none"] = "dataset"
    baselines: list[str] = field(default_factory=lambda: ["constant", "linear"])

    @property
    def _labels(self) -> Labels:
        return RegressionLabels(["biomass"], self.normalize_target, ["t/ha"])

    @property
    def _make(self) -> Maker:
        return self._landscape.make_biomass


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticClassification(SyntheticSource):
    """Tiles of made-up landscapes with the class that most of their pixels have."""

    kind: ClassVar[str] = "synthetic_classification"

    tile_px: int = 32
    baselines: list[str] = field(default_factory=lambda: ["constant", "logistic"])

    @property
    def _labels(self) -> Labels:
        return ClassificationLabels(self._landscape.class_names)

    @property
    def _summary(self) -> Summary:
        return dominant_class


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticMultilabel(SyntheticSource):
    """Tiles of made-up landscapes with the classes that each shows.

    min_share: a tile has a class that this share of its pixels, or more, has.
    """

    kind: ClassVar[str] = "synthetic_multilabel"

    tile_px: int = 32
    min_share: float = 0.05
    baselines: list[str] = field(default_factory=lambda: ["constant", "logistic"])

    @property
    def _labels(self) -> Labels:
        if not 0 < self.min_share < 1:
            raise UserError(f"data.min_share={self.min_share} is a share of a tile's pixels, above 0 and below 1.")
        return MultilabelLabels(self._landscape.class_names)

    @property
    def _summary(self) -> Summary:
        return partial(present_classes, num_classes=len(self._landscape.class_names), min_share=self.min_share)


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticScalarRegression(SyntheticSource):
    """Tiles of made-up landscapes with the share of their pixels that is forest, or water where `landscape=spectral`.

    normalize_target: see `SyntheticRegression`.
    """

    kind: ClassVar[str] = "synthetic_scalar_regression"

    tile_px: int = 32
    normalize_target: Literal["dataset", "none"] = "dataset"
    baselines: list[str] = field(default_factory=lambda: ["constant", "linear"])

    @property
    def _labels(self) -> Labels:
        return ScalarRegressionLabels([f"{self._landscape.share_of}_share"], self.normalize_target)

    @property
    def _summary(self) -> Summary:
        kind = self._landscape
        return partial(class_share, of=kind.class_names.index(kind.share_of))


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticReconstruction(SyntheticSource):
    """Made-up landscapes without labels."""

    kind: ClassVar[str] = "synthetic_reconstruction"

    tile_px: int = 64
    baselines: list[str] = field(default_factory=lambda: ["constant"])

    @property
    def _labels(self) -> Labels:
        return ReconstructionLabels()

    @property
    def _make(self) -> Maker:
        return partial(without_labels, super()._make)
