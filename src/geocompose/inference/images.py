"""A model over many images, one answer per image: read as in training, predicted by batches, written as a table."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geocompose.data.coordinates.coordinates import Coordinates
from geocompose.data.fitting import Fit, fitted_image, fitted_window
from geocompose.data.rasters.remarks import say_remarks
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.answers import answers, check_output, first_not_finite
from geocompose.inference.batch_choice import Batch, choose_batch
from geocompose.inference.content import Content, check_names
from geocompose.inference.coordinates import CoordinateReader, stacked
from geocompose.inference.destination import TABLE, check_destination
from geocompose.inference.listing import ImageFile
from geocompose.inference.reading import Reading
from geocompose.inference.stages import overlapped
from geocompose.inference.tally import Spread, Tally
from geocompose.inference.watch import Watch
from geocompose.runs.atomic import write_text


@dataclass(frozen=True)
class TableSummary:
    """What was predicted.

    batch: how many images at a time. without_data: images without any valid pixel, which have no prediction. classes:
    how many images were given each class, by name; empty for numbers. variables: what each variable's values are like;
    empty for classes.
    """

    images: int
    batch: Batch
    without_data: int
    classes: dict[str, int]
    variables: dict[str, Spread]


class _Sample(NamedTuple):
    """An image as the model sees it, normalised (C, tile_px, tile_px); None where it has no valid pixel.

    coordinates: when and where it was taken, by its name in batches.
    """

    name: str
    pixels: np.ndarray | None
    coordinates: dict[str, np.ndarray]


def predict_images(
    model: Callable[..., Tensor],
    images: Sequence[ImageFile],
    destination: str | Path,
    *,
    target: Target,
    content: Content,
    reading: Reading,
    tile_px: int,
    fit: Fit,
    batch_size: int | None,
    coordinates: CoordinateReader | None = None,
    progress: Callable[[int, int], None] | None = None,
    chosen: Callable[[Batch], None] | None = None,
) -> TableSummary:
    """Predict `images`, write the table `destination` whole or not at all, and return what was done.

    The table is CSV with one row per image. Its column `file` is the image's name; then come
    - classification: `class`, and for `probabilities` one column `probability_<class>` per class;
    - multilabel: one column per class of 1 (it is there) and 0, or for `probabilities` a column `probability_<class>`;
    - scalar_regression: one column per variable, in its physical unit.
    All of them are empty for an image without a valid pixel.

    model: takes normalised pixels, float32 (B, bands, [frames,] tile_px, tile_px) on the CPU, and returns what a model
        of `target.kind` does, (B, classes) logits or numbers (B,), (B, variables), on any device.
    reading: how each image is read; one without a valid pixel has no answer.
    tile_px, fit: the size that the model was trained with, and how a larger image comes to it: `crop` takes its centre,
        `resize` scales it, `refuse` stops. A smaller one is padded with the mean below and at the right.
    coordinates: finds when and where each image was taken, which the model is then given by name; None for a model that
        is given neither.
    batch_size: images at a time; None is as many as fit into memory (`choose_batch`), which `chosen` is told.
    progress: called with the number of images done and the number of all after each batch.

    Raises:
        UserError: an argument, a file or the model's output is not as described above; nothing is written.
    """
    assert not target.pixel_wise, target.kind
    destination = Path(destination)
    if batch_size is not None and batch_size < 1:
        raise UserError(f"action.batch_size={batch_size}: write how many images to predict at a time, 1 or more.")
    check_names(target)
    check_destination(destination, TABLE, [])
    known: set[str] = set()
    watch = reading.watch()
    samples = (_read(image, tile_px, fit, reading, coordinates, known, watch) for image in images)
    first = next(samples)
    batch = Batch(batch_size) if batch_size is not None else _chosen(model, first, reading, tile_px)
    if chosen is not None:
        chosen(batch)
    table = _Table(target, content)

    def predicted(group: list[_Sample]) -> list[tuple[_Sample, np.ndarray | None]]:
        return list(zip(group, _predict(model, group, target, content), strict=True))

    def write(said: list[tuple[_Sample, np.ndarray | None]]) -> None:
        for sample, values in said:
            table.add(sample.name, values)
        if progress is not None:
            progress(table.rows, len(images))

    overlapped(_groups(chain([first], samples), batch.size), predicted, write)
    watch.say()
    write_text(destination, table.text)
    return TableSummary(
        images=len(images),
        batch=batch,
        without_data=len(images) - table.tally.count,
        classes=table.tally.classes,
        variables=table.tally.variables,
    )


class _Table:
    """The rows of a table so far, and what they come to."""

    def __init__(self, target: Target, content: Content) -> None:
        self.tally, self.rows = Tally(target), 0
        self._target, self._content = target, content
        self._text = io.StringIO()
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(["file", *_columns(target, content)])

    def add(self, name: str, values: np.ndarray | None) -> None:
        """Write what was predicted of an image (bands,); None where it has no data."""
        self._csv.writerow([name, *_cells(values, self._target, self._content)])
        self.rows += 1
        if values is not None:
            self.tally.add(values[:, None])

    @property
    def text(self) -> str:
        """The table."""
        return self._text.getvalue()


def _groups(samples: Iterable[_Sample], size: int) -> Iterator[list[_Sample]]:
    waiting = iter(samples)
    while group := list(islice(waiting, size)):
        yield group


def _chosen(model: Callable[..., Tensor], sample: _Sample, reading: Reading, tile_px: int) -> Batch:
    """Return how many images like this one fit into memory."""
    frames = (reading.num_frames,) if reading.num_frames > 1 else ()
    image = torch.zeros(1, len(reading.bands), *frames, tile_px, tile_px)
    return choose_batch(model, image, stacked([sample.coordinates]))


def _predict(
    model: Callable[..., Tensor], samples: Sequence[_Sample], target: Target, content: Content
) -> list[np.ndarray | None]:
    """Return for each sample what is predicted of it (bands,), or None where it has no data."""
    seen = [sample for sample in samples if sample.pixels is not None]
    if not seen:
        return [None for _ in samples]
    batch = torch.from_numpy(np.stack([sample.pixels for sample in seen if sample.pixels is not None]))
    with torch.inference_mode():
        output = model(batch, **stacked([sample.coordinates for sample in seen]))
        check_output(output, batch, target)
        wrong = first_not_finite(output)
        if wrong is not None:
            raise UserError(
                f"The model returned NaN or infinity for {seen[wrong].name}. Its training may have diverged: choose "
                "another run or checkpoint."
            )
        values = iter(answers(output, target, content).cpu().numpy())
    return [None if sample.pixels is None else next(values) for sample in samples]


def _columns(target: Target, content: Content) -> list[str]:
    named = list(target.names)
    if content == "probabilities":
        named = [f"probability_{name}" for name in target.names]
    if target.kind == "classification":
        return ["class", *named] if content == "probabilities" else ["class"]
    return named


def _cells(values: np.ndarray | None, target: Target, content: Content) -> list[str]:
    """Return the row's cells after the file's name; all empty without values."""
    if values is None:
        return [""] * len(_columns(target, content))
    if content == "classes" and target.kind == "classification":
        return [target.names[int(values[0])]]
    numbers = [str(value) for value in values]  # of float32: as short as gives the same number again
    if content == "probabilities" and target.kind == "classification":
        return [target.names[int(values.argmax())], *numbers]
    return numbers


def _read(
    image: ImageFile,
    tile_px: int,
    fit: Fit,
    reading: Reading,
    coordinates: CoordinateReader | None,
    known: set[str],
    watch: Watch,
) -> _Sample:
    """Return the image as the model sees it.

    known: what was said already, which is not said again. watch: is shown what is read.
    """
    seen = reading.open(image.path)
    height, width = seen.image.height, seen.image.width
    if fit == "refuse" and max(height, width) > tile_px:
        raise UserError(
            f"{image.path} has {height} x {width} pixels (rows x columns); the run was trained with images of at "
            f"most {tile_px} x {tile_px}. Write action.fit=crop to take its centre, or action.fit=resize to scale it."
        )
    known |= say_remarks(seen.image.rasters, known)
    watch.begin(seen)
    window = fitted_window(height, width, tile_px, fit, image.path)
    pixels, valid = seen.read(window, watch)
    taken = Coordinates() if coordinates is None else coordinates.of(image.name, str(seen.image.path))
    return _Sample(image.name, fitted_image(pixels, tile_px) if valid.any() else None, taken.of(0, window))
