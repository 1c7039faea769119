"""The forward of a block that has prompts: they go in before its tokens and are taken off after."""

from typing import Any

import torch
from torch import Tensor, nn

PROMPTS, DROPOUT = "vpt_prompts", "vpt_dropout"  # what a block with prompts has


class Carried:
    """Prompts between blocks, by the number of the block that they come from: of the last forward.

    They stay until the next one, since a block whose activations are computed again for the backward asks for them
    again. Copies of a model begin without.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.after: dict[int, Tensor] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Carried":
        """Return an empty one: what a forward computed can't be copied, and is not asked for."""
        return Carried()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle an empty one."""
        return Carried, ()


class Prompted:
    """Stands in place of a block's `forward`, so that its name and those of its parameters stay as they are."""

    def __init__(self, block: nn.Module, num_prompts: int, number: int, carried: Carried | None) -> None:
        """Take the block, which has `vpt_prompts` (1, num_prompts, width) unless others come from the block before.

        number: of the block. carried: what goes from block to block; None where each has prompts of its own.
        """
        self.block, self.num_prompts, self.number, self.carried = block, num_prompts, number, carried

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the block returns for its tokens (B, N, C), without those of the prompts."""
        key = None if args else next(iter(kwargs))
        tokens: Tensor = args[0] if key is None else kwargs[key]
        given = torch.cat([self._prompts(tokens), tokens], dim=1)
        count = tokens.shape[1]
        if key is None:
            args = (given, *(self._seen(value, count) for value in args[1:]))
            kwargs = {name: self._seen(value, count) for name, value in kwargs.items()}
        else:
            kwargs = {name: given if name == key else self._seen(value, count) for name, value in kwargs.items()}
        returned = type(self.block).forward(self.block, *args, **kwargs)
        if isinstance(returned, tuple):
            return (self._without(returned[0]), *returned[1:])
        return self._without(returned)

    def _seen(self, value: Any, count: int) -> Any:
        """Return an argument beside `count` tokens: a mask of attention (..., N, N) lets all see the prompts too.

        transformers gives its blocks one where a model is traced, though nothing is hidden. What differs from head to
        head (B, heads, N, N) is no mask but what tokens' places add to attention; prompts have no place, so it stays,
        and the block stops.
        """
        if not isinstance(value, Tensor) or value.ndim < 2 or value.shape[-2:] != (count, count):
            return value
        if value.ndim == 4 and value.shape[1] > 1:
            return value
        added = (self.num_prompts, 0)  # before the tokens, in rows and columns
        return nn.functional.pad(value, added * 2, value=True if value.dtype == torch.bool else 0.0)

    def _prompts(self, tokens: Tensor) -> Tensor:
        if self.carried is not None and self.number:
            return self.carried.after[self.number - 1]
        own: Tensor = getattr(self.block, PROMPTS)
        dropout: nn.Module = getattr(self.block, DROPOUT)
        return dropout(own.expand(tokens.shape[0], -1, -1)).to(tokens.dtype)

    def _without(self, tokens: Tensor) -> Tensor:
        if self.carried is not None:
            self.carried.after[self.number] = tokens[:, : self.num_prompts]
        return tokens[:, self.num_prompts :]
