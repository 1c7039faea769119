"""Backbones kept in shapes alone, so that those which meet many decoders are built once."""

import copy
import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import nn

_MOST = 8  # a backbone as the tasks of one round ask for it: their bands and tile sizes differ


class KeptBackbones:
    """Constructors of backbones that build once and hand out copies."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, nn.Module] = OrderedDict()

    def keeping(self, constructor: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        """Return a constructor that does the same on the meta device, faster from its second call on."""
        if isinstance(constructor, functools.partial):
            return functools.partial(self.keeping(constructor.func), *constructor.args, **constructor.keywords)

        @functools.wraps(constructor)
        def copied(*args: Any, **arguments: Any) -> nn.Module:
            key = f"{constructor.__module__}.{constructor.__qualname__} {args!r} {sorted(arguments.items())!r}"
            if key not in self._kept:
                self._kept[key] = constructor(*args, **arguments)
                if len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return copy.deepcopy(self._kept[key])

        return copied
