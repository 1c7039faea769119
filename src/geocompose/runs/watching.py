"""Who follows a run from outside, and may stop it at the end of an epoch. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class Stop:
    """Why a run was stopped at the end of an epoch, with a checkpoint from which it can go on.

    search: by which search, its id. how: pruned, for good; paused, until the search knows whether it goes on.
    epochs: how many are finished. reason: in one line.
    """

    search: str
    how: Literal["pruned", "paused"]
    epochs: int
    reason: str


class StoppedError(Exception):
    """A run was stopped at the end of an epoch; nothing is wrong with it."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.stop = stop


class Watch(Protocol):
    """Follows one run; picklable, since the run may be computed in another process."""

    def look(self, epochs: int, values: Mapping[int, float]) -> Stop | None:
        """Return why the run is to be stopped now, or None where it goes on.

        epochs: how many are finished. values: the metric that the run is selected by, on the validation split, by the
        number of epochs after which it was measured.
        """
        ...
