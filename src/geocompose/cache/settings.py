"""What is kept of frozen backbones, and where: the config group `cache`. Free of torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geocompose.errors import UserError, choices
from geocompose.runs.fingerprint import cache_folder

USES = ("always", "where_it_pays", "never")
DTYPES = ("fp32", "fp16")


@dataclass(frozen=True, kw_only=True)
class FeatureCache:
    """Whether features of a frozen backbone are computed once for all runs that share them, and how they are kept.

    use: `always` (a run whose features can't be kept is refused), `where_it_pays`, `never`.
    folder: where they are kept; None: `features` in $GEOCOMPOSE_CACHE, else in the user's cache folder.
    dtype: `fp32`, as they are computed; `fp16` takes half of the space and rounds them.
    crops: under `data.random_crop=true`, how many windows of each tile there are, drawn once for all runs; None: crops
        are drawn anywhere, and their features can't be kept.
    max_gb: how much the folder may hold; what was used least recently is removed for what is new.

    Raises:
        UserError: a value is out of range.
    """

    use: Literal["always", "where_it_pays", "never"] = "where_it_pays"
    folder: str | None = None
    dtype: Literal["fp32", "fp16"] = "fp32"
    crops: int | None = None
    max_gb: float = 50.0

    def __post_init__(self) -> None:
        if self.use not in USES:
            raise UserError(f"cache.use has no {self.use!r}. {choices(self.use, USES)}")
        if self.dtype not in DTYPES:
            raise UserError(f"cache.dtype has no {self.dtype!r}. {choices(self.dtype, DTYPES)}")
        if self.crops is not None and self.crops < 1:
            raise UserError(
                f"cache.crops must be a number of windows of each tile, 1 or more, or null; got {self.crops}."
            )
        if not self.max_gb > 0:
            raise UserError(f"cache.max_gb must be above 0; cache=none keeps nothing. Got {self.max_gb}.")

    @property
    def place(self) -> Path:
        """The folder that holds all kept features.

        Raises:
            UserError: nobody says which, and the user has no home folder.
        """
        if self.folder is not None:
            return Path(self.folder).expanduser()
        try:
            return cache_folder() / "features"
        except RuntimeError as error:
            raise UserError(
                "There is no home folder to keep features in: write cache.folder=DIR, or set GEOCOMPOSE_CACHE."
            ) from error
