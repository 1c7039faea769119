"""Token grids and maps whose numbers say where they belong, for tests of necks."""

import pytest
import torch
from torch import Tensor

SHAPES = [
    pytest.param((3, 3), id="square"),
    pytest.param((2, 6), id="wide"),
    pytest.param((7, 2), id="tall"),
    pytest.param((1, 5), id="row"),
]


def grid_tokens(rows: int, columns: int, *, prefix: int = 1, frames: int = 1) -> Tensor:
    """Return tokens (1, prefix + frames * rows * columns, 3) that say their row, column and frame; prefixes say -1."""
    cells = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float32) for n in (frames, rows, columns))).reshape(
        -1, 3
    )
    return torch.cat([torch.full((prefix, 3), -1.0), cells[:, [1, 2, 0]]]).unsqueeze(0)
