"""The memory that training a model will take, found on the meta device: what exists at the fullest moment of a step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.configuration.instantiation import instantiate
from geocompose.contracts.one_piece import in_one_piece
from geocompose.cost.ledger import Ledger
from geocompose.imagery.samples import Target
from geocompose.models.output import ModelOutput

MB = 2**20
# What the libraries of a first step bring along: code that is loaded when it is first called, threads, kernels compiled
# for shapes. Measured on a processor (benchmarks/forty_cells.py); an accelerator's context takes several times as much.
RUNTIME_MB = 40
# Bytes of a number in weights, gradients and the optimizer; in what the forward keeps; and in copies of the weights for
# it.
_BYTES: Mapping[str, tuple[int, int, int]] = {
    "32-true": (4, 4, 0),
    "64-true": (8, 8, 0),
    "16-true": (2, 2, 0),
    "bf16-true": (2, 2, 0),
    "16-mixed": (4, 2, 2),
    "bf16-mixed": (4, 2, 2),
}


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step, by what they are for.

    weights: parameters and buffers, and copies of them (of lower precision, or averaged). gradients, optimizer: of what
    learns. kept: what the forward keeps for the backward. passing: what is there for a moment beside it: gradients of
    the largest of these, and copies of the largest parameter in the layout of a convolution or on its way through the
    optimizer.
    batch: images and labels.
    """

    weights: int
    gradients: int
    optimizer: int
    kept: int
    passing: int
    batch: int

    @property
    def total_mb(self) -> int:
        """The estimate, in MB of 2**20 bytes: all of it, and what the libraries bring along."""
        parts = (self.weights, self.gradients, self.optimizer, self.kept, self.passing, self.batch)
        return round(sum(parts) / MB + RUNTIME_MB)


def training_memory(
    model: nn.Module, images: Mapping[str, Tensor], target: Target, config: Mapping[str, Any]
) -> TrainingMemory:
    """Return what training a model (on the meta device) takes.

    The forward of one batch runs in shapes, with a loss on each output (cross entropy, or squares), and every tensor's
    life is followed: what is left at its end is what the backward needs. From the second step on the optimizer has its
    state, and the last step's gradients are there until the backward begins.

    images: a batch in shapes, as the model's forward takes it by name. config: that of the run; its optimizer,
    precision and averaging count, its own loss does not, nor do its data's caches.
    """
    own, forward, copies = _BYTES[config["trainer"]["precision"]]
    parameters = list(model.parameters())
    numbers = sum(value.numel() for value in (*parameters, *model.buffers()))
    learning = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    averaged = own if config["trainer"].get("ema_decay") is not None else 0
    largest = max((parameter.numel() for parameter in parameters if parameter.requires_grad), default=0)
    ledger = _forward(model, images, target)
    return TrainingMemory(
        weights=numbers * (own + copies + averaged),
        gradients=learning * own,
        optimizer=round(learning * own * optimizer_slots(config["optimizer"])),
        kept=ledger.live * forward // 4,
        passing=max(ledger.peak - ledger.live, 2 * ledger.largest) * forward // 4 + 2 * largest * own,
        batch=sum(_bytes(image) for image in images.values()) + _bytes(_labels(images["image"], target)),
    )


def optimizer_slots(optimizer: Mapping[str, Any]) -> float:
    """Return how many numbers an optimizer keeps for each that learns: 2 of AdamW, 1 of SGD with momentum."""
    parameter = nn.Parameter(torch.zeros(8, 8))
    parameter.grad = torch.zeros(8, 8)
    made = instantiate(optimizer)([{"params": [parameter]}])
    made.step()
    kept = [value for value in made.state[parameter].values() if isinstance(value, Tensor) and value.ndim]
    return sum(value.numel() for value in kept) / parameter.numel()


@dataclass(frozen=True)
class _Kept:
    live: int
    peak: int
    largest: int


def _forward(model: nn.Module, images: Mapping[str, Tensor], target: Target) -> _Kept:
    """Return what a forward and its loss, in training mode, leave for the backward."""
    ledger = Ledger((*model.parameters(), *model.buffers(), *images.values()))
    labels = _labels(images["image"], target)
    mode = model.training
    model.train()
    try:
        with torch.enable_grad(), torch.device("meta"), in_one_piece(), ledger:
            loss = _loss(model(**images), labels, target)
            kept = _Kept(ledger.live, ledger.peak, ledger.largest)
            del loss  # which held all of it until now
    finally:
        model.train(mode)
    return kept


def _labels(image: Tensor, target: Target) -> Tensor:
    """Return labels in shapes: (B, H, W), (B,), or with a dimension of variables where there are several."""
    shape = [image.shape[0]]
    if not (target.kind in ("segmentation", "classification") or (not target.of_classes and target.num_outputs == 1)):
        shape.append(target.num_outputs)
    shape += image.shape[-2:] if target.pixel_wise else ()
    kind = torch.long if target.of_classes else torch.float32
    return torch.empty(shape, dtype=kind, device="meta")


def _loss(returned: ModelOutput, labels: Tensor, target: Target) -> Tensor:
    return torch.stack(
        [_one_loss(output, labels, target) for output in (returned.output, *returned.auxiliary_heads.values())]
    ).sum()


def _one_loss(output: Tensor, labels: Tensor, target: Target) -> Tensor:
    if target.kind in ("segmentation", "classification"):
        return F.cross_entropy(output, labels)
    if target.kind == "multilabel":
        return F.binary_cross_entropy_with_logits(output, labels.float())
    return F.mse_loss(output, labels)


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()
