"""What every kind of data declares: how samples become batches, which bands are read, what the values are. No torch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from geocompose.data.folds import Fold, fold_of
from geocompose.data.loading import Dihedral, Loading
from geocompose.data.opened import Collection
from geocompose.data.subset import check_fraction, drawn_part
from geocompose.imagery.units import Values


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSource(ABC):
    """A data set as a configuration declares it; files are listed and headers read when they are first asked for, once.

    tile_px: height and width of a sample.
    bands: names of the bands to read, in this order; None means all.
    batch_size, num_workers, normalize, random_crop, dihedral, rotation_deg, min_valid: see `Loading`.
    allow_mismatch: which of unit, level and band may differ from what pretrained weights have seen: see `Values`.
    fraction: of the training samples, those that are trained on, see `geocompose.data.subset.drawn_part`; 1 is all.
    fold, folds: of cross-validation, which of how many folds is tested, see `geocompose.data.folds.split_by_fold`; a
        fold of None is a plain split.
    seed: of what is drawn of the data itself, such as which images belong to which split.
    baselines: names of the scores without a network that are computed as well (`geocompose.data.baselines`).

    Raises:
        UserError: an argument is out of range; on opening: files, headers, lists or splits don't fit together.
    """

    tile_px: int
    bands: list[str] | None = None
    batch_size: int = 8
    num_workers: int | Literal["auto"] = 0
    normalize: Literal["dataset", "pretraining", "none"] | dict[str, list[float] | list[list[float]]] = "dataset"
    random_crop: bool = False
    dihedral: Dihedral = True
    rotation_deg: float = 0.0
    min_valid: float = 0.0
    allow_mismatch: list[str] | None = None
    fraction: float = 1.0
    fold: int | None = None
    folds: int = 5
    seed: int = 0
    baselines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check what can be checked without looking at a file."""
        _ = self.loading, self.values, self.cross_validation
        check_fraction(self.fraction)

    @property
    @abstractmethod
    def title(self) -> str:
        """The data set's name in records."""

    @property
    @abstractmethod
    def values(self) -> Values:
        """What the values of its files are, as far as that is stated."""

    @abstractmethod
    def open(self) -> Collection:
        """Return scenes, splits and labels; reads lists and headers, but no pixel.

        Raises:
            UserError: files, headers or splits don't fit together.
        """

    @cached_property
    def loading(self) -> Loading:
        """How samples become batches."""
        return Loading(
            self.batch_size,
            self.num_workers,
            self.normalize,
            self.random_crop,
            self.dihedral,
            self.rotation_deg,
            self.min_valid,
        )

    @cached_property
    def cross_validation(self) -> Fold | None:
        """Which fold is tested; None where there is no cross-validation."""
        return fold_of(self.fold, self.folds)

    @cached_property
    def collection(self) -> Collection:
        """The data, opened once; where `fraction` is below 1, with that part of the training samples.

        Raises:
            UserError: see `open`; or the part is less than one sample.
        """
        opened = self.open()
        if self.fraction == 1:
            return opened
        part, subset = drawn_part(
            opened.regions["train"], opened.tiling, self.fraction, self.seed, random_crop=self.random_crop
        )
        return replace(opened, regions={**opened.regions, "train": part}, subset=subset)

    @property
    def known_values(self) -> Values:
        """What the values of its files are, by statement and by what the files say alike."""
        found = self.collection.values
        return self.values if found is None else found

    @cached_property
    def input_files(self) -> list[Path]:
        """Every file that the data is read from; none where it is made in memory."""
        return []

    @property
    def refuses_missing_frames(self) -> bool:
        """Whether a frame without data stops the run."""
        return False

    @property
    def allows_overlap(self) -> bool:
        """Whether it is meant that splits overlap on the ground or hold the same pixels."""
        return False

    @property
    def cache_bytes(self) -> int:
        """How much memory decoded pixels may take and still be kept; 0 where there are no files to decode."""
        return 0
