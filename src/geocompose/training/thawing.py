"""A backbone that is frozen for the first epochs and learns afterwards, at a fraction of the rate (peft=lp_ft)."""

import logging
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.optim import Optimizer

from geocompose.errors import UserError, counted
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.freezing import thaw_of
from geocompose.training.processes import Processes

log = logging.getLogger("geocompose")


class Thawing(Callback):
    """Lets the backbone learn from an epoch on, and multiplies every rate then.

    What is to be done follows from the epoch's number alone, so that a resumed run does as an undisturbed one. The rate
    is multiplied for the length of an optimizer's step: the schedule goes on with its own numbers.
    """

    def __init__(self, model: EncoderDecoderModel, first_epoch: int, factor: float) -> None:
        """Take the model.

        first_epoch: the first one, counted from 0, in which the backbone learns. factor: of the rates from then on.
        """
        self._model, self.first_epoch, self._factor = model, first_epoch, factor
        self._thawed = False
        self._rates: list[Any] = []

    @property
    def factor(self) -> float:
        """What the rates are multiplied by now."""
        return self._factor if self._thawed else 1.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Attach to the optimizer's steps."""
        for optimizer in trainer.optimizers:
            optimizer.register_step_pre_hook(self._lower)
            optimizer.register_step_post_hook(self._restore)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Thaw the backbone where its epoch has come."""
        if not self._thawed and trainer.current_epoch >= self.first_epoch:
            self._thawed = True
            self._model.thaw_encoder()

    def _lower(self, optimizer: Optimizer, *step: Any) -> None:
        self._rates = [group["lr"] for group in optimizer.param_groups]
        if self._thawed:
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * self._factor

    def _restore(self, optimizer: Optimizer, *step: Any) -> None:
        # The numbers of before: divided again, they might differ in their last digit.
        for group, rate in zip(optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate


def thawing(model: nn.Module, num_epochs: int, processes: Processes) -> list[Thawing]:
    """Return the callback of a model whose backbone is frozen for a time, told in the log; of others none.

    Raises:
        UserError: too few epochs for two phases, or several processes.
    """
    assert isinstance(model, EncoderDecoderModel)
    thaw = thaw_of(model.encoder)
    if thaw is None:
        return []
    if processes.size > 1:
        raise UserError(
            "peft=lp_ft lets the backbone learn in the middle of a run, and several processes agree at its start on "
            f"whose gradients they share: use trainer=default, one process; got {processes.size}."
        )
    first = thaw.first_epoch(num_epochs)
    log.info(
        "peft=lp_ft: the backbone is frozen for the first %s of %d, then all learns at %g of the rate.",
        counted(first, "epoch"), num_epochs, thaw.factor,
    )  # fmt: skip
    return [Thawing(model, first, thaw.factor)]
