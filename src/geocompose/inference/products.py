"""How precisely products of 32-bit numbers are computed: as in the run, wherever its model answers again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch

MatmulPrecision = Literal["highest", "high", "medium"]
BEFORE_THE_KEY: MatmulPrecision = "high"


@contextmanager
def products_of(config: Mapping[str, Any]) -> Iterator[None]:
    """Compute the block's products of 32-bit numbers as `trainer.matmul_precision` of a run's configuration says.

    It is a setting of the whole process, and is what it was before when the block ends.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision((config.get("trainer") or {}).get("matmul_precision", BEFORE_THE_KEY))
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
