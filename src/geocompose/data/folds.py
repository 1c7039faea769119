"""Cross-validation: each image or group of images is tested in exactly one of `data.folds` folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geocompose.data.split import SPLITS, group_parts, shares_of
from geocompose.errors import UserError, counted

FEWEST = 2


@dataclass(frozen=True)
class Fold:
    """One of several folds. number: which, from 0. total: how many there are.

    Raises:
        UserError: there is no such fold.
    """

    number: int
    total: int

    def __post_init__(self) -> None:
        if self.total < FEWEST:
            raise UserError(f"data.folds={self.total} must be {FEWEST} or more.")
        if not 0 <= self.number < self.total:
            raise UserError(
                f"data.fold={self.number} is not one of data.folds={self.total} folds, which are numbered from 0 to "
                f"{self.total - 1}."
            )

    def as_record(self) -> dict[str, Any]:
        """Return what a record keeps, as JSON knows it."""
        return {"fold": self.number, "folds": self.total}


def fold_of(fold: int | None, folds: int) -> Fold | None:
    """Return what `data.fold` and `data.folds` say; None where there is no cross-validation.

    Raises:
        UserError: see `Fold`; or folds are counted and none is chosen.
    """
    if fold is not None:
        return Fold(fold, folds)
    if folds != 5:  # the default
        raise UserError(f"data.folds={folds} changes nothing without data.fold. Choose one, such as data.fold=0.")
    return None


def split_by_fold(
    num_scenes: int, fold: Fold, fractions: Sequence[float] | None, *, seed: int, groups: Sequence[str] | None
) -> dict[str, list[int]]:
    """Return the places of the scenes in each split of a fold.

    The groups (each scene by itself where there are none) are drawn by `seed` into folds of nearly equal numbers of
    scenes. Those of one fold are its test split, so that the test splits of all folds are disjoint and together
    hold every scene. Of the others, whole groups are drawn for validation in the same way.

    fractions: `data.split`, of which only the ratio of train to val counts; None is 0.6 to 0.2.

    Raises:
        UserError: there are fewer groups than folds, or none is left for validation; other fractions than three.
    """
    units = [f"{place:09d}" for place in range(num_scenes)] if groups is None else list(groups)
    distinct, what = len(set(units)), "image" if groups is None else "group"
    if distinct < fold.total:
        raise UserError(
            f"data.folds={fold.total} needs as many {what}s, each of which is tested once; there "
            f"{'is' if distinct == 1 else 'are'} {counted(distinct, what)}. "
            + (f"Write data.folds={distinct}." if distinct > FEWEST else "Write data.fold=null.")
        )
    if distinct <= FEWEST:
        raise UserError(
            f"data.fold={fold.number} leaves one {what} of {distinct} for train and val, which need one each. Write "
            "data.fold=null."
        )
    tested = group_parts(units, [1 / fold.total] * fold.total, seed)[fold.number]
    rest = [place for place in range(num_scenes) if place not in set(tested)]
    train, val, _ = shares_of(fractions)
    parts = group_parts([units[place] for place in rest], [train / (train + val), val / (train + val)], seed)
    learned, validated = ([rest[place] for place in part] for part in parts)
    return dict(zip(SPLITS, (learned, validated, tested), strict=True))
