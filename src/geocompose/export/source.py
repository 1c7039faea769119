"""What is exported: a recorded run with its model, and the way to its data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geocompose.runs import RecordedRun

if TYPE_CHECKING:
    from geocompose.data.module import SceneData
    from geocompose.inference.trained import TrainedModel


@dataclass(frozen=True)
class Source:
    """What is exported.

    run: as it was recorded. trained: its model with the best weights, in evaluation mode, on the CPU. open_data:
        returns the run's own data, read as in its training but not scanned (`setup`), for a comparison on real tiles;
        raises UserError where it isn't here.
    """

    run: RecordedRun
    trained: "TrainedModel"
    open_data: Callable[[], "SceneData"]
