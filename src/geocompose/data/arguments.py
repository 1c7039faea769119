"""What numbers and names a data configuration may hold; needs no data and no torch."""

from collections.abc import Sequence

from geocompose.errors import UserError, choices

NORMALIZATIONS = ("dataset", "pretraining", "none")


def check_loading(tile_px: int, batch_size: int, num_workers: int, normalize: str, rotation_deg: float) -> None:
    """Refuse what tiles can't be loaded with.

    Raises:
        UserError: names the key, what it got and what is allowed.
    """
    for key, value, least in (("tile_px", tile_px, 1), ("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
        check_at_least(key, value, least)
    if normalize not in NORMALIZATIONS:
        raise UserError(f"data.normalize has no {normalize!r}. {choices(normalize, NORMALIZATIONS)}")
    if not 0 <= rotation_deg <= 180:
        raise UserError(f"data.rotation_deg={rotation_deg} must be between 0 (off) and 180 degrees.")


def check_classes(class_names: Sequence[str], ignore_index: int) -> None:
    """Refuse class names or an ignore index that labels and scores can't be told apart with.

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
            f"Use a number that is no class, such as -1 or {max(255, len(names))}."
        )


def check_at_least(key: str, value: int, least: int) -> None:
    """Refuse a value of `data.<key>` below `least`.

    Raises:
        UserError: names key, value and bound.
    """
    if value < least:
        raise UserError(f"data.{key}={value} must be {least} or more.")
