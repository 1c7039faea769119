"""What figures call a sample: its number in the split, its file, and where in the file it lies."""

from geocompose.data.module import SceneData

LETTERS = 30  # about as many as fit beside a picture of one tile


def tile_title(data: SceneData, split: str, number: int) -> str:
    """Return two lines: split and number (as in splits.csv) with the first row and column, and the file's name."""
    tile = data.tile_windows(split)[number]
    return f"{split} tile {number}: row {tile.window.row}, col {tile.window.column}\n{file_name(data, split, number)}"


def image_title(data: SceneData, split: str, number: int) -> str:
    """Return the name of a sample's file; of one of several tiles of it, with its first row and column below."""
    tiles = data.tile_windows(split)
    tile, name = tiles[number], file_name(data, split, number)
    if sum(other.scene == tile.scene for other in tiles) == 1:
        return name
    return f"{name}\nrow {tile.window.row}, col {tile.window.column}"


def file_name(data: SceneData, split: str, number: int) -> str:
    """Return the name of a sample's file, without the start of a long one, as matplotlib can write it."""
    name = data.scenes[data.tile_windows(split)[number].scene].name
    # Of names that aren't UTF-8 there are lone surrogates, which no font has; dollars would begin a formula.
    shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
    shown = shown if len(shown) <= LETTERS else f"…{shown[1 - LETTERS :]}"
    return shown.replace("$", r"\$")
