"""Importing torch and what is built on it without the pauses of the garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hold the garbage collector while the block imports and builds.

    What is imported stays; looking through it over and over takes a quarter of the time that importing torch, timm and
    torchgeo takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
