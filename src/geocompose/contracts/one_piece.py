"""Operations in one piece, as a real device computes them; on the meta device torch would take them apart.

Taken apart, some take a hundred times as long (a bilinear interpolation 15 ms, a small model's forward twenty times
what it takes with numbers), and what is counted of memory is not what a device needs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, register_flop_formula

aten = torch.ops.aten


# Called by their names in aten, which no mode looks at on the way.
_empty, _like = aten.new_empty.default, aten.empty_like.default


def _resized(image: Tensor, size: Sequence[int], *_: Any) -> Any:
    if image.ndim != 4 or len(size) != 2 or min(*size, *image.shape) < 1:
        return None
    channels_last = image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = (*image.shape[:2], *size)
    return aten.empty.memory_format(shape, dtype=image.dtype, device=image.device, memory_format=layout)


def _batch_norm(
    image: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    training: bool,
    *_: Any,
) -> Any:
    if any(value is not None and value.numel() != image.shape[1] for value in (weight, bias, mean, var)):
        return None
    kept = [image.shape[1] if training else 0]
    return _like(image), _empty(image, kept), _empty(image, kept)


def _layer_norm(image: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float) -> Any:
    own = tuple(image.shape[-len(shape) :])
    if tuple(shape) != own or any(tuple(value.shape) != own for value in (weight, bias) if value is not None):
        return None
    reduced = (*image.shape[: -len(shape)], *(1 for _ in shape))
    return _like(image, memory_format=torch.contiguous_format), _empty(image, reduced), _empty(image, reduced)


def _linear(bias: Tensor, rows: Tensor, columns: Tensor, **scales: Any) -> Any:
    if scales or rows.shape[1] != columns.shape[0] or bias.shape != columns.shape[1:] or bias.dtype != rows.dtype:
        return None
    return _empty(rows, (rows.shape[0], columns.shape[1]))


def _activated(image: Tensor, **_: Any) -> Any:
    return _like(image) if image.is_contiguous() else None


def _sum_of_alike(left: Any, right: Any, **scales: Any) -> Any:
    alike = isinstance(right, Tensor) and left.shape == right.shape and left.dtype == right.dtype
    return _like(left) if alike and not scales and left.is_contiguous() and right.is_contiguous() else None


# Each returns None for what it does not know; torch then answers, or refuses.
_SHAPES: Mapping[Any, Callable[..., Any]] = {
    aten.upsample_bilinear2d.default: _resized,
    aten.upsample_bicubic2d.default: _resized,
    aten.upsample_nearest2d.default: _resized,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.addmm.default: _linear,
    aten.gelu.default: _activated,
    aten.silu.default: _activated,
    aten.add.Tensor: _sum_of_alike,
    aten.mul.Tensor: _sum_of_alike,
}


class Shapes(TorchDispatchMode):
    """Answers these operations on the meta device by shape; all others are torch's."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, or say what it would return."""
        shaped = _SHAPES.get(func)
        returned = shaped(*args, **(kwargs or {})) if shaped is not None and args[0].is_meta else None
        return func(*args, **(kwargs or {})) if returned is None else returned


class FusedAttention(TorchFunctionMode):
    """Attention as processors and accelerators compute it, which keep no matrix of all pairs of tokens.

    Where a real device would take the formula apart too - a mask that learns, or dropout - it is left alone.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function, attention in its fused form."""
        given = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            named = {
                **dict(zip(("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), args, strict=False)),
                **given,
            }
            if _is_fused(named):
                return _fused(named)
        return func(*args, **given)


def _is_fused(named: Mapping[str, Any]) -> bool:
    query, key, value, mask = (named.get(name) for name in ("query", "key", "value", "attn_mask"))
    assert query is not None
    assert key is not None
    assert value is not None
    alike = query.ndim == key.ndim == value.ndim == 4 and query.shape[-1] == key.shape[-1] == value.shape[-1]
    # The fused operation does not look at these on the meta device; torch refuses what does not fit.
    fits = alike and key.shape == value.shape and key.shape[:2] == query.shape[:2]
    fits = fits and (mask is None or _spreads(mask.shape, (*query.shape[:-1], key.shape[-2])))
    learns = mask is not None and mask.requires_grad
    return fits and not learns and not named.get("dropout_p") and not named.get("enable_gqa")


def _spreads(shape: Sequence[int], over: Sequence[int]) -> bool:
    """Return whether a tensor of this shape can be spread over another one."""
    return len(shape) <= len(over) and all(
        own in (1, wanted) for own, wanted in zip(reversed(shape), reversed(over), strict=False)
    )


def _fused(named: Mapping[str, Any]) -> Tensor:
    attention: Callable[..., Any] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    output, _ = attention(
        named["query"],
        named["key"],
        named["value"],
        0.0,
        bool(named.get("is_causal")),
        attn_mask=named.get("attn_mask"),
        scale=named.get("scale"),
    )
    return output


def _attention_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Return the operations of attention on shapes (B, heads, length, width): its two products, 2 per multiply-add."""
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[-2] * (width + value[-1])


# torch's counters know the products of attention taken apart, and of some releases not the whole on a processor.
if aten._scaled_dot_product_flash_attention_for_cpu not in flop_registry:
    register_flop_formula(aten._scaled_dot_product_flash_attention_for_cpu)(_attention_flops)


@contextmanager
def in_one_piece() -> Iterator[None]:
    """Run a block so that these operations stay whole on the meta device; what they return has the same shapes."""
    with Shapes(), FusedAttention():
        yield
