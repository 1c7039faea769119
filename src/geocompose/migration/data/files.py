"""Where TerraTorch's generic data modules find files, and which split each belongs to."""

from collections.abc import Mapping, Sequence
from os.path import relpath
from pathlib import Path, PurePath

from geocompose.data.files.file_names import listed_names
from geocompose.data.files.matching import matching
from geocompose.data.files.split_folders import FOLDERS, splits_in
from geocompose.migration.data.file_layout import Layout, find_layout
from geocompose.migration.translation import DATA, MISSING, Translation

SPLITS = ("train", "val", "test")


def translate_files(to: Translation) -> None:
    """Translate folders and patterns of file names, and the lists of the splits."""
    ledger = to.ledger
    given = {split: ledger.get((*DATA, f"{split}_data_root")) for split in SPLITS}
    places = [(*DATA, f"{split}{part}_data_root") for split in SPLITS for part in ("", "_label")]
    if not all(isinstance(root, str) for root in given.values()):
        for place in places:
            ledger.lost(place, "a folder for each of train, val and test is needed")
        return
    roots = {split: str(PurePath(root)) for split, root in given.items()}  # one way to write a folder
    labels = {
        split: str(PurePath(ledger.get((*DATA, f"{split}_label_data_root")) or root)) for split, root in roots.items()
    }
    greps = ledger.get((*DATA, "img_grep"), "*"), ledger.get((*DATA, "label_grep"), "*")
    if to.kind == "classification":
        greps = (f"*/*{_suffix(roots)}",) * 2
    layout = find_layout(roots, labels, *greps)
    to.set("data.root", layout.root)
    unpaired = _patterns(to, layout)
    keys = ", ".join(f"data.{key}" for key in ("root", "images", "labels") if key in to.values["data"])
    unsplit = _splits(to, roots, greps[0], layout.root)
    if unsplit is not None and unpaired is None:
        unsplit = f"{keys} find the files, but not which split they belong to: {unsplit}"
    missing = [why for why in (unpaired, unsplit) if why is not None]
    for place in places:
        if missing:
            ledger.lost(place, "; ".join(missing))
        else:
            ledger.carried(place, keys)
    for key, note in (
        ("img_grep", "data.images"),
        ("label_grep", "data.labels; * has to stand for the same text as in data.images"),
    ):
        if unpaired is None:
            ledger.carried((*DATA, key), note)
        else:
            ledger.lost((*DATA, key), unpaired)


def _suffix(roots: Mapping[str, str]) -> str:
    """Return how names of images in folders of classes end; `.tif` where the folders aren't here, or ends differ."""
    found = {file.suffix for folder in roots.values() for file in matching(Path(folder).expanduser(), "*/*.*")}
    return found.pop() if len(found) == 1 else ".tif"


def _patterns(to: Translation, layout: Layout) -> str | None:
    """Translate the patterns of images and labels; return why not, where they would find the same files."""
    ledger = to.ledger
    if to.kind == "reconstruction":
        for split in SPLITS:
            ledger.needless((*DATA, f"{split}_label_data_root"), "images have no labels")
        ledger.needless((*DATA, "label_grep"), "images have no labels")
    elif to.kind != "classification":
        if layout.confused:
            return (
                f"below {layout.root}, images ({layout.images}) and labels ({layout.labels}) have one pattern: name "
                "files or folders so that a pattern each finds them, and write these as data.images and data.labels"
            )
        to.set("data.labels", layout.labels)
        ledger.remark(
            "data.labels: an image's label is the file in which * stands for the same text; TerraTorch pairs sorted "
            "files one by one."
        )
    to.set("data.images", layout.images)
    return None


def _splits(to: Translation, roots: Mapping[str, str], pattern: str, root: str) -> str | None:
    """Translate which images belong to which split; return why not, where that can't be done."""
    ledger = to.ledger
    named = {split: ledger.get((*DATA, f"{split}_split")) for split in SPLITS}
    lists = {split: str(PurePath(path)) for split, path in named.items() if isinstance(path, str)}
    if len(lists) == len(SPLITS) and lists["train"] not in (lists["val"], lists["test"]):
        _listed(to, lists)
        return None
    for split in SPLITS:
        ledger.lost((*DATA, f"{split}_split"), "data.split_files takes a list for each of train, val and test")
    if roots["train"] in (roots["val"], roots["test"]):
        return "several splits read one folder; data.split draws images for each"
    return split_by_folder(to, roots, pattern, root)


def split_by_folder(to: Translation, folders: Mapping[str, str], pattern: str, root: str) -> str | None:
    """List the images of each split's folder, by their paths below `root`; return why not, where that can't be done.

    Where the folders can't be seen, images are of the split that their folder is called after. Where it is called
    otherwise, the command asks for lists.
    """
    below = Path(root).expanduser()
    found = {
        split: [Path(relpath(file, below)).as_posix() for file in matching(Path(folder).expanduser(), pattern)]
        for split, folder in folders.items()
    }
    shared = folders["val"] == folders["test"]
    if all(found.values()) and not (shared and len(found["val"]) < 2):
        to.split_lists = found | (_halved(to, found["val"], "folder") if shared else {})
        return None
    if all(splits_in(relpath(folder, root)) == {split} for split, folder in folders.items()):
        to.set("data.split", FOLDERS)
        to.ledger.remark("data.split=folders: an image is of the split that its folder is called after.")
        return None
    for split in SPLITS:
        to.set(f"data.split_files.{split}", MISSING)
    empty = [folder for split, folder in folders.items() if not found[split]]
    if not empty:
        return "val and test read one folder of one image, and an image belongs to one split here"
    why = (
        f"{empty[0]} has no {pattern}"
        if Path(empty[0]).expanduser().is_dir()
        else f"{empty[0]} can't be seen from here"
    )
    return f"{why}; import where the images are, or write a list of images for each split"


def _listed(to: Translation, lists: Mapping[str, str]) -> None:
    """Translate the lists of the splits; one that val and test share is halved, or asked for where it is not here."""
    shared = ("val", "test") if lists["val"] == lists["test"] else ()
    file = Path(lists["val"]).expanduser()
    rows = list(dict.fromkeys(listed_names(file, ()))) if shared and file.is_file() else []
    for split in SPLITS:
        place, key = (*DATA, f"{split}_split"), f"data.split_files.{split}"
        if split not in shared:
            to.carry(place, key, lists[split])
        elif len(rows) > 1:
            to.ledger.carried(place, key)
        else:
            to.set(key, MISSING)
            to.ledger.lost(
                place,
                "val and test read one list in TerraTorch, which has not two images or can't be seen from here, and an "
                "image belongs to one split here: make two lists, data.split_files.val and data.split_files.test",
            )
    if len(rows) > 1:
        to.split_lists = _halved(to, rows, "list")


def _halved(to: Translation, found: Sequence[str], what: str) -> dict[str, list[str]]:
    """Return the images of val and test, which have the same in TerraTorch: every other one."""
    to.ledger.remark(
        f"val and test read one {what} in TerraTorch, so that the test scores chose the epoch; here every other of its "
        "images is of val, and the others are of test."
    )
    return {"val": list(found[::2]), "test": list(found[1::2])}
