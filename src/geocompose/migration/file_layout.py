"""Folders a split, as TerraTorch takes them, as the one root with patterns that our data sets take."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Layout:
    """A root, and patterns of images and labels relative to it."""

    root: str
    images: str
    labels: str


def find_layout(images: Mapping[str, str], labels: Mapping[str, str], image_grep: str, label_grep: str) -> Layout:
    """Return the layout of images and labels that lie in a folder a split.

    images, labels: the folder of each split. image_grep, label_grep: patterns in these folders. Where the splits'
    folders differ in a level, `*` stands for it; where they differ in their number of levels, `**`.
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
        return [level[0] if len(set(level)) == 1 else "*" for level in zip(*parts, strict=True)]
    shared: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return [*shared, "**"]
