"""From a model's output to what is written of it."""

import torch
from torch import Tensor

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.content import Content
from geocompose.tasks.counting import predicted


def check_output(output: Tensor, images: Tensor, target: Target) -> None:
    """Refuse an output that is not a model's of this kind for `images` (B, C, H, W), or (B, C, T, H, W).

    Raises:
        UserError: it has another shape.
    """
    # A single variable has no axis of its own.
    channels = () if target.num_outputs == 1 and not target.of_classes else (target.num_outputs,)
    expected = (len(images), *channels, *(images.shape[-2:] if target.pixel_wise else ()))
    if tuple(output.shape) == expected:
        return
    one, many = ("logit per class", "classes") if target.of_classes else ("number per variable", "variables")
    advice = ", and rescale=True in the model" if target.pixel_wise else ""
    raise UserError(
        f"The model returned {_shape(output.shape)} for {_shape(images.shape)}; a prediction needs one {one} and "
        f"{'pixel' if target.pixel_wise else 'image'}, {_shape(expected)}. Check the number of {many}{advice}."
    )


def finite_images(output: Tensor) -> Tensor:
    """Return which of a batch hold neither NaN nor infinity: bool (B,), on the output's device."""
    # A sum is finite where all of it is, and read once; one that isn't may have been too large for float32. On an
    # accelerator, to look at it is to wait for it.
    if output.device.type == "cpu" and output.sum(dtype=torch.float32).isfinite():
        return torch.ones(len(output), dtype=torch.bool)
    return output.isfinite().reshape(len(output), -1).all(dim=1)


def first_not_finite(output: Tensor) -> int | None:
    """Return which of the batch is the first that holds NaN or infinity, or None."""
    finite = finite_images(output)
    return None if finite.all() else int((~finite).nonzero()[0])


def answers(output: Tensor, target: Target, content: Content) -> Tensor:
    """Return what is written of a model's output, (B, bands) with the pixels' axes behind.

    output: of any floating type, on any device.

    `classes`: the index of the most probable class, one band; of a multilabel task 1 or 0 for each class, from a
    probability of one half on. `probabilities`: one band per class, float32, summing to 1 but for a multilabel task.
    `values`: one band per variable, float32, in its physical unit.
    """
    if content == "probabilities":
        return output.float().sigmoid() if target.kind == "multilabel" else output.float().softmax(dim=1)
    if target.of_classes and target.kind != "multilabel":
        # The first of the greatest, as argmax gives it, in a tenth of its time on processors.
        return output.max(dim=1).indices.unsqueeze(1)
    said = predicted(output, target)
    return said if content == "values" else said.long()


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
