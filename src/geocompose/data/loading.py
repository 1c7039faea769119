"""What numbers and names a data configuration may hold; needs no data and no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from geocompose.data.given_numbers import given_numbers
from geocompose.errors import UserError, choices

MOST_WORKERS = 256
MOST_TILE_PX = 16_384
NORMALIZATIONS = ("dataset", "pretraining", "none")
Dihedral = bool | Literal["flips", "horizontal", "vertical"]
# For each value of `data.dihedral`, whether samples are mirrored, flipped and turned at random.
DIHEDRAL: dict[Dihedral, tuple[bool, bool, bool]] = {
    True: (True, True, True),
    "flips": (True, True, False),
    "horizontal": (True, False, False),
    "vertical": (False, True, False),
    False: (False, False, False),
}


@dataclass(frozen=True)
class Loading:
    """How samples become batches.

    batch_size: samples per batch. num_workers: processes that load; 0: threads of the training's process; `auto`: see
        `geocompose.data.readers`.
    normalize: `dataset` subtracts the training split's mean and divides by its standard deviation, band by band;
        `pretraining` does so with numbers that `SceneData.set_normalization` brings; `none` leaves values as they are;
        a mapping of `mean` and `std` gives the numbers, see `geocompose.data.given_numbers`.
    random_crop: draw training samples anywhere in their region instead of on the grid, the same number per epoch.
    dihedral: flip training samples at random and turn them by quarters (true), only flip them (`flips`, or one of
        `horizontal` and `vertical`), or neither (false). rotation_deg: turn them further, by up to this angle.
    min_valid: leave out training samples of which a smaller share of pixels counts (see `geocompose.data.census`).

    Raises:
        UserError: names the key, what it got and what is allowed.
    """

    batch_size: int
    num_workers: int | Literal["auto"]
    normalize: Literal["dataset", "pretraining", "none"] | dict[str, list[float] | list[list[float]]]
    random_crop: bool
    dihedral: Dihedral
    rotation_deg: float
    min_valid: float = 0.0

    def __post_init__(self) -> None:
        check_at_least("batch_size", self.batch_size, 1)
        check_number_or_auto("num_workers", self.num_workers)
        if self.num_workers != "auto":
            _check_at_most("num_workers", self.num_workers, MOST_WORKERS, "loading processes of one run")
        if given_numbers(self.normalize) is None and self.normalize not in NORMALIZATIONS:
            raise UserError(f"data.normalize has no {self.normalize!r}. {choices(str(self.normalize), NORMALIZATIONS)}")
        if not isinstance(self.dihedral, bool | str) or self.dihedral not in DIHEDRAL:
            words = [name for name in DIHEDRAL if isinstance(name, str)]
            raise UserError(
                f"data.dihedral must be true or false, or one of {', '.join(words)}; got {self.dihedral!r}."
            )
        if not 0 <= self.rotation_deg <= 180:
            raise UserError(f"data.rotation_deg={self.rotation_deg} must be between 0 (off) and 180 degrees.")
        if not 0 <= self.min_valid <= 1:
            raise UserError(
                f"data.min_valid must be a share of a tile's pixels from 0 (keep all) to 1; got {self.min_valid}."
            )
        if self.min_valid and self.random_crop:
            raise UserError(
                f"data.min_valid={self.min_valid} looks at the tiles of the grid, and data.random_crop=true draws "
                "others. Set data.random_crop=false, or data.min_valid=0."
            )


def check_number_or_auto(key: str, value: int | str) -> None:
    """Refuse a value of `data.<key>` that is neither `auto` nor a number, 0 or more.

    Raises:
        UserError: names key and value.
    """
    if not isinstance(value, str):
        check_at_least(key, value, 0)
    elif value != "auto":
        raise UserError(f"data.{key}={value} must be a number, 0 or more, or auto.")


def check_tile(tile_px: int) -> None:
    """Refuse a sample's size that can't be: no pixel, or so many that no model takes them at once.

    Raises:
        UserError: `tile_px` is below 1 or above 16384, a band of which takes 1 GB.
    """
    check_at_least("tile_px", tile_px, 1)
    _check_at_most("tile_px", tile_px, MOST_TILE_PX, "pixels at a side of a sample")


def _check_at_most(name: str, value: int, most: int, what: str) -> None:
    if value > most:
        raise UserError(f"data.{name} must be {most} or less ({what}); got {value}.")


def check_classes(class_names: Sequence[str], ignore_index: int) -> None:
    """Refuse class names or an ignore index by which labels and scores can't be told apart.

    Raises:
        UserError: fewer than two classes, one twice, one called `macro` or `micro`, or an ignore index that is a class.
    """
    names = list(class_names)
    if len(names) < 2 or len(set(names)) < len(names) or {"macro", "micro"} & set(names):
        raise UserError(
            f"data.class_names={names} must be two or more different names, in the order of the label's values from 0; "
            "macro and micro are taken by the scores."
        )
    if 0 <= ignore_index < len(names):
        raise UserError(
            f"data.ignore_index={ignore_index} is also the class {names[ignore_index]!r}. "
            f"Use a number that is not a class, such as -1 or {max(255, len(names))}."
        )


def check_variables(variables: Sequence[str], units: Sequence[str] | None = None) -> None:
    """Refuse names of numbers by which labels and scores can't be told apart.

    Raises:
        UserError: no name, or one twice; units that are not one for each.
    """
    names = list(variables)
    if not names or len(set(names)) < len(names) or not all(names):
        raise UserError(
            f"data.variables={names} must be one or more different names, in the order of the label's numbers."
        )
    if units is not None and len(units) != len(names):
        raise UserError(
            f"data.variable_units={list(units)} must be one unit for each of data.variables={names}, such as "
            f"[{', '.join(['t/ha'] * len(names))}]; or null."
        )


def check_at_least(key: str, value: int, least: int) -> None:
    """Refuse a value of `data.<key>` below `least`.

    Raises:
        UserError: names key, value and bound.
    """
    if value < least:
        raise UserError(f"data.{key}={value} must be {least} or more.")
