"""Settings that must stand before torch is imported, and what every test leaves as it found it."""

import atexit
import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

# Workers of the test run share the cores; more threads than cores make every test many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What is kept for later runs (hashes, features) is the tests' own, and goes with them.
if "GEOCOMPOSE_CACHE" not in os.environ:
    os.environ["GEOCOMPOSE_CACHE"] = tempfile.mkdtemp(prefix="geocompose-tests-")
    atexit.register(shutil.rmtree, os.environ["GEOCOMPOSE_CACHE"], ignore_errors=True)


# To wait for the disk is a third of a small run's time, and no test cuts the power. Tests of the order of writing watch
# this function themselves.
os.fsync = lambda file: None


@pytest.fixture(autouse=True)
def logger_as_it_was() -> Iterator[None]:
    """Undo what the command line, run within a test, changes of the package's logger."""
    logger = logging.getLogger("geocompose")
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.propagate, logger.handlers = propagate, handlers


def pytest_collection_finish() -> None:
    """Let the collector pass over what stays anyway: all modules and tests, which took it a twentieth of the time."""
    gc.collect()
    gc.freeze()
