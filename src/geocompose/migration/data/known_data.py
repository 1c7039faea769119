"""TerraTorch's data modules of data sets that have an option of their own here: places, bands, splits, values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from geocompose.errors import UserError
from geocompose.migration.bands import band_list
from geocompose.migration.data.files import SPLITS, split_by_folder
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.translation import DATA, Translation, shown


@dataclass(frozen=True)
class KnownData:
    """A data set of one of our options.

    bands: TerraTorch's names in file order, each with the mean and deviation that images are normalised with, of values
        times `scale`: an argument of the module where it is not None.
    lists: of the images of each split, below the root. folders: of each split, where there are no lists; images: the
        pattern in them.
    """

    option: str
    bands: Mapping[str, tuple[float, float]]
    scale: float | None = None
    lists: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    images: str = "*"


# Of either module, where the file has none.
_BATCH_SIZE = 4
# Source: terratorch/datamodules and terratorch/datasets, sen1floods11.py and fire_scars.py, of TerraTorch 1.2.11.
KNOWN: Mapping[str, KnownData] = {
    "Sen1Floods11NonGeoDataModule": KnownData(
        "sen1floods11",
        {
            "COASTAL_AEROSOL": (0.16450718, 0.06977374),
            "BLUE": (0.1412956, 0.07406382),
            "GREEN": (0.13795798, 0.07370365),
            "RED": (0.12353792, 0.08692279),
            "RED_EDGE_1": (0.1481099, 0.07778555),
            "RED_EDGE_2": (0.23991728, 0.09105416),
            "RED_EDGE_3": (0.28587557, 0.10690993),
            "NIR_BROAD": (0.26345379, 0.10096586),
            "NIR_NARROW": (0.30902815, 0.11798815),
            "WATER_VAPOR": (0.04911151, 0.03380113),
            "CIRRUS": (0.00652506, 0.01463465),
            "SWIR_1": (0.2044958, 0.09772074),
            "SWIR_2": (0.11912015, 0.07659938),
        },
        scale=1e-4,
        lists={
            split: f"v1.1/splits/flood_handlabeled/flood_{name}_data.txt"
            for split, name in zip(SPLITS, ("train", "valid", "test"), strict=True)
        },
    ),
    "FireScarsNonGeoDataModule": KnownData(
        "hls_burn_scars",
        {
            "BLUE": (0.033349706741586264, 0.02269135568823774),
            "GREEN": (0.05701185520536176, 0.026807560223070237),
            "RED": (0.05889748132001316, 0.04004109844362779),
            "NIR_NARROW": (0.2323245113436119, 0.07791732423672691),
            "SWIR_1": (0.1972854853760658, 0.08708738838140137),
            "SWIR_2": (0.11944914225186566, 0.07241979477437814),
        },
        folders={"train": "training", "val": "validation", "test": "validation"},
        images="*_merged.tif",
    ),
}


def known_data(to: Translation) -> KnownData | None:
    """Return the data set of the data module where we have an option of it, and of the task's kind of labels."""
    return KNOWN.get(str(class_name(to.ledger.get(("data",))))) if to.kind == "segmentation" else None


def translate_known_data(to: Translation, known: KnownData) -> None:
    """Translate root, splits, bands and numbers, and say what the option has otherwise than the module.

    Raises:
        UserError: the data set has no such bands, with which TerraTorch stops too.
    """
    ledger = to.ledger
    ledger.carried(("data", "class_path"), f"data={known.option}")
    if ledger.get((*DATA, "batch_size")) is None:
        to.set("data.batch_size", _BATCH_SIZE)
        ledger.remark(f"data.batch_size={_BATCH_SIZE}, as the module has where the file says nothing.")
    _places(to, known)
    _numbers(to, known, _bands(to, known))
    nodata = to.value("data.nodata")
    ledger.remark(
        f"data.nodata={shown(nodata)}, as data={known.option} has it: such pixels become the band's mean, and leave "
        "loss and metrics. TerraTorch takes them as values, but where files declare them as nodata."
    )
    ledger.needless((*DATA, "no_data_replace"), f"pixels of {nodata:g} become the band's mean")
    if ledger.get((*DATA, "use_metadata")) is True:
        ledger.lost((*DATA, "use_metadata"), "write data.dates and data.positions, for backbones that take them")
    ledger.needless((*DATA, "use_metadata"), "data.dates and data.positions are null")
    ledger.needless((*DATA, "predict_transform"), "action=predict takes images as they are")


def _places(to: Translation, known: KnownData) -> None:
    place = (*DATA, "data_root")
    root = to.ledger.get(place)
    for split, name in known.lists.items():
        to.set(f"data.split_files.{split}", name)
    if known.lists:
        to.ledger.remark("data.split_files: the lists that TerraTorch reads below the root.")
    if known.folders:
        folders = {split: str(PurePath(root or ".", name)) for split, name in known.folders.items()}
        unsplit = split_by_folder(to, folders, known.images, root or ".")
        if unsplit is not None:
            to.ledger.remark(
                f"TerraTorch trains on the images in {folders['train']}, and validates and tests on those in "
                f"{folders['val']}; nothing says here which is of which: {unsplit}."
            )
    if root is not None:
        to.carry(place, "data.root", root)


def _bands(to: Translation, known: KnownData) -> list[str]:
    """Translate the bands that are read, and return their names."""
    ledger, place = to.ledger, (*DATA, "bands")
    given, there = ledger.get(place), list(known.bands)
    names = there if given is None else _names(given, there)
    if names is None:
        raise UserError(
            f"data.init_args.bands of the TerraTorch configuration must be bands of {known.option}, each once: "
            f"{', '.join(there)}, or their places from 0; got {given!r}. Correct the file."
        )
    to.bands = names
    to.set("data.bands", names)
    note = "bands by number are places in the file, from 0; TerraTorch 1.2.11 stops at them"
    if given is not None:
        to.carry(place, "data.bands", names, note if given != names else "")
    if to.model_bands_place is not None:
        ledger.carried(to.model_bands_place, "data.bands, which the backbone is told")
    return names


def _names(given: object, there: list[str]) -> list[str] | None:
    """Return the names of the bands that are read, where a place counts from 0; None where there is no such band."""
    listed = band_list(given) or []
    found = [
        band if isinstance(band, str) else there[band] for band in listed if band in there or band in range(len(there))
    ]
    return found if 0 < len(listed) == len(found) == len(set(found)) else None


def _numbers(to: Translation, known: KnownData, bands: list[str]) -> None:
    """Normalise with the module's numbers, in the unit of the files."""
    ledger, place = to.ledger, (*DATA, "constant_scale")
    if known.scale is None:
        ledger.needless(place, "TerraTorch's module takes no notice of it")
    scale = 1.0 if known.scale is None else ledger.get(place, known.scale)  # above 0, as `check_shapes` has seen
    to.mean, to.std = ([known.bands[band][of] / scale for band in bands] for of in (0, 1))
    to.set("data.normalize", {"mean": to.mean, "std": to.std})
    ledger.carried(place, "in data.normalize")
    divided = f", divided by its constant_scale={scale:g}" if scale != 1 else ""
    ledger.remark(f"data.normalize: the module's own means and stds of these bands{divided}.")
