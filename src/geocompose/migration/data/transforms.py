"""TerraTorch's transforms of images (Albumentations) as arguments of our data: augmentation, and sizes of tiles."""

from collections.abc import Mapping, Set
from typing import Any

from geocompose.data.loading import Dihedral
from geocompose.imagery.samples import PIXEL_WISE
from geocompose.migration.data.files import SPLITS
from geocompose.migration.ledger import Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.translation import DATA, Translation

# What mirrors or turns by quarters, with the probability that each has where nothing is said.
_VIEWS = {"D4": 1.0, "HorizontalFlip": 0.5, "VerticalFlip": 0.5, "RandomRotate90": 0.5, "Transpose": 0.5}
_QUARTERS = {"RandomRotate90", "Transpose"}
_TRANSFORMS_NOT_NEEDED = {
    "ToTensorV2": "done by the loader",
    "FlattenTemporalIntoChannels": "transforms here know frames",
    "UnflattenTemporalFromChannels": "transforms here know frames",
    **dict.fromkeys(("Padding", "PadIfNeeded"), "smaller images are padded to a tile"),
}
_SIZED = {"Resize", "RandomCrop", "CenterCrop", "RandomResizedCrop"}


def translate_transforms(to: Translation) -> None:
    """Translate each split's list of transforms; random ones count of the training split alone."""
    ledger = to.ledger
    to.set("data.dihedral", False)
    for split in SPLITS:
        place: Place = (*DATA, f"{split}_transform")
        steps = ledger.get(place)
        if isinstance(steps, list):
            if split == "train":
                _views(to, place, steps)
                to.tile_px = next(filter(None, map(_crop, steps)), None)  # what the model is trained on in the end
            for index, step in enumerate(steps):
                _transform(to, split, (*place, str(index)), step)
        if not steps:
            ledger.needless(place, "none")
    for key in ("transform", "transforms"):  # of every split, in modules that are not TerraTorch's own
        steps = ledger.get((*DATA, key))
        for index, step in enumerate(steps if isinstance(steps, list) else []):
            _transform(to, "every", (*DATA, key, str(index)), step)


def _views(to: Translation, place: Place, steps: list[Any]) -> None:
    """Translate the transforms of training that mirror or turn by quarters: together they are one setting here."""
    found: dict[Place, tuple[str, float]] = {}
    for index, step in enumerate(steps):
        name = str(class_name(step))
        likely = _arguments(step).get("p", _VIEWS.get(name))
        if name in _VIEWS and isinstance(likely, int | float) and (0 < likely < 1 or (name == "D4" and likely == 1)):
            found[(*place, str(index))] = name, likely
    drawn = _dihedral({name for name, _ in found.values()})
    to.set("data.dihedral", drawn)
    for at, (name, likely) in found.items():
        if drawn is not True and name in _QUARTERS:
            to.ledger.lost(at, "data.dihedral=true turns by quarters and mirrors, too; nothing here turns alone")
            continue
        alike = likely == _VIEWS[name] and name != "RandomRotate90"  # which turns by nothing in a quarter of its cases
        note = "" if alike else f"{name} has p={likely:g} in TerraTorch; here each of the views is equally likely"
        to.carry(at, "data.dihedral", drawn, note)


def _dihedral(names: Set[str]) -> Dihedral:
    """Return our setting of transforms that mirror or turn by quarters."""
    mirrors = names & {"HorizontalFlip", "VerticalFlip"}
    # One mirror and quarter turns make all eight views; one mirror and a transposition do not.
    if "D4" in names or (mirrors and "RandomRotate90" in names) or (len(mirrors) == 2 and "Transpose" in names):
        return True
    if len(mirrors) == 2:
        return "flips"
    if not mirrors:
        return False
    return "horizontal" if "HorizontalFlip" in mirrors else "vertical"


def _arguments(step: Any) -> Mapping[str, Any]:
    arguments = step.get("init_args") if isinstance(step, Mapping) else None
    return arguments if isinstance(arguments, Mapping) else {}


def _transform(to: Translation, split: str, place: Place, step: Any) -> None:
    name, arguments = str(class_name(step)), _arguments(step)
    of_images = to.kind not in PIXEL_WISE
    if name in _TRANSFORMS_NOT_NEEDED:
        to.ledger.needless(place, _TRANSFORMS_NOT_NEEDED[name])
    elif split == "train" and _crop(step) == to.tile_px is not None:
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
        to.ledger.lost(place, f"images keep their scale; data.tile_px={to.tile_px} cuts them into tiles")
    elif name in _VIEWS:
        why = "it is not drawn at random" if split == "train" else "images are changed at random in training alone"
        to.ledger.lost(place, why)
    elif name in _SIZED:
        to.ledger.lost(place, "its size is not one whole number for height and width")
    else:
        to.ledger.lost(
            place, f"there is no transform {name}; data.dihedral, data.rotation_deg and data.random_crop are there"
        )


def _crop(step: Any) -> int | None:
    """Return the size of a random crop; None of any other transform, and of one that is no square."""
    return _square(_arguments(step)) if class_name(step) == "RandomCrop" else None


def _square(arguments: Mapping[str, Any]) -> int | None:
    height, width = arguments.get("height"), arguments.get("width")
    return height if isinstance(height, int) and height == width else None
