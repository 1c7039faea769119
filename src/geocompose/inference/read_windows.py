"""Windows of a raster as a model sees them, and what it says of the part that is kept: for maps and for scores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.answers import answers, check_output, finite_images
from geocompose.inference.content import Content
from geocompose.inference.coordinates import stacked
from geocompose.inference.windows import PredictionWindow

_MOST_EMPTY = 64  # windows without data in a batch, beside those that the model sees: their masks take memory too


@dataclass(frozen=True)
class ReadWindow:
    """One window as it was read: where it belongs, normalised pixels (C, [T,] h, w), and which are valid (h, w).

    coordinates: when and where it was taken, by its name in batches.
    """

    window: PredictionWindow
    pixels: np.ndarray
    valid: np.ndarray
    coordinates: dict[str, np.ndarray]

    @property
    def is_seen(self) -> bool:
        """Whether a valid pixel is kept of it; the borders of a scene are often empty, and need no model."""
        return bool(self.valid[self.window.kept].any())


@dataclass(frozen=True)
class WindowBatch:
    """Windows of one size, and what the model is given of those that have a valid pixel.

    windows: all of them, and valid: where each has data, bool (h, w). seen: the places in `windows` of those that the
    model sees. images: their pixels (B, C, [T,] h, w); None where there are none. coordinates: by name, each (B, ...).
    """

    windows: list[PredictionWindow]
    valid: list[np.ndarray]
    seen: list[int]
    images: Tensor | None
    coordinates: dict[str, Tensor]


def batched(windows: Iterable[ReadWindow], batch_size: int) -> Iterator[list[ReadWindow]]:
    """Yield windows in groups of which the model sees `batch_size`, all of one size; the last has fewer."""
    group: list[ReadWindow] = []
    seen = 0
    for one in windows:
        full = seen == batch_size or len(group) - seen >= _MOST_EMPTY
        if group and (full or group[0].pixels.shape != one.pixels.shape):
            yield group
            group, seen = [], 0
        group.append(one)
        seen += one.is_seen
    if group:
        yield group


def gathered(windows: Sequence[ReadWindow]) -> WindowBatch:
    """Return windows of one size as a batch."""
    seen = [place for place, one in enumerate(windows) if one.is_seen]
    images = torch.from_numpy(np.stack([windows[place].pixels for place in seen])) if seen else None
    if images is not None and torch.cuda.is_available():
        images = images.pin_memory()  # from there it is copied to the device while that computes
    return WindowBatch(
        windows=[one.window for one in windows],
        valid=[one.valid for one in windows],
        seen=seen,
        images=images,
        coordinates=stacked([windows[place].coordinates for place in seen]) if seen else {},
    )


class Said:
    """What a model said of a batch, on its device: computed there as long as nobody asks for it.

    batch: what it was asked.
    """

    def __init__(self, batch: WindowBatch, output: Tensor | None, target: Target, content: Content) -> None:
        self.batch = batch
        self._values: Tensor | None = None
        if output is None:
            return
        self._finite = finite_images(output)
        # Cut before anything is made of it: probabilities of many classes are as large as the logits.
        self._rows, self._columns = (
            _hull([batch.windows[place].kept[axis] for place in batch.seen]) for axis in (0, 1)
        )
        values = answers(output[..., self._rows, self._columns], target, content)
        small = content == "classes" and target.num_outputs <= 256
        self._values = values.to(torch.uint8) if small else values  # int64 is eight times as much to bring over

    def arrays(self) -> list[np.ndarray | None]:
        """Return for each window what is said of its kept part (bands, h, w), or None where that has no valid pixel.

        Raises:
            UserError: the model's output was NaN or infinite.
        """
        found: list[np.ndarray | None] = [None] * len(self.batch.windows)
        if self._values is None:
            return found
        finite = self._finite.cpu().numpy()
        if not finite.all():
            row, column, height, width = self.batch.windows[self.batch.seen[int(finite.argmin())]].read
            raise UserError(
                f"The model returned NaN or infinity for the {height} x {width} window at row {row}, column {column}. "
                "Its training may have diverged: choose another run or checkpoint."
            )
        for place, values in zip(self.batch.seen, self._values.cpu().numpy(), strict=True):
            rows, columns = self.batch.windows[place].kept
            found[place] = values[:, _within(rows, self._rows), _within(columns, self._columns)]
        return found


def said_of(model: Callable[..., Tensor], batch: WindowBatch, target: Target, content: Content) -> Said:
    """Return what is said of a batch; on an accelerator, it may still be computing.

    model, target, content: see `geocompose.inference.raster.predict_raster`.

    Raises:
        UserError: the model's output is of another shape.
    """
    if batch.images is None:
        return Said(batch, None, target, content)
    with torch.inference_mode():
        output = model(batch.images, **batch.coordinates)
        check_output(output, batch.images, target)
        return Said(batch, output, target, content)


def _hull(slices: Sequence[slice]) -> slice:
    """Return the shortest slice that covers all."""
    return slice(min(one.start for one in slices), max(one.stop for one in slices))


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
