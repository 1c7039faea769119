"""What a decoder hands to a head."""

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from geocompose.heads import HEADS
from tests.kit.shared import PARITY

GRIDS = [pytest.param((6, 6), id="square"), pytest.param((2, 7), id="wide"), pytest.param((7, 2), id="tall")]


def decoded(channels: int, grid: tuple[int, int] = (4, 6), batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, *grid, generator=torch.Generator().manual_seed(0))


def recorded_weights(case: str) -> dict[str, Tensor]:
    start = "model.head."
    weights = load_file(PARITY / f"{case}.safetensors")
    return {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}


# What every head owes

BUILT = {
    "segmentation": {"channel_list": [4, 4], "dropout": 0.2},
    "regression": {"learned_upscale_layers": 1, "channel_list": [4], "dropout": 0.2, "final_act": "torch.nn.Softplus"},
    "classification": {"dim_list": [4, 4], "dropout": 0.2},
    "multilabel": {"dim_list": [4], "linear_after_pool": True},
    "scalar_regression": {"dim_list": [4], "dropout": 0.2},
    "reconstruction": {"channel_list": [4], "dropout": 0.2},
}


def built(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return HEADS[kind](6, 3, **BUILT[kind])
