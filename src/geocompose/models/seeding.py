"""Random numbers with which the parts of a model start: each has its own, whatever stands beside it."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class PartSeeds:
    """A seed for each part of a model, by the part's name.

    Two compositions at one seed that differ in one part, such as the PEFT method, start from the same weights in all
    others: what one part draws does not move the numbers of the next.

    base: one number for the whole model.
    """

    base: int

    @classmethod
    def drawn(cls) -> "PartSeeds":
        """Return seeds that follow from torch's global generator, of which one number is taken."""
        return cls(int(torch.randint(2**62, (), device="cpu")))

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Let all generators of the processor draw the part's numbers in the block; afterwards they are as before."""
        seed = int.from_bytes(hashlib.sha256(f"{self.base} {part}".encode()).digest()[:4])
        with generators_kept():
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - as in seed_weights
            torch.default_generator.manual_seed(seed)
            yield


@contextmanager
def generators_kept() -> Iterator[None]:
    """Leave all generators of the processor after the block as they were before it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - as in seed_weights
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
