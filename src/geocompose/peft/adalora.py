"""AdaLoRA: LoRA whose ranks follow from the layers' importance, under a budget that shrinks during the training."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.errors import UserError, at_least
from geocompose.peft.chosen import check_kwargs, chosen_layers
from geocompose.peft.library import adapted, keeps_outputs_at_start, refuse_adapted

_OWN_KEYS = {
    "r": "r",
    "target_r": "r",
    "init_r": "init_r",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "tinit": "warmup",
    "tfinal": "final",
    "deltaT": "every",
    "orth_reg_weight": "orthogonality",
    "target_modules": "target_modules",
}
_STEPS = ("total_step", "rank_pattern")  # what the training tells PEFT


@dataclass(frozen=True)
class AdaLora:
    """Matrices in the form of a singular value decomposition, of which the least important values are taken away.

    r: the rank that is left at the end, as a mean over the adapted layers; init_r: the rank of each at the beginning.
    alpha, dropout: as LoRA's. warmup, final: shares of the training's steps at its beginning, when all ranks stay, and
    at its end, when no more are taken away. every: values are taken away each so many steps. orthogonality: the weight
    of the penalty in the training's loss that keeps the singular vectors orthogonal.
    roles, target_modules, replace_qkv: which layers are adapted, as for LoRA (`geocompose.peft.lora.Lora`). kwargs:
    further arguments of PEFT's AdaLoraConfig, such as {beta1: 0.85}. Source: arXiv 2303.10512.
    """

    r: int = 8
    init_r: int = 12
    alpha: int = 16
    dropout: float = 0.0
    warmup: float = 0.1
    final: float = 0.5
    every: int = 1
    orthogonality: float = 0.5
    roles: list[str] | None = None
    target_modules: list[str] | None = None
    replace_qkv: str | None = None
    kwargs: dict[str, object] = field(default_factory=dict)

    freezes = True
    mergeable = True

    @property
    def keeps_outputs_at_start(self) -> bool:
        """Whether the adapted backbone returns what it did before, until something is learned."""
        return keeps_outputs_at_start("ADALORA", self.kwargs)

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone within PEFT's model; its `schedule` is for whoever trains it.

        Raises:
            UserError: numbers out of range, targets that are not there, or an argument that AdaLoraConfig doesn't have.
        """
        refuse_adapted(backbone)
        self._check()
        layers = chosen_layers(backbone, self.roles, self.target_modules, self.replace_qkv)
        own = {
            "target_r": self.r,
            "init_r": self.init_r,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "deltaT": self.every,
            "orth_reg_weight": self.orthogonality,
            "total_step": 1,  # until the training says how many there are
        }
        model: Any = adapted(backbone, "ADALORA", {**own, **self.kwargs, "target_modules": layers})
        model.schedule = RankBudget(self.warmup, self.final)
        return model

    def _check(self) -> None:
        at_least("peft.r", self.r, 1)
        at_least("peft.alpha", self.alpha, 1)
        at_least("peft.every", self.every, 1)
        at_least("peft.orthogonality", self.orthogonality, 0)
        if self.init_r <= self.r:
            raise UserError(
                f"peft.init_r must be above peft.r, or no rank is ever taken away; got {self.init_r} and {self.r}. For "
                "equal ranks write peft=lora."
            )
        if not 0 <= self.dropout < 1:
            raise UserError(f"peft.dropout must be from 0 to below 1; got {self.dropout}.")
        if self.warmup < 0 or self.final < 0 or not self.warmup + self.final < 1:
            raise UserError(
                "peft.warmup and peft.final are shares of the training, 0 or more, and together below 1; got "
                f"{self.warmup} and {self.final}."
            )
        check_kwargs(self.kwargs, _OWN_KEYS)
        for name in _STEPS:
            if name in self.kwargs:
                raise UserError(f"peft.kwargs has {name!r}, which follows from the training. Leave it out.")


@dataclass
class RankBudget:
    """The schedule of AdaLoRA's ranks in a training; PEFT's model computes what is important and takes away."""

    warmup: float
    final: float

    def begin(self, encoder: nn.Module, num_steps: int) -> None:
        """Plan for so many optimizer steps."""
        config = _config(encoder)
        # Rounded down, so that at least one step is left between the two.
        config.total_step = num_steps
        config.tinit, config.tfinal = int(self.warmup * num_steps), int(self.final * num_steps)

    def penalty(self, encoder: nn.Module) -> Tensor:
        """Return the mean distance of the singular vectors from orthogonal ones, by its weight.

        PEFT adds it where a model returns its own loss, which an encoder doesn't. Source: arXiv 2303.10512, equation 4.
        """
        distances = []
        for name, matrix in encoder.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                gram = matrix @ matrix.T if "lora_A" in name else matrix.T @ matrix
                distances.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
        return torch.stack(distances).mean() * _config(encoder).orth_reg_weight

    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Take away what the budget of this step has no room for; 1 is the first step."""
        matrices = list(_matrices(encoder))
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        # A step that mixed precision passes over has infinite gradients, which would stay in the means for ever.
        if not gradients or not torch.stack(torch._foreach_norm(gradients)).isfinite().all():
            return
        unreached = [matrix for matrix in matrices if matrix.grad is None]
        for matrix in unreached:  # behind the last layer that is asked for: of no importance
            matrix.grad = torch.zeros_like(matrix)
        encoder.base_model.update_and_allocate(step)  # type: ignore[union-attr, operator]
        for matrix in unreached:
            matrix.grad = None

    def state(self, encoder: nn.Module) -> dict[str, Any]:
        """Return the means of importance and the ranks so far."""
        allocator = _allocator(encoder)
        kept = {name: dict(getattr(allocator, name)) for name in _MEANS}
        return {**kept, "rank_pattern": _config(encoder).rank_pattern}

    def resume(self, encoder: nn.Module, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        allocator, config = _allocator(encoder), _config(encoder)
        places = {name: matrix.device for name, matrix in encoder.base_model.model.named_parameters()}  # type: ignore[union-attr]
        for name in _MEANS:
            setattr(allocator, name, {key: mean.to(places[key]) for key, mean in state[name].items()})
        config.rank_pattern = state["rank_pattern"]


_MEANS = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def _config(encoder: Any) -> Any:
    return next(iter(encoder.peft_config.values()))


def _allocator(encoder: Any) -> Any:
    return encoder.base_model.rankallocator


def _matrices(encoder: nn.Module) -> Iterator[nn.Parameter]:
    for name, parameter in encoder.named_parameters():
        if "lora_" in name:
            yield parameter
