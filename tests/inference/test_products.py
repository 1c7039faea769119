"""The precision of 32-bit products: that of the run while its model answers, and the process's own again afterwards."""

import pytest
import torch

from geocompose.inference.products import products_of


@pytest.fixture
def own():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield "highest"
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"trainer": {"matmul_precision": "medium"}}, "medium"),
        ({"trainer": {"max_epochs": 1}}, "high"),  # recorded before there was the key
        ({}, "high"),
    ],
)
def test_a_block_computes_as_the_run_did(own, config, expected):
    with products_of(config):
        assert torch.get_float32_matmul_precision() == expected
    assert torch.get_float32_matmul_precision() == own
