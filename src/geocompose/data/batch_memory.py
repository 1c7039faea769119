"""Memory of batches that is used again: the system clears new memory page by page, and that takes its time."""

import weakref
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch

_ALIGNED = 64  # bytes: torch's own tensors begin at such addresses, and its kernels are fastest there


class BatchMemory:
    """Tensors of one size whose memory comes back when nothing holds them any more.

    most: how many are kept for the next ones.
    """

    def __init__(self, most: int) -> None:
        self._free: deque[np.ndarray] = deque(maxlen=most)

    def take(self, shape: Sequence[int]) -> torch.Tensor:
        """Return a float32 tensor with any contents; in memory that a GPU copies from at once, where there is one."""
        if torch.cuda.is_available():
            return torch.empty(
                tuple(shape), dtype=torch.float32, pin_memory=True
            )  # torch itself uses such memory again
        count = int(np.prod(shape))
        memory = self._memory(4 * count + _ALIGNED)
        start = -memory.ctypes.data % _ALIGNED
        held = memory[start : start + 4 * count]
        # The tensor and all views of it hold this array: where it goes, nothing reads the memory any more.
        weakref.finalize(held, self._free.append, memory).atexit = False
        return torch.from_numpy(held).view(torch.float32).view(tuple(shape))

    def _memory(self, size: int) -> np.ndarray:
        while self._free:
            memory = self._free.pop()
            if len(memory) >= size:
                return memory
        return np.empty(size, dtype=np.uint8)
