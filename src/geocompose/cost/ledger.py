"""Memory and operations of what runs on the meta device: the life of each storage, and a count of each operation."""

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Flops(TorchDispatchMode):
    """Counts floating-point operations within it, as torch's FlopCounterMode does, but not for each module."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and count it."""
        returned = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=returned)
        return returned


class Ledger(TorchDispatchMode):
    """Follows the storages that are made within it.

    live: bytes that exist now. peak: the most that existed at a time. largest: the largest single one.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        """Say which tensors were there before; they and their views don't count."""
        super().__init__()
        self.live = self.peak = self.largest = 0
        self._known = [tensor.untyped_storage() for tensor in known]
        self._sizes = dict.fromkeys(map(id, self._known), 0)
        self._watched: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and enter what it returns."""
        returned = func(*args, **(kwargs or {}))
        for value in returned if isinstance(returned, list | tuple) else (returned,):
            if isinstance(value, Tensor):
                self._enter(value.untyped_storage())
        return returned

    def _enter(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)  # torch keeps one Python object per storage for as long as the storage lives
        if key in self._sizes:
            return
        size = storage.nbytes()
        self._sizes[key] = size
        self._watched[key] = weakref.ref(storage, lambda _: self._leave(key))
        self.live += size
        self.peak = max(self.peak, self.live)
        self.largest = max(self.largest, size)

    def _leave(self, key: int) -> None:
        self.live -= self._sizes.pop(key)
        del self._watched[key]
