"""Settings that must stand before torch is imported, and what every test leaves as it found it."""

import logging
import os
from collections.abc import Iterator

import pytest

# Workers of the test run share the cores; more threads than cores make every test many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def logger_as_it_was() -> Iterator[None]:
    """Undo what the command line, run within a test, changes of the package's logger."""
    logger = logging.getLogger("geocompose")
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.propagate, logger.handlers = propagate, handlers
