"""What is odd about data and may be meant: said before it is trained on."""

import logging

from geocompose.data.module import SceneData
from geocompose.errors import counted, shortened

log = logging.getLogger("geocompose")


def tell_training_tiles(data: SceneData) -> None:
    """Say how many training tiles are left out, and name a few."""
    kept, every = data.training_tiles, data.tile_windows("train")
    if len(kept) < len(every):
        out = sorted(set(range(len(every))) - set(kept.tolist()))
        names = [f"{data.scenes[every[place].scene].name} ({every[place].window.in_words})" for place in out]
        log.info(
            "data.min_valid=%g leaves out %d of %s, of which too small a share counts: %s.",
            data.min_valid, len(out), counted(len(every), "training tile"), shortened(names, 3),
        )  # fmt: skip


def warn_of_odd_data(data: SceneData) -> None:
    """Say which classes no training label has, and that tiles are larger than every scene."""
    if data.target.of_classes:
        counts = data.statistics.class_counts["train"]
        absent = [name for name, count in zip(data.class_names, counts, strict=True) if not count]
        if absent:
            log.warning(
                "No training label has the class %s%s",
                ", ".join(absent),
                ": is data.class_names in the order of the label's values, or of data.label_values where that is given?"
                if data.target.kind == "segmentation"
                else ", which can't be learnt: add images, split differently (data.split, data.seed), or leave it out.",
            )
    largest = max(
        max(region.window.height, region.window.width) for regions in data.regions.values() for region in regions
    )
    if data.tile_px > largest:
        log.warning(
            "data.tile_px=%d is more than any scene has; tiles are padded, and the padding is ignored.", data.tile_px
        )
