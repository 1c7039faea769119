"""Folders a split, as TerraTorch takes them, as the one root with patterns that our data sets take."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

_ANY = "\0\0"  # stands for what a wildcard matches: a text that no pattern names


@dataclass(frozen=True)
class Layout:
    """A root, and patterns of images and labels relative to it."""

    root: str
    images: str
    labels: str

    @property
    def confused(self) -> bool:
        """Whether the labels' pattern matches all that the images' does, so that no file would be an image."""
        return _covers(self.labels.split("/"), self.images.split("/"))


def find_layout(images: Mapping[str, str], labels: Mapping[str, str], image_grep: str, label_grep: str) -> Layout:
    """Return the layout of images and labels that lie in a folder a split.

    images, labels: the folder of each split. image_grep, label_grep: patterns in these folders. Where the splits'
    folders differ in a level, `*` stands for the words that differ (`*_images` for `train_images` and `val_images`);
    where they differ in their number of levels, `**` for the levels that do.
    """
    of_images, of_labels = _template(list(images.values())), _template(list(labels.values()))
    root: list[str] = []
    for part, other in zip(of_images, of_labels, strict=False):
        if part != other or "*" in part:
            break
        root.append(part)
    depth = len(root)
    return Layout(
        str(PurePath(*root)) if root else ".",
        "/".join([*of_images[depth:], image_grep]),
        "/".join([*of_labels[depth:], label_grep]),
    )


def _template(folders: list[str]) -> list[str]:
    parts = [PurePath(folder).parts for folder in folders]
    if len({len(one) for one in parts}) == 1:
        return [_level(level) for level in zip(*parts, strict=True)]
    first = _shared(parts)
    last = _shared([one[len(first) :][::-1] for one in parts])
    return [*first, "**", *reversed(last)]


def _shared(parts: Sequence[Sequence[str]]) -> list[str]:
    """Return the levels or words that all begin with."""
    shared: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return shared


def _level(names: Sequence[str]) -> str:
    """Return a pattern of one level: the words that all names begin and end with, and `*` for those between."""
    if len(set(names)) == 1:
        return names[0]
    words = [re.findall(r"[^\W_]+|[\W_]", name) for name in names]
    first = _shared(words)
    last = _shared([one[len(first) :][::-1] for one in words])
    return "".join([*first, "*", *reversed(last)])


def _covers(pattern: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether a pattern matches whatever the other does; both by level."""
    if not pattern or not other:
        return not pattern and not other
    if pattern[0] == "**":
        return _covers(pattern[1:], other) or _covers(pattern, other[1:])
    same = other[0] != "**" and (
        other[0] == pattern[0] or fnmatchcase(re.sub(r"\*+", _ANY, other[0]).replace("?", _ANY[0]), pattern[0])
    )
    return same and _covers(pattern[1:], other[1:])
