"""torchgeo's models in small, for tests where the package is installed."""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from geocompose.backbones.torchgeo.builder import build_torchgeo
from tests.kit.small import marks

FEW = {"embed_dim": 48, "depth": 2, "num_heads": 4}
STAGES = {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}


def needs_torchgeo(test: Callable[..., None]) -> Callable[..., None]:
    for mark in marks("torchgeo"):
        test = mark(test)
    return test


def library() -> Any:
    return importlib.import_module("torchgeo.models")


def meta(name: str, **given: Any) -> Any:
    with torch.device("meta"):
        return build_torchgeo(name, **given)


def image(channels: int, rows: int = 64, columns: int = 64, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, rows, columns, generator=torch.Generator().manual_seed(channels))
