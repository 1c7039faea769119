"""TerraTorch's transforms of images (Albumentations) as arguments of our data: augmentation, and sizes of tiles."""

from collections.abc import Mapping
from typing import Any

from geocompose.imagery.samples import PIXEL_WISE
from geocompose.migration.data_files import SPLITS
from geocompose.migration.ledger import Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.translation import DATA, Translation

_DIHEDRAL = {"D4"}
_TRANSFORMS_NOT_NEEDED = {
    "ToTensorV2": "done by the loader",
    "FlattenTemporalIntoChannels": "transforms here know frames",
    "UnflattenTemporalFromChannels": "transforms here know frames",
    "Padding": "smaller images are padded to a tile",
}
_SIZED = {"Resize", "RandomCrop", "CenterCrop", "RandomResizedCrop", "PadIfNeeded"}


def translate_transforms(to: Translation) -> None:
    """Translate each split's list of transforms; random ones count of the training split alone."""
    ledger = to.ledger
    to.set("data.dihedral", False)
    for split in SPLITS:
        place: Place = (*DATA, f"{split}_transform")
        steps = ledger.get(place)
        if isinstance(steps, list):
            for index, step in enumerate(steps):
                _transform(to, split, (*place, str(index)), step)
        if not steps:
            ledger.needless(place, "none")


def _transform(to: Translation, split: str, place: Place, step: Any) -> None:
    name = str(class_name(step))
    arguments = step.get("init_args") or {} if isinstance(step, Mapping) else {}
    of_images = to.kind not in PIXEL_WISE
    if name in _TRANSFORMS_NOT_NEEDED:
        to.ledger.needless(place, _TRANSFORMS_NOT_NEEDED[name])
    elif name in _DIHEDRAL and split == "train" and arguments.get("p", 1) == 1:
        to.set("data.dihedral", True)
        to.ledger.carried(place, "data.dihedral")
    elif name == "RandomCrop" and split == "train" and _square(arguments) is not None:
        to.tile_px = to.tile_px or _square(arguments)
        to.set("data.random_crop", True)
        if of_images:
            to.set("data.fit", "crop")
        to.ledger.carried(place, f"data.random_crop, data.tile_px{', data.fit=crop' if of_images else ''}")
    elif name in _SIZED and of_images and _square(arguments) is not None:
        to.tile_px = to.tile_px or _square(arguments)
        fit = to.values["data"].setdefault("fit", "resize" if name == "Resize" else "crop")
        to.ledger.lost(
            place,
            f"images larger than data.tile_px={to.tile_px} are fitted by data.fit={fit} in every split, smaller ones "
            "are padded, never enlarged",
        )
    elif name in _SIZED and _square(arguments) is not None:
        to.tile_px = to.tile_px or _square(arguments)
        to.ledger.lost(place, f"images keep their scale; data.tile_px={_square(arguments)} cuts them into tiles")
    else:
        to.ledger.lost(
            place, f"there is no transform {name}; data.dihedral, data.rotation_deg and data.random_crop are there"
        )


def _square(arguments: Mapping[str, Any]) -> int | None:
    height, width = arguments.get("height"), arguments.get("width")
    return height if isinstance(height, int) and height == width else None
