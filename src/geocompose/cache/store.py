"""Features on disk: for each layer, arrays of many samples that are written whole, once, and read by mapping memory.

A layer is a folder of parts. Part `x` is `x.npy`, the features (samples, ...), and `x.items.npy`, written after it: for
each of them scene, row, column, height, width, the view's number, and the crc32 of its bytes. What was cut short, or
has another checksum, is as if it were not there.
"""

import logging
import os
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geocompose.data.drawn import Drawn
from geocompose.errors import UserError, counted
from geocompose.runs.atomic import explained

log = logging.getLogger("geocompose")

ITEMS = ".items.npy"
_DRAFT = ".draft"
_MOST_FP16 = float(np.finfo(np.float16).max)
NUMPY: dict[str, np.dtype[Any]] = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16)}

Key = tuple[int, ...]


def key_of(drawn: Drawn) -> Key:
    """Return by which numbers a sample is known."""
    return (drawn.region.scene, *drawn.region.window, drawn.view.number)


class Layer:
    """The kept features of one layer. dtype: fp32 or fp16, that of the files. computed_as: that of what is read."""

    def __init__(self, folder: Path, dtype: str, computed_as: torch.dtype) -> None:
        self.folder = folder
        self._dtype = NUMPY[dtype]
        self._computed_as = computed_as
        self._listed: dict[Key, list[tuple[int, int, int]]] = {}  # part, row and checksum, of each copy
        self._places: dict[Key, tuple[int, int]] = {}  # part and row of a copy that is whole
        self._parts: list[Path] = []
        self._mapped: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_mapped": {}}  # a process that loads data maps the files itself

    def look(self) -> None:
        """Learn what the folder holds; parts that another process has added are found."""
        for listed in sorted(self.folder.glob(f"*{ITEMS}")):
            part = listed.with_name(listed.name.removesuffix(ITEMS) + ".npy")
            if part not in self._parts:
                self._add(part, listed)

    def _add(self, part: Path, listed: Path) -> None:
        try:
            items, mapped = np.load(listed), np.load(part, mmap_mode="r")
            if items.shape != (len(mapped), 7) or mapped.dtype != self._dtype:
                raise ValueError("its list does not fit it")
        except (OSError, ValueError, EOFError) as error:
            log.warning("Kept features in %s can't be read (%s): they are computed again.", part, error)
            return
        number = len(self._parts)
        self._parts.append(part)
        for row, (*key, checksum) in enumerate(items.tolist()):
            self._listed.setdefault(tuple(key), []).append((number, row, checksum))

    def lists(self, key: Key) -> bool:
        """Return whether a sample's features are said to be here."""
        return key in self._listed

    def has(self, key: Key) -> bool:
        """Return whether a sample's features are here as they were written; they are read once for that."""
        if key not in self._places:
            for number, row, checksum in self._listed.get(key, ()):
                if zlib.crc32(self._row(number, row).data) == checksum:
                    self._places[key] = number, row
                    break
        return key in self._places

    def of(self, key: Key) -> Tensor:
        """Return a sample's features."""
        return torch.from_numpy(np.array(self._row(*self._places[key]))).to(self._computed_as)

    def _row(self, number: int, row: int) -> np.ndarray:
        if number not in self._mapped:
            self._mapped[number] = np.load(self._parts[number], mmap_mode="r")
        found: np.ndarray = self._mapped[number][row]
        return found

    def remove_drafts(self) -> None:
        """Remove files that were not finished, and features whose list was not written."""
        for draft in self.folder.glob(f".*{_DRAFT}"):
            draft.unlink(missing_ok=True)
        for part in self.folder.glob("*.npy"):
            if not part.name.endswith(ITEMS) and not part.with_name(f"{part.stem}{ITEMS}").exists():
                part.unlink(missing_ok=True)

    def write(self, keys: Sequence[Key], features: Tensor) -> None:
        """Add the features (samples, ...) of samples that are not here.

        Raises:
            UserError: the disk refuses, or a number is too large for fp16.
        """
        exact = features.float().cpu().numpy()
        if self._dtype == np.float16 and bool((np.isfinite(exact) & (np.abs(exact) > _MOST_FP16)).any()):
            raise UserError(
                f"Features in {self.folder} are beyond what fp16 can hold (65,504). Write cache.dtype=fp32."
            )
        values = exact.astype(self._dtype, order="C", copy=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex[:12]
        items = np.array([[*key, zlib.crc32(row.data)] for key, row in zip(keys, values, strict=True)], dtype=np.int64)
        for path, array in ((self.folder / f"{name}.npy", values), (self.folder / f"{name}{ITEMS}", items)):
            _save(path, array)


def _save(path: Path, array: np.ndarray) -> None:
    draft = path.with_name(f".{path.name}{_DRAFT}")
    with explained(path):
        try:
            with open(draft, "wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


class FeatureStore:
    """The kept features of a backbone on a data set: one `Layer` per feature that it returns, in their order."""

    def __init__(self, folder: Path, layers: Mapping[str, torch.dtype], dtype: str) -> None:
        """Take the folder, the layers' names with the types that they were computed as, and that of the files."""
        self.folder = folder
        self._layers = [Layer(folder / name, dtype, computed_as) for name, computed_as in layers.items()]

    def missing(self, items: Iterable[Drawn]) -> list[Drawn]:
        """Return those of the samples, each once and in order, of which a layer is not here or is damaged."""
        damaged = 0
        for layer in self._layers:
            layer.look()
        found = []
        for drawn in dict.fromkeys(items):
            key = key_of(drawn)
            if not all(layer.has(key) for layer in self._layers):
                found.append(drawn)
                damaged += all(layer.lists(key) for layer in self._layers)
        if damaged:
            log.warning(
                "Kept features of %s in %s are damaged, and are computed again.",
                counted(damaged, "sample"),
                self.folder,
            )
        return found

    def remove_drafts(self) -> None:
        """Remove what a process that was killed has left half written; nobody else may be computing."""
        for layer in self._layers:
            layer.remove_drafts()

    def of(self, drawn: Drawn) -> list[Tensor]:
        """Return a sample's features, one tensor per layer."""
        key = key_of(drawn)
        return [layer.of(key) for layer in self._layers]

    def write(self, items: Sequence[Drawn], features: Sequence[Tensor]) -> None:
        """Add the features of samples, one tensor (samples, ...) per layer; layers that have them are left alone."""
        keys = [key_of(drawn) for drawn in items]
        for layer, values in zip(self._layers, features, strict=True):
            lacking = [place for place, key in enumerate(keys) if not layer.has(key)]
            if lacking:
                layer.write([keys[place] for place in lacking], values[lacking])
