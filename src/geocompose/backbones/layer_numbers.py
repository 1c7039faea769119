"""The numbers of a backbone's returned layers, which compare like the list or tuple that they were asked for by."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any


class LayerNumbers(list[int]):
    """Numbers of layers from 0; equal to a list or a tuple of the same layers, negative numbers in it from the end.

    So `backbone.out_indices == (2, 5, -1)` where these were asked for, and `[2, 5, 11]` of twelve layers too.
    """

    def __init__(self, numbers: Iterable[int], depth: int) -> None:
        """Take the numbers. depth: how many layers there are."""
        super().__init__(numbers)
        self.depth = depth

    def __eq__(self, other: object) -> bool:
        """Return whether another list or tuple names the same layers in the same order."""
        if not isinstance(other, list | tuple):
            return NotImplemented
        return list(self) == [self._from_start(each) for each in other]

    def __ne__(self, other: object) -> bool:
        """Return the opposite: a list has a method of its own for it."""
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    __hash__ = None  # as of any list

    def _from_start(self, number: Any) -> Any:
        counts = isinstance(number, Integral) and not isinstance(number, bool) and number < 0
        return number + self.depth if counts else number
