"""What a record keeps of a data set's splits."""

from collections.abc import Mapping, Sequence
from typing import Any

from geocompose.data.statistics import Statistics
from geocompose.data.window import Region


def describe_splits(
    regions: Mapping[str, Sequence[Region]],
    num_tiles: Mapping[str, int],
    statistics: Statistics,
    groups: Sequence[str] | None,
    tiles_left_out: int | None,
) -> dict[str, Any]:
    """Return for each split, as JSON knows it: how many scenes, tiles and groups, its labels, and what is left out.

    groups: of each scene; None where there are none. tiles_left_out: training tiles that are not trained on; None where
    all are.
    """
    described: dict[str, Any] = {}
    for split, parts in regions.items():
        scenes = {region.scene for region in parts}
        described[split] = {"scenes": len(scenes), "tiles": num_tiles[split]}
        if groups is not None:
            described[split]["groups"] = len({groups[scene] for scene in scenes})
        if split == "train" and tiles_left_out is not None:
            described[split]["tiles_left_out"] = tiles_left_out
        described[split] |= statistics.labels[split].describe()
        described[split]["left_out"] = statistics.left_out[split].as_record()
    return described
