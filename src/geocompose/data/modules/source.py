"""data=module: a Lightning data module of TorchGeo's or of a user's own, as a declaration like all others."""

import logging
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from geocompose.configuration.instantiation import arguments_when_imported, instantiate
from geocompose.configuration.signatures import arguments
from geocompose.data.declaration import DataSource
from geocompose.data.files.file_names import data_folder
from geocompose.data.labels.base import Labels
from geocompose.data.labels.classification import ClassificationLabels
from geocompose.data.labels.multilabel import MultilabelLabels
from geocompose.data.labels.regression import RegressionLabels
from geocompose.data.labels.scalar_regression import ScalarRegressionLabels
from geocompose.data.labels.segmentation import SegmentationLabels
from geocompose.data.modules.samples import OF_PIXELS, DatasetScene, Samples, label_of
from geocompose.data.opened import Collection
from geocompose.data.split import SPLITS
from geocompose.data.tiling import GridTiling, ImageTiling
from geocompose.data.window import Region, Window
from geocompose.errors import UserError, in_one_line, shortened
from geocompose.imagery.samples import Kind
from geocompose.imagery.units import Values

log = logging.getLogger("geocompose")

_OF_CLASSES = ("segmentation", "classification", "multilabel")


@dataclass(frozen=True, kw_only=True, eq=False)
class ModuleData(DataSource):
    """The data sets of a Lightning data module's splits; what it does with batches is left to ours.

    root: the folder of its files, all of which identify the data; the module gets it, if it has such an argument.
    module: the node that builds it. labels: what kind a sample's mask or label is; None follows from the first one's
        type and shape. class_names, variables: None means what the data set calls `classes`.
    variable_units: the unit of each variable, in words; None: not stated.
    ignore_index: of a mask, the value of pixels without a label.
    band_names: of the image, in its order; None means what the data set calls `bands` or `all_band_names`.
    tile_px: height and width of a sample of ours: a cell of a grid where pixels have labels, else an image; smaller
        ones are padded. fit: see `geocompose.data.tiling.ImageTiling`.
    unit, level, offset, scale: what the images' values are, see `Values`.
    allow_overlap: it is meant that splits hold the same pixels; else that is refused.
    """

    root: str
    module: dict[str, Any]
    labels: Literal["segmentation", "regression", "classification", "multilabel", "scalar_regression"] | None = None
    class_names: list[str] | None = None
    variables: list[str] | None = None
    variable_units: list[str] | None = None
    ignore_index: int = -1
    band_names: list[str] | None = None
    fit: Literal["refuse", "crop", "resize"] = "refuse"
    unit: Literal["reflectance", "reflectance_1e4", "dn", "db", "power", "uint8"] | None = None
    level: Literal["TOA", "BOA"] | None = None
    offset: float | None = None
    scale: float | None = None
    normalize_target: Literal["dataset", "none"] = "dataset"
    allow_overlap: bool = False

    @property
    def title(self) -> str:
        """The module's name, such as EuroSATDataModule."""
        return self._target.rpartition(".")[2]

    @cached_property
    def values(self) -> Values:
        """What the images' values are, as far as that is stated."""
        return Values(self.unit, self.level, self.offset, self.scale, self.allow_mismatch)

    @property
    def allows_overlap(self) -> bool:
        """Whether it is meant that splits hold the same pixels."""
        return self.allow_overlap

    @cached_property
    def input_files(self) -> list[Path]:
        """All files below `root`: which of them the module reads, it does not say."""
        return sorted(path for path in data_folder(self.root).rglob("*") if path.is_file())

    def open(self) -> Collection:
        """Return the samples of the module's splits as scenes.

        Raises:
            UserError: the module can't be set up, lacks a split, or its samples are not as they have to be.
        """
        if self.cross_validation is not None:
            raise UserError(
                f"data.fold={self.fold} draws splits, and data.module gives its own. Set data.fold=null, or read the "
                "files themselves (data=geotiff...)."
            )
        of_split = {split: Samples(split, dataset) for split, dataset in self._datasets()}
        first = of_split["train"][0]
        kind = self.labels or _kind_of(label_of(first), pixels="mask" in first)
        bands = self._bands(of_split["train"], len(first["image"]))
        size = first["image"].shape[1:]
        labels = self._labels(kind, of_split["train"], label_of(first, kind))
        log.info(
            "data.module: the labels of %s are taken for %s (%s), its bands are %s.",
            self.title, kind, "data.labels" if self.labels else "by the first sample", shortened(bands, 13),
        )  # fmt: skip
        tiling = (
            GridTiling(self.tile_px)
            if kind in OF_PIXELS
            else ImageTiling(self.tile_px, self.fit, random_crop=self.random_crop)
        )
        scenes: list[DatasetScene] = []
        regions: dict[str, list[Region]] = {}
        for split, samples in of_split.items():
            numbers = range(len(scenes), len(scenes) + samples.number)
            scenes += [DatasetScene(samples, index, size, bands, kind) for index in range(samples.number)]
            regions[split] = [Region(number, Window(0, 0, *size)) for number in numbers]
        if isinstance(tiling, ImageTiling):
            tiling.check(scenes[:1])
        return Collection(scenes, regions, labels, tiling)

    @property
    def _target(self) -> str:
        return str(self.module.get("_target_", ""))

    def _datasets(self) -> Iterator[tuple[str, Any]]:
        known: Container[str] | None = arguments(self._target)
        if known is None:  # source doesn't tell; it is imported now anyway
            known = arguments_when_imported(self._target)
        told = {"root": str(data_folder(self.root))} if known is None or "root" in known else {}
        try:
            module = instantiate({**told, **self.module})
            module.prepare_data()
            module.setup("fit")
            module.setup("test")
        except Exception as error:  # whatever a stranger's module raises
            raise UserError(f"data.module: {self._target} can't be set up: {in_one_line(error)}") from error
        for split in SPLITS:
            yield split, _dataset(module, split, self._target)

    def _bands(self, samples: Samples, number: int) -> list[str]:
        if self.band_names is not None:
            if len(self.band_names) != number:
                raise UserError(
                    f"data.band_names has {len(self.band_names)} names, and the images of data.module have {number} "
                    "bands."
                )
            return self.band_names
        for found in _said(samples.dataset, ("bands", "all_band_names", "all_bands", "band_names")):
            if len(found) == number:
                return found
        raise UserError(
            f"data.band_names: the data set of data.module does not say the names of its {number} bands. Give them, "
            "such as 'data.band_names=[BLUE,GREEN,RED]'."
        )

    def _labels(self, kind: Kind, samples: Samples, label: np.ndarray) -> Labels:
        if kind in _OF_CLASSES:
            names = self.class_names or next(_said(samples.dataset, ("classes", "class_names")), None)
            if names is None:
                raise UserError(
                    "data.class_names: the data set of data.module does not name its classes. Give them, in the order "
                    "of the labels' values from 0."
                )
            if kind == "segmentation":
                return SegmentationLabels(names, self.ignore_index)
            return ClassificationLabels(names) if kind == "classification" else MultilabelLabels(names)
        number = label.shape[0] if label.ndim in (1, 3) else 1
        if self.variables is None or len(self.variables) != number:
            raise UserError(
                f"data.variables must name the {number} numbers of a label, such as 'data.variables=[biomass]'; got "
                f"{self.variables}."
            )
        if kind == "regression":
            return RegressionLabels(self.variables, self.normalize_target, self.variable_units)
        return ScalarRegressionLabels(self.variables, self.normalize_target, self.variable_units)


def _dataset(module: Any, split: str, target: str) -> Any:
    """Return a split's data set: the module's attribute of that name, or what its loader reads."""
    found = getattr(module, f"{split}_dataset", None)
    if found is None:
        try:
            found = getattr(module, f"{split}_dataloader")().dataset
        except Exception as error:  # whatever a stranger's module raises, or that it has no loader
            raise UserError(
                f"data.module: {target} has no data for {split} (neither {split}_dataset nor a {split}_dataloader: "
                f"{in_one_line(error)}). Train, val and test are needed."
            ) from error
    return found


def _said(dataset: Any, attributes: Sequence[str]) -> Iterator[list[str]]:
    """Yield what a data set, or one that it is a part of, says of itself in lists of texts."""
    while dataset is not None:
        for attribute in attributes:
            found = getattr(dataset, attribute, None)
            if isinstance(found, list | tuple) and found and all(isinstance(each, str) for each in found):
                yield list(found)
        dataset = getattr(dataset, "dataset", None)


def _kind_of(label: np.ndarray, *, pixels: bool) -> Kind:
    """Return the kind of a label by its type and shape."""
    whole = not np.issubdtype(label.dtype, np.floating)
    if pixels:
        return "segmentation" if whole and label.ndim == 2 else "regression"
    if not whole:
        return "scalar_regression"
    return "classification" if label.ndim == 0 else "multilabel"
