"""What is odd of images that are predicted: their tags, their values, and how far they are from the training data."""

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

import numpy as np

from geocompose.data.drift import Trained, tell_far
from geocompose.data.known_values import Telling
from geocompose.data.plausibility import Plausibility
from geocompose.data.rasters.image import SceneImage
from geocompose.data.rasters.valid import Origin
from geocompose.imagery.units import Conversion, Values


class _Input(Protocol):
    """A model's view of an image, see `geocompose.inference.reading.ModelInput`."""

    image: SceneImage
    values: Values

    @property
    def places(self) -> list[int]: ...

    def origin_of(self, band: int) -> Origin: ...


class _Image:
    """What a count knows of an image, without its pixels."""

    def __init__(self, seen: _Input) -> None:
        self.conversions: Sequence[Conversion] | None = seen.image.conversions
        self.origin_of = seen.origin_of


class Watch:
    """Takes in images window by window as they are read, and says in the end what is odd of them.

    bands, units: what the model reads. trained: what its training's values were like; None where that is not known.
    """

    def __init__(self, bands: Sequence[str], units: Sequence[str | None] | None, trained: Trained | None) -> None:
        self._bands, self._trained = bands, trained
        self._units = [None] * len(bands) if units is None else list(units)
        self._telling = Telling()
        self._images: list[_Image] = []
        self._places: list[list[int]] = []
        self._counts: Plausibility | None = None
        self._turn = Lock()

    def begin(self, seen: _Input) -> None:
        """Take in an image, of which the windows follow."""
        self._telling.add(seen.image, seen.places, seen.values)
        self._images.append(_Image(seen))
        self._places.append(seen.places)
        if self._counts is None:
            self._counts = Plausibility(self._bands, self._images, self._places, seen.values)

    def add(self, pixels: np.ndarray, valid: np.ndarray) -> None:
        """Take in the values of a window (bands, [frames,] h, w), in the unit that the model reads.

        Several threads may do so: they wait for each other.

        Raises:
            UserError: see `geocompose.data.plausibility.Plausibility.check`.
        """
        assert self._counts is not None, "begin() comes first"
        values = pixels if valid.all() else pixels[..., valid]  # to choose is to copy
        with self._turn:
            self._counts.add(len(self._images) - 1, values.reshape(len(pixels), -1))
            self._counts.check()

    def say_tags(self) -> None:
        """Say what the tags of the images that have begun do, once."""
        self._telling.say()

    def say(self) -> None:
        """Say all that is odd, a line per kind."""
        self.say_tags()
        if self._counts is None:
            return
        self._counts.say()
        if self._trained is not None:
            tell_far(self._bands, self._units, self._trained, self._counts.seen(), group="action")
