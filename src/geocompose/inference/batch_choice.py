"""How many windows or images a model is given at a time, where nobody says it: by what one takes of the free memory."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from geocompose.errors import counted
from geocompose.inference.device import best_device

# Beyond these numbers nothing was gained: processors are busy with one window, accelerators with some dozens.
_MOST_ON_CPU, _MOST = 16, 128
_CPU_BYTES = 2**30  # of a batch on a processor, where the system and other programs need memory too
_SHARE_OF_CPU, _SHARE = 0.25, 0.5  # of what is free
_WORK_SPACE = 2  # libraries take memory of their own beside tensors, which can't be seen: as much again


@dataclass(frozen=True)
class Batch:
    """How many windows or images at a time.

    window_bytes: what one of them was measured to take; None where `size` was given.
    """

    size: int
    window_bytes: int | None = None

    def in_words(self, what: str) -> str:
        """Return what was chosen and by what, as a sentence. what: `window` or `image`."""
        measured = "" if self.window_bytes is None else f", each of {self.window_bytes / 2**20:,.0f} MB as measured"
        return f"{counted(self.size, what)} at a time{measured} (action.batch_size sets another number)."


def choose_batch(model: Callable[..., Tensor], image: Tensor, coordinates: Mapping[str, Tensor]) -> Batch:
    """Return the largest power of two of images of which the model's tensors fit into the memory that is free.

    model: takes images (and coordinates by name) on the CPU, and is run once. image: one, (1, C, [T,] h, w).
    coordinates: its own.
    """
    with torch.inference_mode(), _Live() as live:
        model(image, **coordinates)
    device = best_device()
    on_cpu = device.type == "cpu"
    free = (
        min(_SHARE_OF_CPU * free_bytes(), _CPU_BYTES)
        if on_cpu
        else _SHARE * torch.accelerator.get_memory_info(device)[0]
    )
    number = int(free // max(1, _WORK_SPACE * live.most_bytes))
    number = max(1, min(number, _MOST_ON_CPU if on_cpu else _MOST))
    return Batch(2 ** (number.bit_length() - 1), live.most_bytes)


def free_bytes() -> int:
    """Return how much memory is free for this process, as far as the system tells: its own, and its container's."""
    found = [psutil.virtual_memory().available]
    limit, used = (Path("/sys/fs/cgroup/memory", name) for name in ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    if not limit.exists():
        limit, used = (Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current"))
    if limit.exists() and used.exists() and (text := limit.read_text().strip()).isdigit():
        found.append(max(0, int(text) - int(used.read_text())))
    return min(found)


class _Live(TorchDispatchMode):
    """Counts the bytes of the tensors that are there at a time of those that come while it is on.

    Attributes: `most_bytes`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most_bytes = 0
        self._bytes = 0
        self._known: dict[int, weakref.finalize[Any, Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._take(tensor.untyped_storage())
        return made

    def _take(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known[key] = weakref.finalize(storage, self._give, key, size)
        self._bytes += size
        self.most_bytes = max(self.most_bytes, self._bytes)

    def _give(self, key: int, size: int) -> None:
        del self._known[key]
        self._bytes -= size
