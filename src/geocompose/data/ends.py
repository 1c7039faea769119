"""The least and the greatest of many values, how often they occur, and whether they are far from all others."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# What programs write where there is no value: GDAL's and NetCDF's fills, ends of integer types, and usual marks.
MARKS = (
    *(-99, -999, -9999, -99999, 999, 9999, 99999, 255, -32768, 32767, 65535, -(2**31), 2**31 - 1, 2**32 - 1),
    *(1e20, -1e20, 9.969209968386869e36, -9.969209968386869e36, 3.4028234663852886e38, -3.4028234663852886e38),
)
_MARKS = {f"{value:.6g}" for value in MARKS}  # as float32 and conversions leave them


class End(NamedTuple):
    """The least value, how often it occurs, and the next greater one."""

    value: float
    number: int
    next: float

    def merged(self, other: "End") -> "End":
        """Return the end of the values of both."""
        value = min(self.value, other.value)
        both = (self, other)
        beyond = [end.value for end in both if end.value != value]
        return End(value, sum(end.number for end in both if end.value == value), min(self.next, other.next, *beyond))


class Lone(NamedTuple):
    """A value far from all others. share: of all values. least, greatest: of the others."""

    value: float
    number: int
    share: float
    least: float
    greatest: float


class Ends:
    """Both ends of values that come in blocks.

    count: how many values have been added.
    """

    def __init__(self) -> None:
        self.count = 0
        self._low = End(np.inf, 0, np.inf)
        self._high = End(np.inf, 0, np.inf)  # of the values' negatives

    def add(self, values: np.ndarray) -> None:
        """Take in finite values of any shape."""
        if values.size:
            self.count += values.size
            self._low = self._low.merged(_end(values, self._low.value, 1))
            self._high = self._high.merged(_end(values, self._high.value, -1))

    def merged(self, other: "Ends") -> "Ends":
        """Return the ends of the values of both."""
        both = Ends()
        both.count = self.count + other.count
        both._low, both._high = self._low.merged(other._low), self._high.merged(other._high)
        return both

    @property
    def least(self) -> float:
        """The least value; infinity where there is none."""
        return self._low.value

    @property
    def greatest(self) -> float:
        """The greatest value; minus infinity where there is none."""
        return -self._high.value

    def count_at(self, value: float) -> int:
        """Return how often a value occurs that is an end; 0 for any other."""
        low, high = self._low, self._high
        return low.number if low.value == value else high.number if high.value == -value else 0

    def lone(self, stored: Callable[[float], float] = float, *, far: float = 20.0) -> list[Lone]:
        """Return the ends that are far from all others, and rarer than these.

        A usual mark of no data has to be farther from the others than they are apart, another value `far` times as
        far, since it may be a true one.
        stored: returns a value as its file holds it, which is what marks are known by.
        """
        found = []
        for end, other, sign in ((self._low, self._high, 1), (self._high, self._low, -1)):
            if end.number * 2 >= self.count or not np.isfinite(end.next):
                continue
            mark = _is_mark(stored(sign * end.value))
            # The other end may be a mark too: then it says nothing of how far the true values are apart.
            farthest = -other.next if _is_mark(stored(-sign * other.value)) else -other.value
            spread = farthest - end.next
            is_far = end.next - end.value > spread * (1 if mark else far)
            if is_far and (spread > 0 or (mark and spread == 0)):
                least, greatest = sorted((sign * end.next, sign * farthest))
                found.append(Lone(sign * end.value, end.number, end.number / self.count, least, greatest))
        return found


def _is_mark(value: float) -> bool:
    return f"{value:.6g}" in _MARKS


def _end(values: np.ndarray, known: float, sign: int) -> End:
    """Return the end of a block, of values times `sign`; exact where it is not above the end that is known."""
    value = float(values.min() if sign > 0 else -values.max())
    if value > known:
        return End(value, 0, np.inf)
    others = values != sign * value
    if sign > 0:
        beyond = float(np.min(values, where=others, initial=np.inf))
    else:
        beyond = -float(np.max(values, where=others, initial=-np.inf))
    return End(value, values.size - int(np.count_nonzero(others)), beyond)
