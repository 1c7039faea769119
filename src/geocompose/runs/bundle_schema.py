"""What a bundle's manifest holds, with the types to which it is held; an unknown key is refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Name = Annotated[str, Field(max_length=200)]
_Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ListedFile(_Part):
    """A file of the bundle."""

    sha256: _Sha256
    bytes: _Count


class Base(_Part):
    """The weights that the run started from and left as they were, which the bundle does not hold.

    sha256: over their names, shapes and values as `dtype` (geocompose.models.frozen_weights). parts: of the model.
    origin: `random` (drawn from the seed, for each part by its name), `file` (backbone.ckpt_path) or `published` (what
    the library downloads). files: the names of weight files, with the sha256 of what they hold.
    """

    sha256: _Sha256
    dtype: Literal["float64", "float32", "bfloat16", "float16"]
    parts: list[_Name]
    origin: Literal["random", "file", "published"]
    seed: _Count
    files: dict[_Name, _Sha256]


class Adapter(_Part):
    """The adapter in PEFT's own format. method: PEFT's name of it. part: of the model that it was wrapped around."""

    method: _Name
    part: Literal["encoder"]


class Manifest(_Part):
    """manifest.json.

    base: None where the bundle holds all weights. adapter: None where nothing is in PEFT's format. data, model,
    weights: what the run's record says of them (bands, units, level, normalisation, labels, necks, ...).
    """

    kind: Literal["geocompose bundle"]
    schema_: Literal[1] = Field(alias="schema")
    geocompose: _Name | None
    written: _Name
    run_id: Annotated[str, Field(pattern=r"^[0-9a-f]{10}$")]
    base: Base | None
    adapter: Adapter | None
    choices: dict[_Name, _Name | None]
    data: dict[str, Any]
    model: dict[str, Any]
    weights: dict[str, Any]
    metrics: dict[_Name, FiniteFloat | None]
    seeds: dict[_Name, _Count]
    versions: dict[_Name, _Name | None]
    files: Annotated[dict[str, ListedFile], Field(max_length=1000)]
