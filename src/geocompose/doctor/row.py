"""What the doctor finds of one composition: a line of its table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from geocompose.arguments import as_written

UNEXPECTED = "unexpected: "


@dataclass(frozen=True)
class Row:
    """One cell.

    reason: why it was refused; "" where it is ok. necks: the plan, as one would write it. gflops: per image, forward
    pass, 2 per multiply-add. training_memory_mb: see `geocompose.cost.training_memory`. seconds: what finding all this
    took. Numbers of a refused cell are None.
    """

    backbone: str
    decoder: str
    task: str
    status: Literal["ok", "refused"]
    reason: str = ""
    necks: str = ""
    parameters: int | None = None
    trainable: int | None = None
    gflops: float | None = None
    training_memory_mb: int | None = None
    seconds: float = 0.0

    @property
    def unexpected(self) -> bool:
        """Whether it failed without a reason in words of ours: a defect of this project."""
        return self.reason.startswith(UNEXPECTED)

    def as_csv(self) -> dict[str, Any]:
        """Return the row as a CSV has it."""
        return {name: "" if value is None else value for name, value in asdict(self).items()}

    @classmethod
    def from_csv(cls, line: Mapping[str, str]) -> "Row":
        """Return the row that `as_csv` was made of."""
        kinds = {"parameters": int, "trainable": int, "gflops": float, "training_memory_mb": int, "seconds": float}
        return cls(**{name: kinds[name](text) if name in kinds and text else None if name in kinds else text
                      for name, text in line.items()})  # type: ignore[arg-type]  # fmt: skip


COLUMNS = [field.name for field in fields(Row)]


def necks_as_written(necks: Sequence[Mapping[str, Any]]) -> str:
    """Return a plan as `neck.necks=` takes it, or `none`."""
    return as_written(list(necks)) if necks else "none"
