"""Which band of a raster is which band of an image: by name, and by frame where it holds several time steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from geocompose.data.rasters.alpha import BandsAndAlpha, without_alpha
from geocompose.data.rasters.file import RasterPath
from geocompose.data.rasters.header import Header
from geocompose.errors import UserError, counted
from geocompose.imagery.bands import canonical, is_known


def places_in_file(bands: Sequence[int], num_bands: int, num_frames: int) -> list[int]:
    """Return the places in a file of some bands in all frames, the frames of the first band first.

    The file has all `num_bands` bands of the first frame, then all of the second, and so on.
    """
    return [frame * num_bands + band for band in bands for frame in range(num_frames)]


class Named(NamedTuple):
    """The bands of a raster that are an image's.

    names: of one frame, in file order. bands: the places of all frames' bands in the file, counted from 0.
    alpha: those of bands that only say where it is valid. remarks: what is to be said of the file.
    """

    names: list[str]
    bands: list[int]
    alpha: list[int]
    remarks: list[str]


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
    of_file: whether `names` is the band that a file is named after, which holds no other.
    """

    names: Sequence[str] | None = None
    usual: Sequence[str] | None = None
    num_frames: int = 1
    key: str = "data.band_names"
    usual_key: str = "usual"
    how: str = "write 'data.band_names=[BLUE,GREEN,RED,...]'"
    frames_key: str | None = "data.num_frames"
    wanted: str = ""
    of_file: bool = False

    def of(self, path: RasterPath, header: Header) -> Named:
        """Return which bands of a raster are an image's, and their names.

        Raises:
            UserError: the file has other bands than that, no names, or a name twice.
        """
        bands, alpha, remarks = self._without_alpha(header)
        texts = [header.descriptions[band] for band in bands]
        there = f"{_bands(len(bands))}{' beside alpha' if alpha else ''}"
        if len(bands) % self.num_frames:
            key = f" ({self.frames_key})" if self.frames_key else ""
            raise UserError(
                f"{path} has {there}, which can't be {self.num_frames} frames of as many bands each{key}.{self._wanted}"
            )
        count = len(bands) // self.num_frames
        found = self._stated(count, header, alpha)
        described = found is None
        if found is None:
            found = self._described(path, texts, there)
        if len(found) != count:
            raise UserError(f"{path} has {there}, {self._but(found, len(bands))}{self._wanted}")
        self._check_once(path, found, described=described)
        return Named(found, bands, alpha, [*remarks, *([] if described else self._contradictions(found, texts))])

    def _without_alpha(self, header: Header) -> BandsAndAlpha:
        unnamed: list[str | None] = [None] * header.count
        if self.names is not None:
            of_all = len(self.names) * self.num_frames == header.count
            return without_alpha(header, [*self.names] * self.num_frames if of_all else unnamed)
        usual = [*(self.usual or ())] * self.num_frames
        if usual and len(usual) == header.count - len(header.alpha):
            return without_alpha(header, unnamed)
        return without_alpha(header, usual if len(usual) == header.count else header.descriptions)

    def _contradictions(self, stated: Sequence[str], own: Sequence[str | None]) -> list[str]:
        """Return what is to be said of bands that a file calls otherwise than is stated.

        A description that is not a band's name, such as `Layer 1`, contradicts nothing.
        """
        known = set(map(canonical, stated))
        found = dict.fromkeys(  # each once, whichever frame it is in
            (there, name)
            for there, name in zip((text or "" for text in own), [*stated] * self.num_frames, strict=True)
            if canonical(there) != canonical(name) and (is_known(there) or canonical(there) in known)
        )
        if not found:
            return []
        key = "files" if self.of_file else self.key if self.names is not None else self.usual_key
        pairs = ", ".join(f"{there} is read as {name}" for there, name in found)
        return [f"the names of {key} count, not the file's own: {pairs}."]

    def _stated(self, count: int, header: Header, alpha: Sequence[int]) -> list[str] | None:
        """Return the names that are stated for one frame of `count` bands; None where none are."""
        stated = self.usual if self.names is None else self.names
        if stated is None:
            return None
        if len(stated) * self.num_frames == header.count:  # alpha was named as well
            stated = [name for place, name in enumerate(stated) if place not in alpha]
        return list(stated) if self.names is not None or len(stated) == count else None

    @property
    def _wanted(self) -> str:
        return f" {self.wanted}" if self.wanted else ""

    def _described(self, path: RasterPath, texts: Sequence[str | None], there: str) -> list[str]:
        count = len(texts) // self.num_frames
        described = [text for text in texts if text]
        if len(described) < len(texts):
            unnamed = len(texts) - len(described)
            which = "without names" if unnamed == len(texts) else f"and {unnamed} of them have no name in the file"
            raise UserError(
                f"{path} has {there} {which}.{self._wanted} To name all bands of the file, in its "
                f"order, {self.how}; or write the names into the file, as descriptions of its bands."
            )
        if described != described[:count] * self.num_frames:
            raise UserError(
                f"{path}: its bands don't have the same names in every frame ({', '.join(described)}). To name those "
                f"of one frame, in file order, {self.how}."
            )
        return described[:count]

    def _but(self, names: Sequence[str], count: int) -> str:
        if self.of_file:
            return (
                f"but its name says that it holds the band {names[0]}. Where a file holds several, leave {{band}} out."
            )
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
