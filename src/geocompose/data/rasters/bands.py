"""Which band of a raster file is which band of an image: by name, and by frame where it holds several time steps."""

from collections.abc import Sequence
from pathlib import Path

from geocompose.data.rasters.file import Header
from geocompose.errors import UserError
from geocompose.imagery import bands as vocabulary


def places_in_file(bands: Sequence[int], num_bands: int, num_frames: int) -> list[int]:
    """Return the places in a file of some bands in all frames, the frames of the first band first.

    The file has all `num_bands` bands of the first frame, then all of the second, and so on.
    """
    return [frame * num_bands + band for band in bands for frame in range(num_frames)]


def names_of_bands(
    path: Path, header: Header, names: Sequence[str] | None, num_frames: int = 1, key: str = "data.band_names"
) -> list[str]:
    """Return the names of a raster's bands, of one frame: `names`, or the file's descriptions.

    key: where the configuration has `names`, for errors.

    Raises:
        UserError: the file has other bands than that, no names, or a name twice.
    """
    if header.count % num_frames:
        raise UserError(
            f"{path} has {header.count} bands, which can't be {num_frames} frames of as many bands each "
            "(data.num_frames)."
        )
    count = header.count // num_frames
    found = _described(path, header, count, key) if names is None else list(names)
    if len(found) != count:
        raise UserError(f"{path} has {header.count} bands, {_but(found, header.count, num_frames, key)}")
    canonical = [vocabulary.canonical(name) for name in found]
    twice = next((name for i, name in enumerate(found) if canonical[i] in canonical[:i]), None)
    if twice is not None:
        frames = len(found) // len(set(canonical))
        if names is None and canonical == canonical[: len(set(canonical))] * frames:
            raise UserError(
                f"{path} has each of {', '.join(found[: len(set(canonical))])} {frames} times. Are these {frames} "
                f"frames, one after the other? Then write data.num_frames={frames}; else '{key}=[...]' with a name of "
                "its own for each."
            )
        raise UserError(
            f"{path} has two bands of one name: {twice!r} in {', '.join(found)}. "
            f"Write '{key}=[...]' with a name of its own for each."
        )
    return found


def _described(path: Path, header: Header, count: int, key: str) -> list[str]:
    described = [text for text in header.descriptions if text]
    if len(described) < header.count:
        raise UserError(
            f"{path} has {header.count} bands, and {header.count - len(described)} of them have no name in the "
            f"file. Name them in file order: {key}=[BLUE,GREEN,RED,...]."
        )
    if described != described[:count] * (header.count // count):
        raise UserError(
            f"{path}: its bands are not called alike in every frame ({', '.join(described)}). Name those of one frame, "
            f"in file order: {key}=[BLUE,GREEN,RED,...]."
        )
    return described[:count]


def _but(names: Sequence[str], count: int, num_frames: int, key: str) -> str:
    shown = f"{len(names)} names ({', '.join(names)})"
    if num_frames > 1:
        return (
            f"but {key} has {shown}, which in {num_frames} frames (data.num_frames) are {len(names) * num_frames}. "
            "Name the bands of one frame, each once, in file order."
        )
    frames = count // len(names) if len(names) > 1 and not count % len(names) else 0
    several = (
        f" Are these {frames} frames of {len(names)} bands? Then write data.num_frames={frames}." if frames else ""
    )
    return f"but {key} has {shown}. Name each band once, in file order.{several}"
