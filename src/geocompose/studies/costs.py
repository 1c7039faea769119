"""What a run costs beside its seconds: the share that learns, seconds of a step, memory, and what it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from geocompose.runs import Record
from geocompose.runs.folder import ACCELERATOR_PEAK


@dataclass(frozen=True)
class Costs:
    """Of one run; what its record does not say is None.

    trainable_share: of the model's parameters, those that learn at some time of the run. step_s: seconds of a training
    step with its batch's reading, the median of the epochs; of several, without the first, in which things are made.
    memory_mb: the most memory (MB of 2**20 bytes) on the accelerator, else of the process. result_bytes: of the best
    checkpoint, which leaves out what is frozen.
    """

    trainable_share: float | None = None
    step_s: float | None = None
    memory_mb: float | None = None
    result_bytes: int | None = None


def costs_of(record: Record) -> Costs:
    """Return what a record says of a run's costs."""
    parameters, trainable = (_number(record.model, name) for name in ("parameters", "trainable"))
    steps = [taken for taken in record.epochs.get("step_s", []) if taken is not None]
    size = _number(record.training, "best_bytes")
    on_accelerator = _number(record.hardware, ACCELERATOR_PEAK)
    return Costs(
        trainable / parameters if parameters and trainable is not None else None,
        median(steps[1:] or steps) if steps else None,
        record.peak_memory_mb if on_accelerator is None else on_accelerator,
        None if size is None else int(size),
    )


def shares_differ(costs: Sequence[Costs | None]) -> bool:
    """Return whether runs train different shares of their models, so that their costs are worth columns."""
    return len({each.trainable_share for each in costs if each is not None} - {None}) > 1


def _number(values: Mapping[str, object], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
