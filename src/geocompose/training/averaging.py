"""The moving average of the weights (EMA), with a decay that warms up."""

import math

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

KEPT_AT_MOST = 0.05


class WarmedAverage(WeightAveraging):
    """Averages weights and buffers after each step; early steps count more than `decay` says.

    In step t = 1, 2, ... after the first, the average keeps min(decay, (1 + t) / (10 + t)) of itself. With a constant
    decay of 0.999, a run of 500 steps would end with 61 % of its untrained start.
    Source: TensorFlow's ExponentialMovingAverage, `num_updates`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay

    @torch.no_grad()
    def _average(self, averaged: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
        share = 1 - decay_at(int(steps), self.decay)
        if averaged[0].is_floating_point() or averaged[0].is_complex():
            torch._foreach_lerp_(averaged, current, share)
        else:
            torch._foreach_copy_(averaged, current)  # counters, such as batch normalisation's


def decay_at(step: int, decay: float) -> float:
    """Return how much of the average is kept in a step, counted from 0: the first average is the weights themselves."""
    return 0.0 if step == 0 else min(decay, (1 + step) / (10 + step))


def kept_of_start(decay: float, num_steps: int) -> float:
    """Return the share that the weights after the first step have in the average after `num_steps`."""
    return math.prod(decay_at(step, decay) for step in range(1, num_steps))
