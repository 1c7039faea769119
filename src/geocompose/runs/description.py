"""What stands beside a file of weights: FILE.json says what the weights in FILE.safetensors have seen."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from geocompose.errors import UserError, first_line
from geocompose.imagery.bands import band_names
from geocompose.imagery.pretraining import Level, Pretraining
from geocompose.imagery.units import UNITS

_MOST_BYTES = 1_000_000
_Positive = Annotated[FiniteFloat, Field(gt=0)]


class _Description(BaseModel):
    """What is read of a description; the rest of it is passed over."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    bands: Annotated[list[str], Field(min_length=1, max_length=1000)]
    unit: Literal[tuple(UNITS)] | None = None  # type: ignore[valid-type]
    level: Level | None = None
    mean: list[FiniteFloat] | None = None
    std: list[_Positive] | None = None

    @model_validator(mode="after")
    def _one_number_a_band(self) -> "_Description":
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.bands):
                raise ValueError(f"{name} has {len(values)} values, and bands has {len(self.bands)}")
        return self


def read_description(file: Path) -> Pretraining | None:
    """Return what a description says of the weights beside it.

    It is a JSON object with `bands`, their names in the weights' order, and, where known, `unit`, `level`, `mean` and
    `std`, as in `Pretraining`. None where it describes something else: it has no `bands`.

    Raises:
        UserError: it can't be read, or a value is not what it should be; says which.
    """
    try:
        said = json.loads(file.read_bytes()) if file.stat().st_size <= _MOST_BYTES else None
        if not isinstance(said, dict) or "bands" not in said:
            return None
        found = _Description.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise _refusal(file, f"{place}: {first['msg']}; got {first['input']!r:.80}".removeprefix(": ")) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _refusal(file, first_line(error)) from error
    names = band_names(f"bands in {file}", found.bands)
    numbers = (None if values is None else tuple(values) for values in (found.mean, found.std))
    return Pretraining(tuple(names), found.unit, found.level, *numbers)


def _refusal(file: Path, reason: str) -> UserError:
    return UserError(
        f"{file} lies beside weights of that name and should say what they have seen (bands, unit, level, mean, std), "
        f"but: {reason}. Mend it, or move it away: then nothing is known of the weights."
    )
