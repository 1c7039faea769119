"""Operations in one piece give the shapes that torch finds on the meta device: layout, graph and errors too."""

import warnings
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.contracts import meta, one_piece
from geocompose.contracts.one_piece import in_one_piece
from tests.contracts.test_pairs import built


def maps(*shape: int, channels_last: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(shape, device="meta", dtype=dtype).to(memory_format=layout).requires_grad_()


def weight(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta", requires_grad=True)


def no_gradient(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def found(call, *tensors):
    """Return what a call returns, as far as shapes go, or how it fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = call(*tensors)
    except (RuntimeError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        return type(error), str(error)
    idle = meta.unused([answer], {str(place): tensor for place, tensor in enumerate(tensors)})
    return tuple(answer.shape), answer.stride(), answer.dtype, answer.device.type, answer.requires_grad, idle


X, LAST, SMALL = maps(2, 6, 8, 10), maps(2, 6, 8, 10, channels_last=True), maps(2, 6, 8, 10, dtype=torch.bfloat16)
STATISTICS = torch.empty(6, device="meta"), torch.empty(6, device="meta")
CALLS = [
    (lambda x: F.interpolate(x, size=(4, 5)), X),
    (lambda x: F.interpolate(x, 7), X),
    (lambda x: F.interpolate(x, size=(16, 3), mode="bilinear", align_corners=False), LAST),
    (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), SMALL),
    (lambda x: F.interpolate(x, scale_factor=(0.5, 1.7), mode="nearest"), X),
    (lambda x: F.interpolate(x, scale_factor=2.3, mode="bicubic", align_corners=True), X),
    (lambda x: F.interpolate(x, size=(4, 5), mode="area"), X),
    (lambda x: F.interpolate(x, size=(4, 5), mode="bilinear", antialias=True), X),
    # What torch refuses.
    (lambda x: F.interpolate(x, size=(4, 5), mode="nearest", align_corners=True), X),
    (lambda x: F.interpolate(x, size=(4, 5, 6), mode="bilinear"), X),
    (lambda x: F.interpolate(x), X),
    (lambda x: F.interpolate(x, size=(4, 5), scale_factor=2), X),
    (lambda x: F.interpolate(x, size=(0, 5), mode="bilinear"), X),
    (lambda x: F.interpolate(x, size=(4, 5), mode="linear"), X),
    (lambda x: F.interpolate(x, scale_factor=(2, 2, 2), mode="bilinear"), X),
    (lambda x: F.interpolate(x, size=(4, 5), mode="no such mode"), X),
    (lambda x: F.interpolate(x, scale_factor=0.01, mode="bilinear"), X),
    # Norms, and widths that don't fit them.
    (lambda x, w, b: F.layer_norm(x, (10,), w, b), X, weight(10), weight(10)),
    (lambda x, w: F.layer_norm(x, [8, 10], w), X, weight(8, 10)),
    (lambda x: F.layer_norm(x, (10,)), LAST),
    (lambda x: F.layer_norm(x, (9,)), X),
    (lambda x, w: F.layer_norm(x, (10,), w), X, weight(9)),
    (lambda x, w, b: F.batch_norm(x, *STATISTICS, w, b), X, weight(6), weight(6)),
    (lambda x: F.batch_norm(x, *STATISTICS), LAST),
    (lambda x, w, b: F.batch_norm(x, *STATISTICS, w, b, training=True), X, weight(6), weight(6)),
    (lambda x: F.batch_norm(x, None, None, training=True), maps(1, 6, 1, 1)),
    (lambda x: F.batch_norm(x, *STATISTICS), maps(2, 5, 8, 10)),
    # Arguments that there are not.
    (lambda x: F.layer_norm(x), X),
    (lambda x: F.interpolate([x], size=(4, 5)), X),
    (lambda x: F.interpolate(x, size="large"), X),
    (lambda x: F.gelu(input=x, approximate="tanh"), X),
    (lambda x, w, b: F.linear(x, w, b), X, weight(7, 10), weight(7)),
    (lambda x, w: F.linear(x, w), X, weight(7, 9)),
    (lambda x, y: x + y, X, weight(6, 8, 1)),
    (lambda x: x * x + 2, LAST),
    # Attention that does not fit: masks of other tokens, keys and values of other numbers, widths or heads.
    (lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m), weight(2, 3, 9, 4), no_gradient(1, 3, 8, 8)),
    (lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m), weight(2, 3, 9, 4), no_gradient(9, 8)),
    (lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m), weight(2, 3, 9, 4), no_gradient(4, 3, 9, 9)),
    (F.scaled_dot_product_attention, weight(2, 3, 9, 4), weight(2, 3, 8, 4), weight(2, 3, 7, 4)),
    (lambda q, k: F.scaled_dot_product_attention(q, k, k), weight(2, 3, 9, 4), weight(2, 3, 9, 5)),
    (lambda q, k: F.scaled_dot_product_attention(q, k, k), weight(2, 3, 9, 4), weight(2, 5, 9, 4)),
    # Activations.
    (lambda x: F.gelu(x), X),
    (lambda x: F.gelu(x, approximate="tanh"), LAST),
    (lambda x: F.silu(x), SMALL),
    (lambda x: F.silu(x * 1, inplace=True), X),
    (lambda x: nn.ReLU(inplace=True)(F.batch_norm(x, *STATISTICS)), X),
]  # fmt: skip


@pytest.mark.parametrize("case", CALLS, ids=range(len(CALLS)))
def test_an_operation_in_one_piece_gives_what_torch_finds(case):
    call, *tensors = case
    usual = found(call, *tensors)
    with in_one_piece():
        assert found(call, *tensors) == usual


def test_tensors_with_numbers_are_computed_with():
    x, statistics = torch.randn(2, 3, 4, 5), (torch.randn(3), torch.rand(3))
    calls = [
        lambda: F.interpolate(x, 8, mode="bilinear"),
        lambda: F.layer_norm(x, (5,)),
        lambda: F.batch_norm(x, *statistics),
        lambda: F.gelu(x) + F.silu(x) * x,
        lambda: F.linear(x, torch.ones(2, 5), torch.zeros(2)),
    ]
    usual = [call() for call in calls]
    with in_one_piece():
        assert all(torch.equal(call(), before) for call, before in zip(calls, usual, strict=True))


@pytest.mark.parametrize(("name", "decoder"), [("prithvi", "upernet"), ("convnext", "fcn"), ("resnet50", "unet")])
def test_a_models_shapes_and_idle_parameters_are_those_of_operations_taken_apart(name, decoder):
    model, image = built(name, decoder), meta.meta_image(6, 1, (64, 96))
    seen = []
    for known in (one_piece._SHAPES, {}):
        shapes: list[object] = []
        hooks = [
            part.register_forward_hook(lambda _, __, out, shapes=shapes: shapes.append(getattr(out, "shape", None)))
            for part in model.modules()
        ]
        with patch.object(one_piece, "_SHAPES", known):
            output = meta.meta_forward(model, image).output
            idle = meta.unreached_parameters(model, image)
        for hook in hooks:
            hook.remove()
        seen.append((output.shape, idle, shapes))
    assert seen[0] == seen[1]
    assert len(seen[0][2]) > 50
