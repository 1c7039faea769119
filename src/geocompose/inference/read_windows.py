"""Windows of a raster as a model sees them, and what it says of the part that is kept: for maps and for scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.answers import answers, check_output, first_not_finite
from geocompose.inference.content import Content
from geocompose.inference.coordinates import stacked
from geocompose.inference.windows import PredictionWindow


@dataclass(frozen=True)
class ReadWindow:
    """One window as it was read: where it belongs, normalised pixels (C, [T,] h, w), and which are valid (h, w).

    coordinates: when and where it was taken, by its name in batches.
    """

    window: PredictionWindow
    pixels: np.ndarray
    valid: np.ndarray
    coordinates: dict[str, np.ndarray]


def predict_windows(
    model: Callable[..., Tensor], windows: Sequence[ReadWindow], target: Target, content: Content
) -> list[np.ndarray | None]:
    """Return for each window what is said of its kept part (bands, h, w), or None where that has no valid pixel.

    windows: of one size. model, target, content: see `geocompose.inference.raster.predict_raster`.

    Raises:
        UserError: the model's output is of another shape, or NaN or infinite.
    """
    # The borders of a scene are often empty: a window without a valid pixel needs no model.
    seen = [one for one in windows if one.valid[one.window.kept].any()]
    if not seen:
        return [None for _ in windows]
    batch = torch.from_numpy(np.stack([one.pixels for one in seen]))
    with torch.inference_mode():
        output = model(batch, **stacked([one.coordinates for one in seen]))
        check_output(output, batch, target)
        wrong = first_not_finite(output)
        if wrong is not None:
            row, column, height, width = seen[wrong].window.read
            raise UserError(
                f"The model returned NaN or infinity for the {height} x {width} window at row {row}, column {column}. "
                "Its training may have diverged: choose another run or checkpoint."
            )
        # Cut before anything is made of it: probabilities of many classes are as large as the logits.
        kept = (output[i : i + 1, ..., *one.window.kept] for i, one in enumerate(seen))
        said = [answers(part, target, content)[0].cpu().numpy() for part in kept]
    by_place = iter(said)
    return [next(by_place) if one.valid[one.window.kept].any() else None for one in windows]
