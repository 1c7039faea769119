"""A batch that several processes share, put together again: the loss is that of the whole batch, whatever the loss.

Each process computes the loss of all outputs. The gradient of its own outputs is then the sum of what all processes
ask of them, which is as many times too large as there are processes; distributed training takes the mean over processes
and so gives the gradient of one process.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def num_processes() -> int:
    """Return how many processes share a batch."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def whole_batch(shared: Tensor, tiles: Tensor) -> Tensor:
    """Return (B, ...) of all processes in their order, without the samples that only fill a share up.

    shared: (b, ...) of this process, of the same shape in each. tiles: (B), the whole batch's tiles; see `whole_tiles`.
    """
    if num_processes() == 1:
        return shared
    whole: Tensor = _Gathered.apply(shared)
    return whole[tiles >= 0]


def whole_tiles(tiles: Tensor) -> Tensor:
    """Return the tiles (B) of all processes; below 0 stands for a sample that only fills a share up."""
    return tiles if num_processes() == 1 else _gather(tiles)


def real(tiles: Tensor) -> Tensor | slice:
    """Return which samples of a process's own share are not there only to fill it up."""
    return slice(None) if num_processes() == 1 else tiles >= 0


def _gather(shared: Tensor) -> Tensor:
    parts = [torch.empty_like(shared, memory_format=torch.contiguous_format) for _ in range(num_processes())]
    dist.all_gather(parts, shared.contiguous())
    return torch.cat(parts)


class _Gathered(torch.autograd.Function):
    """Gathers what all processes have; the gradient of a process's own part is the sum over all."""

    @staticmethod
    def forward(ctx: Any, shared: Tensor) -> Tensor:
        ctx.size = len(shared)
        return _gather(shared)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.contiguous().clone()
        dist.all_reduce(summed)
        own: Tensor = summed.narrow(0, dist.get_rank() * ctx.size, ctx.size)
        return own
