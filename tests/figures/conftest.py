"""The figures that a test draws, for tests of their contents."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from matplotlib.figure import Figure

from geocompose.figures import (
    class_decisions,
    confusion_matrix,
    learning_curves,
    predicted_against_true,
    sample_images,
    sample_numbers,
    sample_predictions,
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return a list that the figures drawn in a test are added to."""
    figures: list[Figure] = []

    for module in (
        class_decisions, confusion_matrix, learning_curves, predicted_against_true, sample_images, sample_numbers,
        sample_predictions,
    ):  # fmt: skip
        original = module.canvas

        @contextmanager
        def canvas(*arguments, original=original) -> Iterator[Figure]:
            with original(*arguments) as figure:
                yield figure
                figures.append(figure)

        monkeypatch.setattr(module, "canvas", canvas)
    return figures
