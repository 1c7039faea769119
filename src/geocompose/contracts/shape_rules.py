"""What interpolations, norms and activations return on the meta device, said at once.

There torch finds the shape by running an operation's Python reference step by step: a bilinear interpolation takes
15 ms, and a small model's forward twenty times as long as with numbers. These operations' shapes need no search. A rule
answers only where torch would have computed without complaint; everything else goes the usual way, errors included.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Rule = Callable[..., Tensor | None]
_ALIGNING = ("bilinear", "bicubic")  # the modes that have align_corners
_OTHERS = ("nearest", "nearest-exact", "area")


class ShapeRules(TorchFunctionMode):
    """Answers by rules while it is entered, for tensors on the meta device.

    Answers depend on the operation's inputs in autograd's graph. Nothing that multiplies matrices is here, so that
    operations are counted as ever.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named: Mapping[str, Any] = kwargs or {}
        answer = _answer(function, args, named)
        return function(*args, **named) if answer is None else answer


def _answer(function: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Tensor | None:
    rule = _RULES.get(function)
    if rule is None or not isinstance(args[0] if args else named.get("input"), Tensor):
        return None
    try:
        return rule(*args, **named)
    except TypeError:  # of arguments that the operation doesn't take either, which it says in its own words
        return None


class _Made(torch.autograd.Function):
    """A tensor laid out like another, as what is computed from `inputs`."""

    @staticmethod
    def forward(ctx: Any, like: Callable[[], Tensor], *inputs: Tensor) -> Tensor:
        return like()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise NotImplementedError("shapes have no gradients")


def _made(like: Callable[[], Tensor], *inputs: Tensor | None) -> Tensor:
    answer = _Made.apply(like, *(each for each in inputs if each is not None))
    assert isinstance(answer, Tensor)
    return answer


def _interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor | None:
    of_maps = input.is_meta and input.ndim == 4 and input.numel() > 0 and input.is_floating_point() and not antialias
    known = mode in _ALIGNING or (mode in _OTHERS and align_corners is None)
    if not (of_maps and known) or (size is None) == (scale_factor is None):
        return None
    if size is not None:
        wanted = (size, size) if isinstance(size, int) else tuple(size)
    else:
        factors = (scale_factor,) * 2 if isinstance(scale_factor, int | float) else tuple(scale_factor or ())
        if len(factors) != 2:
            return None
        wanted = tuple(int(cells * float(factor)) for cells, factor in zip(input.shape[2:], factors, strict=True))
    if len(wanted) != 2 or not all(isinstance(cells, int) and cells > 0 for cells in wanted):
        return None
    channels_last = input.is_contiguous(memory_format=torch.channels_last) and not input.is_contiguous()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = (*input.shape[:2], *wanted)
    return _made(lambda: torch.empty(shape, dtype=input.dtype, device="meta", memory_format=layout), input)


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor | None:
    shape = tuple(normalized_shape)
    alike = all(each is None or tuple(each.shape) == shape for each in (weight, bias))
    if not input.is_meta or not shape or tuple(input.shape[-len(shape) :]) != shape or not alike:
        return None
    return _made(lambda: torch.empty(input.shape, dtype=input.dtype, device="meta"), input, weight, bias)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    # In training torch refuses a single value per channel, and statistics move.
    if training or not input.is_meta or input.ndim < 2 or running_mean is None or running_var is None:
        return None
    channels = tuple(input.shape[1:2])
    if any(each is not None and tuple(each.shape) != channels for each in (running_mean, running_var, weight, bias)):
        return None
    return _made(lambda: torch.empty_like(input), input, weight, bias)


def _activation(input: Tensor, *_: Any, inplace: bool = False, **__: Any) -> Tensor | None:
    if inplace or not input.is_meta or not input.is_floating_point():
        return None
    return _made(lambda: torch.empty_like(input), input)


_RULES: Mapping[Any, Rule] = {
    F.interpolate: _interpolate,
    F.layer_norm: _layer_norm,
    F.batch_norm: _batch_norm,
    F.gelu: _activation,
    F.silu: _activation,
}
