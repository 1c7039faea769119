"""A convolution at the maps' own sizes: the numbers and gradients of the plain order, and fewer operations."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from geocompose.decoders.layers import joined_at_first
from geocompose.decoders.small_maps import convolved_at_first
from geocompose.decoders.upernet import UperNetDecoder
from geocompose.errors import UserError

SIZES = {
    "halves": [(16, 16), (8, 8), (4, 4), (2, 2)],
    "odd": [(13, 10), (7, 5), (4, 3), (1, 1)],
    "one of the first's size": [(8, 12), (4, 6), (8, 12), (16, 5)],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_it_is_the_plain_order_but_for_rounding(sizes, align_corners, kernel):
    torch.manual_seed(0)
    widths = [5, 3, 4, 6]
    conv = nn.Conv2d(sum(widths), 7, kernel, padding=kernel // 2).double()
    maps = [
        torch.randn(2, c, *size, dtype=torch.double, requires_grad=True) for c, size in zip(widths, sizes, strict=True)
    ]
    plain = conv(joined_at_first(maps, align_corners=align_corners))
    small = convolved_at_first(conv, maps, align_corners=align_corners)
    assert torch.allclose(small, plain, atol=1e-6)  # the operators of enlarging are of single precision
    seeds = torch.randn_like(plain)
    wanted = [conv.weight, conv.bias, *maps]
    for one, other in zip(
        torch.autograd.grad(small, wanted, seeds), torch.autograd.grad(plain, wanted, seeds), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5)


def upernet(joining):
    torch.manual_seed(0)
    return UperNetDecoder([16, 16, 16, 16], channels=16, joining=joining).eval()


def test_upernet_answers_the_same_with_fewer_operations():
    features = [torch.randn(1, 16, 32 >> level, 32 >> level) for level in range(4)]
    outputs, operations = [], []
    for joining in ("enlarged", "small"):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            outputs.append(upernet(joining)(features))
        operations.append(counter.get_total_flops())
    assert torch.allclose(*outputs, atol=1e-5)
    assert outputs[0].std() > 0.01
    assert operations[1] < 0.9 * operations[0]


def test_another_way_of_joining_is_refused():
    with pytest.raises(UserError, match=r"joining must be small or enlarged; got 'large'"):
        UperNetDecoder([8, 8], joining="large")
