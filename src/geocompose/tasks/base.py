"""What all tasks have in common: training, freezing, auxiliary losses, counting and scores, as a Lightning module."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from geocompose.arguments import plain
from geocompose.contracts.schedule import schedule_of
from geocompose.data.census import Sampling
from geocompose.data.drawn import FEATURES
from geocompose.errors import UserError, choices, shortened
from geocompose.imagery.coordinates import coordinates_of
from geocompose.imagery.samples import Kind, Target
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.freezing import thaw_of
from geocompose.models.output import ModelOutput
from geocompose.tasks.counting import is_labelled, labels
from geocompose.tasks.micro_batches import EmptiedBefore, learn_in_parts
from geocompose.tasks.parameter_groups import parameter_groups
from geocompose.tasks.schedule import MakeScheduler, lightning_schedule
from geocompose.tasks.split_counts import SplitCounts
from geocompose.tasks.split_losses import SplitLosses
from geocompose.tasks.whole_batch import real, whole_batch, whole_tiles

log = logging.getLogger("geocompose")

Batch = dict[str, Any]  # tensors, and lists of them
MakeOptimizer = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


def check_kind(kind: str, target: Target) -> None:
    """Refuse data whose labels are of another kind than the task's.

    Raises:
        UserError: names both, and what to write instead.
    """
    if target.kind != kind:
        raise UserError(
            f"task={kind} needs data with labels of that kind; this data has {target.kind} "
            f"({', '.join(target.names[:4])}{', ...' if len(target.names) > 4 else ''}). Use task={target.kind}, or "
            f"data such as data=synthetic_{kind}."
        )


class Task(EmptiedBefore):
    """Trains a model on labelled tiles or images and scores it by pooled counts of a split.

    Batches hold image (B, C, H, W), or (B, C, T, H, W) of several frames, tile (B), the sample's number in its split,
    and mask (of pixels) or label (of images); where they are known, temporal_coords (B, T, 2) and location_coords (B,
    2). Where features of a frozen backbone are kept, `features` come in place of images and coordinates, and
    `kept_size` says of which rows and columns the images were.

    kind: that of the targets. selection: the metric by which the best epoch is chosen, and `max` or `min`.
    sampler: how training tiles are drawn; None draws each once per epoch.
    """

    kind: ClassVar[Kind]
    selection: tuple[str, str]
    sampler: Sampling | None = None
    takes_features: ClassVar[bool] = True  # whether it needs nothing of an image but what the backbone makes of it
    kept_size: tuple[int, int] | None = None

    def __init__(
        self,
        model: EncoderDecoderModel,
        optimizer: MakeOptimizer,
        scheduler: MakeScheduler,
        target: Target,
        num_tiles: Mapping[str, int],
        make_criterion: Callable[[], nn.Module],
        aux_loss: Mapping[str, float] | None,
        lr_by_part: Mapping[str, float] | None,
        freeze_backbone: bool,
        freeze_decoder: bool,
        freeze_head: bool,
        layer_decay: float | None = None,
    ) -> None:
        """Take the model, constructors of optimizer and scheduler, the data's target, and the task's own.

        num_tiles: tiles of `val` and `test`. make_criterion: returns the loss of an output and its labels; called where
        the target is of this kind. aux_loss: the weight of each auxiliary head's loss. lr_by_part: see
        `parameter_groups`. freeze_*: parts that don't learn. layer_decay: see `geocompose.tasks.layer_decay`.

        Raises:
            UserError: data of another kind, auxiliary heads without weights or the reverse, rates that can't be, or
                nothing is left to learn.
        """
        super().__init__()
        check_kind(self.kind, target)
        _check_names(target)
        if freeze_backbone and thaw_of(model.encoder) is not None:
            raise UserError(
                "peft=lp_ft lets the backbone learn after the first epochs, and task.freeze_backbone=true would not. "
                "Use peft=frozen, or task.freeze_backbone=false."
            )
        self.model = model
        self.criterion = make_criterion()
        self.target = target
        self.aux_loss = _checked_weights(plain(aux_loss) or {}, list(model.aux_heads))
        for wanted, freeze in (
            (freeze_backbone, model.freeze_encoder),
            (freeze_decoder, model.freeze_decoder),
            (freeze_head, model.freeze_head),
        ):
            if wanted:
                freeze()
        if model.learning_inputs:
            log.info(
                "The backbone is frozen but for %s: the filters of bands that its weights lack start randomly, and "
                "learn.",
                shortened(model.learning_inputs, 4),
            )
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise UserError("Nothing is left to learn: task.freeze_* freeze every part that has parameters.")
        self._optimizer, self._scheduler, self._lr_by_part = optimizer, scheduler, plain(lr_by_part)
        self._layer_decay = layer_decay
        self._split_losses = SplitLosses()
        self.counts = nn.ModuleDict(
            {f"{split}_counts": SplitCounts(target, num_tiles[split]) for split in ("val", "test")}
        )

    def forward(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> Tensor:
        """Return the model's main output."""
        return self.model(image, temporal_coords, location_coords).output

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the batch's loss, of its last part where it learns in parts (see `learn_in_parts`)."""
        if self.micro_batch is None:
            return self.loss_of(batch, logged=True)
        return learn_in_parts(self, batch, batch_idx, self.micro_batch, self.target, partial(self.loss_of, logged=True))

    def loss_of(self, batch: Batch, *, logged: bool = False) -> Tensor:
        """Return a batch's loss, auxiliary ones and what the backbone's schedule adds included; log it where asked."""
        output, own = self._answer(batch, training=True)
        tiles = whole_tiles(batch["tile"])
        truth = whole_batch(own, tiles)
        loss = self.criterion(whole_batch(output.output, tiles), truth)
        size = len(truth)
        if logged:
            self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=size, prog_bar=True)
        # `train/loss` stays comparable with `val/loss`, which has no auxiliary losses or penalties in it.
        schedule = schedule_of(self.model.encoder)
        penalty = 0.0 if schedule is None else schedule.penalty(self.model.encoder)
        if not self.aux_loss:
            return loss + penalty
        for name, weight in self.aux_loss.items():
            loss = loss + weight * self.criterion(whole_batch(output.auxiliary_heads[name], tiles), truth)
        if logged:
            self.log("train/loss_with_auxiliary", loss, on_step=False, on_epoch=True, batch_size=size)
        return loss + penalty

    def on_train_epoch_end(self) -> None:
        """Stop a run whose loss is no longer a number, instead of selecting among meaningless epochs."""
        for name in ("train/loss", "train/loss_with_auxiliary"):
            loss = self.trainer.callback_metrics.get(name)
            if loss is not None and not torch.isfinite(loss):
                raise UserError(
                    f"The training loss is {float(loss)} in epoch {self.current_epoch}. Lower optimizer.lr, set "
                    "trainer.gradient_clip_val, or use trainer.precision=32-true or bf16-mixed instead of 16-mixed."
                )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch of the validation split."""
        self._score("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Score a batch of the test split; return its `output`, labels and tiles, those of all processes."""
        return self._score("test", batch)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's counts."""
        self._counts("val").reset()
        self._split_losses.reset()

    def on_test_epoch_start(self) -> None:
        """Forget earlier counts."""
        self._counts("test").reset()
        self._split_losses.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the losses and scores of the validation split."""
        self.log_dict(self._split_losses.means())
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the losses and scores of the test split."""
        self.log_dict(self._split_losses.means())
        self._log_scores("test")

    def tile_counts(self, split: str) -> Tensor:
        """Return what was counted for each tile of the split, as last scored: (tiles, ...), see `count_tiles`."""
        return torch.from_numpy(self._counts(split).per_tile())

    def tile_calibration(self, split: str) -> np.ndarray | None:
        """Return how sure and how right the model was, as last scored; None for numbers. See `SplitCounts`."""
        return self._counts(split).calibration_per_tile()

    def tile_thresholds(self, split: str) -> np.ndarray | None:
        """Return how probable the second of two classes was, as last scored; None without two. See `SplitCounts`."""
        return self._counts(split).thresholds_per_tile()

    def scores(self, split: str) -> dict[str, float]:
        """Return the split's metrics by name, from what was counted over all its valid pixels or images."""
        return self._counts(split).scores()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to resume from what is not a checkpoint of this training.

        Raises:
            UserError: its weights have other names or shapes, or the optimizer's state is not in it.
        """
        own, its = (
            {name: value.shape for name, value in state.items()}
            for state in (self.state_dict(), checkpoint.get("state_dict", {}))
        )
        if its != own or not checkpoint.get("optimizer_states"):
            what = "the optimizer's state is missing" if its == own else "its weights have other names or shapes"
            raise UserError(
                f"{self.trainer.ckpt_path} is not a checkpoint of this training: {what}. Put the run's own back, or "
                "compute the run again with rerun=true."
            )

    def configure_optimizers(self) -> Any:
        """Return optimizer and schedule; the optimizer holds only what learns."""
        return self.optimization(int(self.trainer.estimated_stepping_batches), self.trainer.check_val_every_n_epoch)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what the optimizer gets: see `geocompose.tasks.parameter_groups`."""
        return parameter_groups(self.model, self._lr_by_part, self._layer_decay, self._rate)

    @property
    def _rate(self) -> float | None:
        """The optimizer's own rate, where its constructor was told one."""
        rate = getattr(self._optimizer, "keywords", {}).get("lr")
        return None if rate is None else float(rate)

    def optimization(self, num_steps: int, validation_every: int | None) -> dict[str, Any]:
        """Return what Lightning asks for: an optimizer and a schedule of so many optimizer steps.

        validation_every: a validation every so many epochs.

        Raises:
            ValueError: the optimizer or the schedule can't be; a UserError where we know why.
        """
        optimizer = self._optimizer(self.parameter_groups())
        # A fused optimizer would undo the scaling of 16-bit gradients within its step, after their norm was clipped:
        # without this flag Lightning and torch undo it before, as for any other.
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        schedule = lightning_schedule(
            self._scheduler, optimizer, self.selection, num_steps=num_steps, validation_every=validation_every or 1
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _answer(self, batch: Batch, *, training: bool) -> tuple[ModelOutput, Tensor]:
        """Return what the model says of a batch, and the labels that it is held to. training: whether it learns."""
        truth = batch["mask" if self.target.pixel_wise else "label"]
        if FEATURES in batch:
            assert self.kept_size is not None, "who keeps features says of which images"
            return self.model.from_features(batch[FEATURES], self.kept_size), truth
        return self.model(batch["image"], **coordinates_of(batch)), truth

    def _score(self, split: str, batch: Batch) -> Batch:
        """Score a batch; return the output, labels and tiles of the whole one, where several processes share it."""
        returned, own_truth = self._answer(batch, training=False)
        output = returned.output
        tiles = whole_tiles(batch["tile"])
        key = "mask" if self.target.pixel_wise else "label"
        whole, truth = whole_batch(output, tiles), whole_batch(own_truth, tiles)
        labelled = is_labelled(truth, self.target).sum()
        for name, loss in self._losses(whole, truth).items():
            self._split_losses.add(f"{split}/{name}", loss, labelled)
        own = real(batch["tile"])
        self._counts(split).update(output[own], labels({key: own_truth}, self.target)[own], batch["tile"][own])
        return {"output": whole, key: truth, "tile": tiles[real(tiles)]}

    def _losses(self, output: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Return by name what is logged of a batch that is scored."""
        return {"loss": self.criterion(output, truth)}

    def _counts(self, split: str) -> SplitCounts:
        return self.counts[f"{split}_counts"]  # type: ignore[return-value]

    def _log_scores(self, split: str) -> None:
        scores = {f"{split}/{name}": value for name, value in self.scores(split).items()}
        shown = f"{split}/{self.selection[0].removeprefix('val/')}"
        if shown in scores:  # else it is the loss, which is logged already
            self.log_dict({shown: scores.pop(shown)}, prog_bar=True)
        self.log_dict(scores)


def _check_names(target: Target) -> None:
    taken = [name for name in target.names if name in ("macro", "micro")]
    if taken:
        raise UserError(f"A class can't be called {taken[0]}: F1_{taken[0]} is the name of a mean over classes.")


def _checked_weights(weights: Mapping[str, float], heads: list[str]) -> dict[str, float]:
    for name, weight in weights.items():
        if name not in heads:
            known = choices(name, heads) if heads else "It has none: choose some with auxiliary=fcn, or leave it null."
            raise UserError(f"task.aux_loss names {name!r}, but the model has no such auxiliary head. {known}")
        if not 0 <= weight < float("inf"):
            raise UserError(f"task.aux_loss.{name} must be a weight of 0 or more; got {weight}.")
    lacking = [name for name in heads if name not in weights]
    if lacking:
        raise UserError(
            f"The auxiliary head {lacking[0]} has no weight for its loss. Write "
            f"task.aux_loss={{{', '.join(f'{name}: {weights.get(name, 0.4)}' for name in heads)}}}."
        )
    return dict(weights)
