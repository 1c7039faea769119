"""Which band of a raster is which band of an image: by name, and by frame where it holds several time steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from geocompose.data.rasters.file import RasterPath
from geocompose.data.rasters.header import Header
from geocompose.errors import UserError, counted
from geocompose.imagery.bands import canonical, is_known


def places_in_file(bands: Sequence[int], num_bands: int, num_frames: int) -> list[int]:
    """Return the places in a file of some bands in all frames, the frames of the first band first.

    The file has all `num_bands` bands of the first frame, then all of the second, and so on.
    """
    return [frame * num_bands + band for band in bands for frame in range(num_frames)]


class Contradiction(NamedTuple):
    """Bands that a file calls otherwise than is stated under `key`: each as (its name in the file, the stated one)."""

    key: str
    bands: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BandNaming:
    """How the bands of rasters are called.

    names: the bands of one frame in file order, as a configuration gives them under `key`; None means `usual`, else
        what each file says.
    usual: names in file order that are taken where their number is the file's: in prediction, those of the training.
        usual_key: whose they are, for messages.
    how: how a user gives names, for messages.
    num_frames: time steps in each file, one after the other: all bands of the first, then all of the second, ...
    frames_key: where the configuration has `num_frames`; None where it can't be chosen any more.
    wanted: what errors add: which bands are read.
    """

    names: Sequence[str] | None = None
    usual: Sequence[str] | None = None
    num_frames: int = 1
    key: str = "data.band_names"
    usual_key: str = "usual"
    how: str = "write 'data.band_names=[BLUE,GREEN,RED,...]'"
    frames_key: str | None = "data.num_frames"
    wanted: str = ""

    def of(self, path: RasterPath, header: Header) -> list[str]:
        """Return the names of a raster's bands, of one frame, in file order.

        Raises:
            UserError: the file has other bands than that, no names, or a name twice.
        """
        if header.count % self.num_frames:
            key = f" ({self.frames_key})" if self.frames_key else ""
            raise UserError(
                f"{path} has {_bands(header.count)}, which can't be {self.num_frames} frames of as many bands "
                f"each{key}.{self._wanted}"
            )
        count = header.count // self.num_frames
        found = self._stated(count)
        described = found is None
        if found is None:
            found = self._described(path, header, count)
        if len(found) != count:
            raise UserError(f"{path} has {_bands(header.count)}, {self._but(found, header.count)}{self._wanted}")
        self._check_once(path, found, described=described)
        return found

    def contradiction(self, header: Header) -> Contradiction | None:
        """Return which bands a file calls otherwise than is stated; None where it calls none so.

        A description that is not a band's name, such as `Layer 1`, contradicts nothing.
        """
        count = header.count // self.num_frames
        stated = self._stated(count)
        if stated is None:
            return None
        own = [text or "" for text in header.descriptions]
        known = set(map(canonical, stated))
        found = dict.fromkeys(  # each once, whichever frame it is in
            (there, name)
            for there, name in zip(own, [*stated] * self.num_frames, strict=True)
            if canonical(there) != canonical(name) and (is_known(there) or canonical(there) in known)
        )
        key = self.key if self.names is not None else self.usual_key
        return Contradiction(key, tuple(found)) if found else None

    def _stated(self, count: int) -> list[str] | None:
        if self.names is not None:
            return list(self.names)
        return list(self.usual) if self.usual is not None and len(self.usual) == count else None

    @property
    def _wanted(self) -> str:
        return f" {self.wanted}" if self.wanted else ""

    def _described(self, path: RasterPath, header: Header, count: int) -> list[str]:
        described = [text for text in header.descriptions if text]
        if len(described) < header.count:
            unnamed = header.count - len(described)
            which = "without names" if unnamed == header.count else f"and {unnamed} of them have no name in the file"
            raise UserError(
                f"{path} has {_bands(header.count)} {which}.{self._wanted} To name all bands of the file, in its "
                f"order, {self.how}; or write the names into the file, as descriptions of its bands."
            )
        if described != described[:count] * self.num_frames:
            raise UserError(
                f"{path}: its bands don't have the same names in every frame ({', '.join(described)}). To name those "
                f"of one frame, in file order, {self.how}."
            )
        return described[:count]

    def _but(self, names: Sequence[str], count: int) -> str:
        shown = f"{counted(len(names), 'name')} ({', '.join(names)})"
        if self.num_frames > 1:
            key = f" ({self.frames_key})" if self.frames_key else ""
            return (
                f"but {self.key} has {shown}, which in {self.num_frames} frames{key} are "
                f"{len(names) * self.num_frames}. Name the bands of one frame, each once, in file order."
            )
        return f"but {self.key} has {shown}. Name each band once, in file order.{self._perhaps_frames(names, count)}"

    def _perhaps_frames(self, names: Sequence[str], count: int) -> str:
        if self.frames_key is None or len(names) < 2 or count <= len(names) or count % len(names):
            return ""
        frames = count // len(names)
        return f" Are these {frames} frames of {len(names)} bands? Then write {self.frames_key}={frames}."

    def _check_once(self, path: RasterPath, names: Sequence[str], *, described: bool) -> None:
        known = [canonical(name) for name in names]
        twice = next((name for i, name in enumerate(names) if known[i] in known[:i]), None)
        if twice is None:
            return
        different = len(set(known))
        frames = len(names) // different
        if self.frames_key and described and known == known[:different] * frames:
            raise UserError(
                f"{path} has each of {', '.join(names[:different])} {frames} times. Are these {frames} frames, one "
                f"after the other? Then write {self.frames_key}={frames}. To give each a different name, {self.how}."
            )
        places = ", ".join(str(i) for i, name in enumerate(known, 1) if name == canonical(twice))
        raise UserError(
            f"{path} has the band {twice!r} more than once (bands {places} of {', '.join(names)}). "
            f"To give each a different name, {self.how}."
        )


def _bands(count: int) -> str:
    return counted(count, "band")
