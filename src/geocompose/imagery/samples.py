"""What data gives a model: which bands, how large, how many frames, and what travels beside the pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from geocompose.errors import UserError

Kind = Literal["segmentation", "regression", "classification", "multilabel", "scalar_regression", "reconstruction"]
# What labels of each kind are, in words.
LABELS: Mapping[str, str] = {
    "segmentation": "a class per pixel",
    "regression": "numbers per pixel",
    "classification": "one class per image",
    "multilabel": "any number of classes per image",
    "scalar_regression": "numbers per image",
    "reconstruction": "images alone, whose own bands are to be predicted",
}
PIXEL_WISE = ("segmentation", "regression", "reconstruction")
MAPPED = ("segmentation", "regression")  # of which whole scenes have a map
OF_CLASSES = ("segmentation", "classification", "multilabel")


@dataclass(frozen=True)
class Inputs:
    """What one sample of the data is, as a composition has to know it.

    bands: names of the image's channels, in their order; of one frame where there are several.
    tile_px: rows and columns of a sample. num_frames: time steps of a sample.
    coordinates: what is known of a sample beside its pixels: any of `time` (the date of each frame) and `location`.
    """

    bands: tuple[str, ...]
    tile_px: int
    num_frames: int = 1
    coordinates: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """Return what a run's record keeps, as JSON knows it."""
        return {
            "bands": list(self.bands),
            "tile_px": self.tile_px,
            "num_frames": self.num_frames,
            "coordinates": list(self.coordinates),
        }

    @classmethod
    def from_record(cls, data: Mapping[str, Any]) -> "Inputs":
        """Return what a run's record says of its data; earlier records had one frame and no coordinates."""
        return cls(tuple(data["bands"]), data["tile_px"], data.get("num_frames", 1), tuple(data.get("coordinates", ())))


@dataclass(frozen=True)
class Target:
    """The labels of a data set.

    kind: one class per pixel (`segmentation`), numbers per pixel (`regression`), one class per image
        (`classification`), any of the classes per image (`multilabel`), numbers per image (`scalar_regression`), or
        none but the image itself (`reconstruction`).
    names: the classes in the order of the labels' values, the variables in the order of the labels' numbers, or the
        image's bands.
    ignore_index: the label of what has no label, where labels are classes; where they are numbers, it is NaN.
    mean, std: a number for each variable, in its physical unit: a model's output times `std` plus `mean` is the
        prediction. 0 and 1 where a model predicts in the unit itself; None where labels are classes.
    deviation: the training labels' standard deviation of each variable, in its physical unit, whatever a model predicts
        in; 0 where it does not vary. None where labels are classes, and where an earlier version did not record it.
    units: the physical unit of each variable, in words; None where it is not stated.
    """

    kind: Kind
    names: tuple[str, ...]
    ignore_index: int = -1
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    units: tuple[str, ...] | None = None

    @property
    def pixel_wise(self) -> bool:
        """Whether each pixel has a label, rather than each image."""
        return self.kind in PIXEL_WISE

    @property
    def of_classes(self) -> bool:
        """Whether labels are classes, rather than numbers."""
        return self.kind in OF_CLASSES

    @property
    def unit(self) -> str | None:
        """The unit of a single variable; None of several, or where it is not stated."""
        return self.units[0] if self.units is not None and len(self.units) == 1 else None

    @property
    def num_outputs(self) -> int:
        """How many numbers a model gives for a pixel or an image: one per class, or one per variable."""
        return len(self.names)

    def of_bands(self, bands: Sequence[str]) -> "Target":
        """Return the target where these bands are read: of a reconstruction they are what is predicted."""
        return replace(self, names=tuple(bands)) if self.kind == "reconstruction" else self

    def as_record(self) -> dict[str, Any]:
        """Return what a record keeps of it, as JSON knows it."""
        return {
            "kind": self.kind,
            "names": list(self.names),
            "ignore_index": self.ignore_index,
            "mean": None if self.mean is None else list(self.mean),
            "std": None if self.std is None else list(self.std),
            **({} if self.deviation is None else {"deviation": list(self.deviation)}),
            **({} if self.units is None else {"units": list(self.units)}),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None) -> "Target":
        """Return the target that `as_record` was made of.

        Raises:
            UserError: the run has none recorded.
        """
        if record is None:
            raise UserError(
                "The run was recorded by an earlier version, whose records don't say what the labels were. Run its "
                "command again with rerun=true."
            )
        numbers = (
            None if record.get(key) is None else tuple(record[key]) for key in ("mean", "std", "deviation", "units")
        )
        return cls(record["kind"], tuple(record["names"]), record["ignore_index"], *numbers)
