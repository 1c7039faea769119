"""Numbers of a user's own that bands are normalised with: `data.normalize={mean: [...], std: [...]}`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geocompose.errors import UserError, choices, counted

# One number per band, or for each band one per frame.
BandNumbers = Sequence[float] | Sequence[Sequence[float]]

_KEYS = ("mean", "std")


@dataclass(frozen=True)
class GivenNumbers:
    """A mean and a standard deviation per band, or per band and frame."""

    mean: list[float] | list[list[float]]
    std: list[float] | list[list[float]]

    def check_bands(self, bands: Sequence[str], num_frames: int) -> None:
        """Refuse numbers that are not of these bands and frames.

        Raises:
            UserError: says how many there are, and of what.
        """
        if len(self.mean) != len(bands):
            raise UserError(
                f"data.normalize has {counted(len(self.mean), 'mean')} and as many deviations, but "
                f"{counted(len(bands), 'band')} are read: {', '.join(bands)}. Give one of each per band, in this "
                "order, or choose data.bands."
            )
        for band, numbers in zip(bands, self.mean, strict=True):
            if isinstance(numbers, list) and len(numbers) != num_frames:
                raise UserError(
                    f"data.normalize has {counted(len(numbers), 'mean')} for the band {band}, but an image has "
                    f"{counted(num_frames, 'frame')} (data.num_frames). Give one per frame, or one for all."
                )


def given_numbers(normalize: object) -> GivenNumbers | None:
    """Return the numbers that a value of `data.normalize` gives; None where it is the name of a rule.

    Raises:
        UserError: it is a mapping, but not of finite means and of deviations above 0, as many of one as of the other.
    """
    if not isinstance(normalize, Mapping):
        return None
    for key in normalize:
        if key not in _KEYS:
            raise UserError(f"data.normalize has no key {key!r}. {choices(str(key), _KEYS)}")
    found = {key: _numbers(key, normalize.get(key)) for key in _KEYS}
    if _shape(found["mean"]) != _shape(found["std"]):
        raise UserError(
            f"data.normalize has {_in_words(found['mean'])} as mean, but {_in_words(found['std'])} as std. Give as "
            "many of both."
        )
    low = next((value for value in _flat(found["std"]) if value <= 0), None)
    if low is not None:
        raise UserError(f"data.normalize.std must be above 0, since values are divided by it; got {low:g}.")
    return GivenNumbers(found["mean"], found["std"])


def _numbers(key: str, value: object) -> Any:
    if not isinstance(value, list | tuple) or not value or len({isinstance(one, list | tuple) for one in value}) > 1:
        raise UserError(
            f"data.normalize.{key} must be a list of numbers, one per band, or of lists of one per frame; got "
            f"{value!r}. Write 'data.normalize={{mean: [...], std: [...]}}'."
        )
    wrong = next((one for one in _flat(value) if isinstance(one, bool) or not isinstance(one, int | float)), None)
    if wrong is not None:
        raise UserError(f"data.normalize.{key} must hold numbers; got {wrong!r}.")
    if not all(math.isfinite(one) for one in _flat(value)):
        raise UserError(f"data.normalize.{key} must hold finite numbers; got {value}.")
    if all(isinstance(row, list | tuple) and len(row) == 1 for row in value):
        return [float(row[0]) for row in value]  # of one frame
    return [[float(one) for one in row] if isinstance(row, list | tuple) else float(row) for row in value]


def _flat(value: Any) -> list[Any]:
    return [one for row in value for one in (row if isinstance(row, list | tuple) else [row])]


def _shape(value: Any) -> list[int]:
    return [len(row) if isinstance(row, list) else -1 for row in value]


def _in_words(value: Any) -> str:
    bands = counted(len(value), "band")
    return f"numbers of {bands}" if not isinstance(value[0], list) else f"numbers of {bands} in {_shape(value)} frames"
