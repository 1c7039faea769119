"""Parts that other installed packages offer through entry points: found by their metadata, imported when asked for."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from geocompose.errors import UserError

Builder = Callable[..., Any]


class PackageParts(Mapping[str, Builder]):
    """The parts of one kind that one package offers, by the names of its entry points; there may be none."""

    def __init__(self, kind: str, package: str, points: Mapping[str, EntryPoint]) -> None:
        """Name the `kind` of part and the `package` as it was installed, for messages."""
        self.kind = kind
        self.package = package
        self._points = points

    def __getitem__(self, name: str) -> Builder:
        """Return the class or function that an entry point names.

        Raises:
            KeyError: the package offers none of this name.
            UserError: it can't be imported, or can't be called; names the package.
        """
        point = self._points[name]
        whose = f"The {self.kind} {name!r} of the package {self.package} (entry point {point.value})"
        try:
            part = point.load()
        except Exception as error:
            # A module of another package may raise anything while it is imported.
            raise UserError(
                f"{whose} can't be imported: {type(error).__name__}: {error}. Install or update that package, or what "
                "it needs."
            ) from error
        if not callable(part):
            raise UserError(
                f"{whose} is not a class or function that makes a {self.kind}, but {type(part).__name__}. Tell its "
                "maintainers."
            )
        return part

    def place(self, name: str) -> str:
        """Return the dotted name that an entry point stands for, such as `my_lab.nets.TwoLevels`; nothing is imported.

        Raises:
            KeyError: the package offers none of this name.
        """
        return self._points[name].value.partition("[")[0].strip().replace(":", ".")

    def __contains__(self, name: object) -> bool:
        return name in self._points

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)


def packages(kind: str) -> Mapping[str, PackageParts]:
    """Return what each package offers of a kind of part (group `geocompose.backbones`, ...), by the package's prefix.

    The prefix is the package's name with underscores: `my-parts` gives `my_parts_NAME`.
    """
    return _packages(kind, tuple(sys.path))


def places(kind: str, name: str) -> list[str]:
    """Return what a name may stand for among packages' parts, as dotted names: bare, or with its package's prefix."""
    return [
        parts.place(own)
        for prefix, parts in packages(kind).items()
        for own in parts
        if name in (own, f"{prefix}_{own}")
    ]


@lru_cache(maxsize=16)
def _packages(kind: str, path: tuple[str, ...]) -> Mapping[str, PackageParts]:
    # Reading the metadata of all packages takes a while, so it is done once for a search path.
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=f"geocompose.{kind}s"):
        package = point.dist.name if point.dist is not None else point.value.partition(".")[0]
        found.setdefault(package, {})[point.name] = point
    return {
        re.sub(r"[-_.]+", "_", package).lower(): PackageParts(kind, package, points)
        for package, points in sorted(found.items())
    }
