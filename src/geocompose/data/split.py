"""Which pixels are for training, validation and testing: whole scenes, or blocks of columns of a single one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from geocompose.data.window import Region, Window
from geocompose.errors import UserError

if TYPE_CHECKING:
    from geocompose.data.scene import Scene

SPLITS = ("train", "val", "test")
DEFAULT_FRACTIONS = (0.6, 0.2, 0.2)


def split_by_fractions(
    scenes: "Sequence[Scene]",
    fractions: Sequence[float] | None,
    *,
    seed: int,
    buffer_px: int = 0,
    groups: Sequence[str] | None = None,
) -> dict[str, list[Region]]:
    """Return the regions of each split: whole scenes drawn by `seed`, or blocks of columns where there is one scene.

    fractions: of train, val and test, three positive numbers with sum 1; None means 0.6, 0.2, 0.2. Blocks lie from west
    to east in this order.
    buffer_px: columns left out between neighbouring blocks. They are taken from the western block, so that the test
    block holds the same pixels whatever the buffer.
    groups: of each scene; those of one are drawn together, and the splits come as near to the fractions as they can.

    Raises:
        UserError: other fractions; a split would be empty; a buffer for several scenes, which have no neighbouring
        blocks; groups for a single one.
    """
    shares = shares_of(fractions)
    if buffer_px < 0:
        raise UserError(f"data.split_buffer_px={buffer_px} must not be negative.")
    if len(scenes) == 1:
        if groups is not None:
            raise UserError(
                "data.groups keeps images together, and there is one, which is split into blocks of columns. Set "
                "data.groups=null."
            )
        return _blocks(scenes[0], shares, buffer_px)
    if buffer_px:
        raise UserError(
            f"data.split_buffer_px={buffer_px} is for a single raster, split into blocks; {len(scenes)} images are "
            "split image by image. Set data.split_buffer_px=0."
        )
    if groups is not None:
        found = sorted(set(groups))
        if len(found) < len(SPLITS):
            raise UserError(
                f"data.groups makes {len(found)} of the {len(groups)} images' groups ({', '.join(found)}), which can't "
                "be split into train, val and test: each split needs at least one group."
            )
        parts_of_groups = group_parts(groups, shares, seed)
        return {name: whole_scenes(scenes, parts_of_groups[i]) for i, name in enumerate(SPLITS)}
    counts = _counts(len(scenes), shares)
    order = np.random.default_rng(seed).permutation(len(scenes))
    parts = np.split(order, np.cumsum(counts)[:-1])
    return {name: whole_scenes(scenes, sorted(map(int, part))) for name, part in zip(SPLITS, parts, strict=True)}


def check_groups(scenes: "Sequence[Scene]", regions: Mapping[str, Sequence[Region]], groups: Sequence[str]) -> None:
    """Refuse splits that share a group. groups: of each scene.

    Raises:
        UserError: names the first such group, and an image of it in each of two splits.
    """
    owner: dict[str, tuple[str, str]] = {}
    for split in SPLITS:
        for region in regions[split]:
            group, name = groups[region.scene], scenes[region.scene].name
            there = owner.setdefault(group, (split, name))
            if there[0] != split:
                raise UserError(
                    f"data.groups keeps a group within one split, but the group {group!r} is in {there[0]} "
                    f"({there[1]}) and in {split} ({name}). Move its images to one of them, or split by fractions "
                    "(data.split)."
                )


def split_by_members(scenes: "Sequence[Scene]", members: Mapping[str, Sequence[int]]) -> dict[str, list[Region]]:
    """Return the regions of each split. members: the places of its scenes in `scenes`."""
    return {name: whole_scenes(scenes, members[name]) for name in SPLITS}


def whole_scenes(scenes: "Sequence[Scene]", places: Sequence[int]) -> list[Region]:
    """Return one region with all pixels for each of the scenes at `places`."""
    return [Region(i, Window(0, 0, scenes[i].height, scenes[i].width)) for i in places]


def shares_of(fractions: Sequence[float] | None) -> tuple[float, ...]:
    """Return the shares of train, val and test that `data.split` gives; None is the default.

    Raises:
        UserError: they are not three positive numbers with sum 1.
    """
    shares = tuple(map(float, DEFAULT_FRACTIONS if fractions is None else fractions))
    if len(shares) != len(SPLITS) or not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise UserError(
            f"data.split={list(shares)} must be three positive fractions with sum 1, for train, val and test, "
            "such as [0.6,0.2,0.2]."
        )
    return shares


def _counts(num_scenes: int, shares: Sequence[float]) -> list[int]:
    """Return how many scenes each split gets: at least one, the others by largest remainder."""
    if num_scenes < len(SPLITS):
        raise UserError(
            f"{num_scenes} images can't be split into train, val and test: each split needs at least one image. "
            "Add images, or give a single raster, which is split into blocks of columns."
        )
    counts = [1] * len(SPLITS)
    for _ in range(num_scenes - len(SPLITS)):
        owed = [share * num_scenes - count for share, count in zip(shares, counts, strict=True)]
        counts[owed.index(max(owed))] += 1
    return counts


def group_parts(groups: Sequence[str], shares: Sequence[float], seed: int) -> list[list[int]]:
    """Return for each share the places of its scenes, ascending: whole groups, at least one, drawn by `seed`.

    groups: of each scene; there are at least as many as shares. shares: with sum 1; the parts come as near as they can.
    """
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    assert len(members) >= len(shares), (len(members), shares)
    names = sorted(members)
    drawn = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    # Large groups first: small ones then even out what these left.
    drawn.sort(key=lambda group: -len(members[group]))
    parts: list[list[int]] = [[] for _ in shares]
    for number, group in enumerate(drawn):
        owed = [share * len(groups) - len(part) for share, part in zip(shares, parts, strict=True)]
        empty = [i for i, part in enumerate(parts) if not part]
        last = len(drawn) - number <= len(empty)  # each that is left goes to a part that has none
        target = max(empty if last else range(len(parts)), key=lambda i: owed[i])
        parts[target] += members[group]
    return [sorted(part) for part in parts]


def _blocks(scene: "Scene", shares: Sequence[float], buffer_px: int) -> dict[str, list[Region]]:
    """Return one block of columns per split, from west to east."""
    edges = [0, *(round(scene.width * sum(shares[:i])) for i in range(1, len(shares))), scene.width]
    # Where pixels have a negative width, the first column is the easternmost one.
    mirrored = scene.transform is not None and scene.transform.a < 0
    regions = {}
    for i, name in enumerate(SPLITS):
        first, end = edges[i], edges[i + 1] - (buffer_px if i < len(SPLITS) - 1 else 0)
        if end <= first:
            raise UserError(
                f"The {name} split of {scene.name} would have no pixel: data.split={list(shares)} of {scene.width} "
                f"columns with data.split_buffer_px={buffer_px}. Enlarge its fraction or shrink the buffer."
            )
        column = scene.width - end if mirrored else first
        regions[name] = [Region(0, Window(0, column, scene.height, end - first))]
    return regions
