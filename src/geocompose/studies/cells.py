"""One cell of a study's plan: a composed configuration, and what became of it. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Outcome:
    """What an action returns of a run: its folder, its metrics by name, its computing time, and whether it ran now.

    default_lr: the learning rate, where it is the default of its composition; None where it was given.
    other_code: by what else it was computed than the code that is here now; see `geocompose.runs.other_code`.
    """

    folder: Path
    metrics: Mapping[str, float]
    seconds: float
    computed: bool
    default_lr: float | None = None
    other_code: str | None = None


@dataclass
class Cell:
    """One composed configuration: its overrides, what became of it, and why where it has no result here."""

    overrides: list[str]
    status: Literal["interrupted", "done", "finished already", "computed elsewhere", "failed"] = "interrupted"
    outcome: Outcome | None = None
    seconds: float = 0.0
    reason: str = ""
