"""A batch that learns in parts: the gradients of micro-batches are summed, and the optimizer steps once for all."""

from collections.abc import Callable, Iterator
from typing import Any

import lightning
import torch
from torch import Tensor

from geocompose.imagery.samples import Target
from geocompose.tasks.counting import is_labelled

Batch = dict[str, Any]


def parts(batch: Batch, size: int) -> Iterator[Batch]:
    """Yield a batch in micro-batches of `size` samples; the last has what is left."""
    for start in range(0, len(batch["tile"]), size):
        yield {name: _cut(value, start, start + size) for name, value in batch.items()}


def _cut(value: Any, start: int, stop: int) -> Any:
    """Return samples of a tensor, or of each tensor in a list, such as the features of several layers."""
    return [_cut(one, start, stop) for one in value] if isinstance(value, list | tuple) else value[start:stop]


def share_of(part: Batch, batch: Batch, target: Target) -> Tensor:
    """Return which share of a batch's labels a part has, so that a mean over labels is that of the whole batch.

    Where labels are made of the images, as of a reconstruction, and where there are none: of its samples.
    """
    key = "mask" if target.pixel_wise else "label"
    samples = torch.tensor(len(part["tile"]) / len(batch["tile"]), device=batch["tile"].device)
    if key not in batch:
        return samples
    own, whole = (is_labelled(each[key], target).sum() for each in (part, batch))
    return torch.where(whole > 0, own / whole, samples)


def learn_in_parts(
    task: lightning.LightningModule,
    batch: Batch,
    batch_idx: int,
    size: int,
    target: Target,
    loss_of: Callable[[Batch], Tensor],
) -> Tensor:
    """Return the last micro-batch's share of the loss, after the others' gradients were added up.

    It comes in place of a training step, whose caller computes the last part's gradients; see
    `EmptiedBefore` for why the caller may not set them to zero in between.
    """
    whole = task.trainer.accumulate_grad_batches
    if batch_idx % whole == 0:
        task.optimizers(use_pl_optimizer=False).zero_grad()  # type: ignore[union-attr]
    *first, last = parts(batch, size)
    for part in first:
        loss = loss_of(part) * share_of(part, batch, target) / whole
        with torch.autocast(loss.device.type, enabled=False):
            task.trainer.strategy.backward(loss, None)
    return loss_of(last) * share_of(last, batch, target)


class EmptiedBefore(lightning.LightningModule):
    """A module whose gradients are set to zero before a step that learns in parts, and not between the parts.

    micro_batch: samples of a part; None where a batch is learnt whole.
    """

    micro_batch: int | None = None

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> Any:
        """Set gradients to zero, where `learn_in_parts` has not done so: Lightning asks after the training step."""
        if self.micro_batch is None:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)
