"""The numbered samples of a foreign data set, {image, mask or label}, each as a scene of its own."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from affine import Affine

from geocompose.data.planes import Planes
from geocompose.data.rasters.valid import Origin
from geocompose.data.scene import OneFrame
from geocompose.data.window import Window
from geocompose.errors import UserError, in_one_line, shortened
from geocompose.imagery.samples import Kind
from geocompose.imagery.units import Conversion, conversions_of

OF_PIXELS = ("segmentation", "regression")
_KEPT = 8  # samples, since image and label are asked for one after the other


class Samples:
    """A data set of one split, one sample at a time: foreign code need not bear several threads.

    Raises:
        UserError: it is no data set of numbered samples, or has none.
    """

    def __init__(self, split: str, dataset: Any) -> None:
        self.split, self.dataset = split, dataset
        try:
            self.number = len(dataset)
        except TypeError as error:
            raise UserError(
                f"data.module: its {split} data, {type(dataset).__name__}, are not numbered samples (no length), such "
                "as those that TorchGeo samples from rasters by place. Read the rasters: data=geotiff."
            ) from error
        if not self.number:
            raise UserError(f"data.module: its {split} data set, {type(dataset).__name__}, has no sample.")
        self._lock, self._kept = threading.Lock(), OrderedDict[int, Mapping[str, np.ndarray]]()

    def __getitem__(self, index: int) -> Mapping[str, np.ndarray]:
        """Return a sample's arrays: `image` (bands, height, width), and `mask` or `label`.

        Raises:
            UserError: it can't be read, or is no such mapping.
        """
        with self._lock:
            found = self._kept.get(index)
            if found is None:
                found = self._kept[index] = self._read(index)
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            return found

    def name(self, index: int) -> str:
        """Return what to call a sample in errors and records."""
        return f"{self.split}/{index:06d}"

    def _read(self, index: int) -> dict[str, np.ndarray]:
        where = f"data.module: sample {self.name(index)} of {type(self.dataset).__name__}"
        try:
            sample = self.dataset[index]
        except Exception as error:  # whatever a stranger's data set raises
            raise UserError(f"{where} can't be read: {in_one_line(error)}") from error
        if not isinstance(sample, Mapping):
            raise UserError(
                f"{where} is {type(sample).__name__}; samples have to be mappings with image and mask or label."
            )
        known = [key for key in ("mask", "label") if key in sample]
        if "image" not in sample or not known:
            raise UserError(
                f"{where} has {shortened(sample, 8)}; needed are image, (bands, height, width), and mask or label."
            )
        found = {key: np.asarray(sample[key]) for key in ("image", *known)}
        if found["image"].ndim != 3:
            raise UserError(f"{where} has an image {found['image'].shape}; it must be (bands, height, width).")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_lock", "_kept")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _kept=OrderedDict())


def label_of(sample: Mapping[str, np.ndarray], kind: Kind | None = None) -> np.ndarray:
    """Return a sample's mask or label; a mask's own axis of one is dropped.

    kind: of label, which of both is meant where a sample has both; None: the mask.
    """
    of_image = kind is not None and kind not in OF_PIXELS
    if "label" in sample and (of_image or "mask" not in sample):
        return sample["label"]
    mask = sample["mask"]
    return mask[0] if mask.ndim == 3 and len(mask) == 1 else mask


class DatasetScene(OneFrame):
    """One sample. size: height and width, those of the first sample. kind: of its label."""

    crs: str | None = None
    transform: Affine | None = None

    def __init__(
        self, samples: Samples, index: int, size: tuple[int, int], band_names: Sequence[str], kind: Kind
    ) -> None:
        self.name = samples.name(index)
        self.height, self.width = size
        self.band_names = list(band_names)
        self.conversions: Sequence[Conversion] | None = None
        self._samples, self._index, self._kind = samples, index, kind

    def origin_of(self, band: int) -> Origin:
        """Return the sample's name."""
        return Origin(self.name, "NaN in the sample's image instead of {}")

    def read_planes(self, window: Window, bands: Sequence[int]) -> Planes:
        """Return the image as the data set gives it.

        Raises:
            UserError: it has another shape than the first sample's.
        """
        image = self._samples[self._index]["image"]
        if image.shape != (len(self.band_names), self.height, self.width):
            raise UserError(
                f"data.module: sample {self.name} has an image {image.shape}, and the first one "
                f"{(len(self.band_names), self.height, self.width)}. All need one shape: resize them in the data set."
            )
        stored = [image[band][window.slices] for band in bands]
        valid = np.ones((window.height, window.width), dtype=bool)
        if np.issubdtype(image.dtype, np.floating):
            for plane in stored:
                valid &= ~np.isnan(plane)
        return Planes(stored, conversions_of(bands, self.conversions), valid)

    def read_label(self, window: Window) -> np.ndarray:
        """Return the label of a window, see `Scene`.

        Raises:
            UserError: a mask has another size than its image.
        """
        label = label_of(self._samples[self._index], self._kind)
        if self._kind in OF_PIXELS:
            if label.shape[-2:] != (self.height, self.width):
                raise UserError(
                    f"data.module: sample {self.name} has a mask {label.shape} and an image of {self.height} x "
                    f"{self.width} pixels."
                )
            label = label[..., *window.slices]
        if self._kind in ("segmentation", "classification", "multilabel"):
            return label.astype(np.int64)
        numbers = label.astype(np.float32)
        if self._kind == "regression":
            return numbers if numbers.ndim == 3 else numbers[None]
        return np.atleast_1d(numbers)
