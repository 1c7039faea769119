"""By which numbers bands are normalised: the data set's own, given ones, or none."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from geocompose.data.given_numbers import BandNumbers, given_numbers
from geocompose.data.moments import is_constant
from geocompose.data.statistics import Statistics
from geocompose.errors import UserError

Numbers = tuple[BandNumbers, BandNumbers]  # mean and standard deviation, one per band, or per band and frame


class NormalizationRule:
    """What is subtracted from each selected band, and what it is divided by after that.

    rule: as in `geocompose.data.loading.Loading.normalize`.
    """

    def __init__(self, rule: str | Mapping[str, Any]) -> None:
        self._own = given_numbers(rule)
        self.rule = rule if isinstance(rule, str) else "given"
        self._given: Numbers | None = None

    @property
    def is_given(self) -> bool:
        """Whether numbers came from elsewhere: a backbone's pretraining, or the data that a model was trained on."""
        return self._given is not None

    @property
    def source(self) -> Literal["dataset", "given", "none"]:
        """Where the numbers come from, as records say it."""
        if self.is_given or self._own is not None:
            return "given"
        return "none" if self.rule == "none" else "dataset"

    def give(self, mean: BandNumbers, std: BandNumbers) -> None:
        """Use these numbers, one per selected band, in place of those that the rule leads to."""
        assert len(mean) == len(std), (mean, std)
        assert np.all(np.asarray(std) > 0), std
        self._given = list(mean), list(std)  # type: ignore[assignment]

    def check_bands(self, bands: Sequence[str], num_frames: int) -> None:
        """Refuse numbers of the user's own that are not of the bands and frames which are read.

        Raises:
            UserError: says how many there are, and of what.
        """
        if self._own is not None:
            self._own.check_bands(bands, num_frames)

    def check(self, bands: Sequence[str], found: Statistics) -> None:
        """Refuse a band that would be divided by its own deviation, and has none.

        Raises:
            UserError: names the first such band.
        """
        if self.rule != "dataset" or self.is_given:
            return
        for band, mean, std in zip(bands, found.mean, found.std, strict=True):
            if is_constant(mean, std):
                raise UserError(
                    f"The band {band} has one value in all training pixels, so it can't be normalised by its "
                    "deviation. Leave it out of data.bands, or set data.normalize=none."
                )

    def numbers(self, num_bands: int, found: Statistics | None) -> Numbers:
        """Return mean and standard deviation of each band. found: needed where they are the data set's own."""
        if self._given is not None:
            return self._given
        if self._own is not None:
            return self._own.mean, self._own.std
        assert self.rule != "pretraining", "set_normalization() comes first under normalize=pretraining"
        if self.rule == "none":
            return [0.0] * num_bands, [1.0] * num_bands
        assert found is not None, "setup() comes first"
        return found.mean, found.std

    def describe(self, num_bands: int, found: Statistics) -> dict[str, Any]:
        """Return what a record keeps of it, as JSON knows it."""
        mean, std = self.numbers(num_bands, found)
        return {"normalize": self.rule, "source": self.source, "mean": mean, "std": std}
