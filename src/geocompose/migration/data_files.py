"""Where TerraTorch's generic data modules find files, and which split each belongs to."""

from collections.abc import Mapping
from os.path import relpath
from pathlib import Path

from geocompose.migration.file_layout import Layout, find_layout
from geocompose.migration.translation import DATA, Translation

SPLITS = ("train", "val", "test")


def translate_files(to: Translation) -> None:
    """Translate folders and patterns of file names, and the lists of the splits."""
    ledger = to.ledger
    roots = {split: ledger.get((*DATA, f"{split}_data_root")) for split in SPLITS}
    labels = {split: ledger.get((*DATA, f"{split}_label_data_root")) or roots[split] for split in SPLITS}
    places = [(*DATA, f"{split}{part}_data_root") for split in SPLITS for part in ("", "_label")]
    if not all(isinstance(root, str) for root in roots.values()):
        for place in places:
            ledger.lost(place, "a folder for each of train, val and test is needed")
        return
    greps = ledger.get((*DATA, "img_grep"), "*"), ledger.get((*DATA, "label_grep"), "*")
    if to.kind == "classification":
        greps = "*/*.tif", "*/*.tif"
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
    to.set("data.images", layout.images)
    return None


def _splits(to: Translation, roots: Mapping[str, str], pattern: str, root: str) -> str | None:
    """Translate which images belong to which split; return why not, where that can't be done."""
    ledger = to.ledger
    lists = {split: ledger.get((*DATA, f"{split}_split")) for split in SPLITS}
    if all(isinstance(path, str) for path in lists.values()) and lists["train"] not in (lists["val"], lists["test"]):
        return _listed(to, lists)
    for split in SPLITS:
        ledger.lost((*DATA, f"{split}_split"), "data.split_files takes a list for each of train, val and test")
    if roots["train"] in (roots["val"], roots["test"]):
        return "several splits read one folder; data.split draws images for each"
    found = {
        split: sorted(Path(relpath(file, root)).as_posix() for file in Path(folder).glob(pattern))
        for split, folder in roots.items()
    }
    if not all(found.values()):
        return "the folders can't be seen from here; import where they can, or write lists for data.split_files"
    to.split_lists = _halved(to, found, "folder") if roots["val"] == roots["test"] else found
    return None


def _listed(to: Translation, lists: Mapping[str, str]) -> str | None:
    """Translate the lists of the splits."""
    if lists["val"] == lists["test"]:
        files = {split: Path(path) for split, path in lists.items()}
        if not all(file.is_file() for file in files.values()):
            to.ledger.remark(
                f"val and test read one list ({lists['val']}), and an image belongs to one split here: name two lists "
                "as data.split_files.val and data.split_files.test."
            )
        else:
            rows = {split: file.read_text(encoding="utf-8").split("\n") for split, file in files.items()}
            to.split_lists = _halved(to, {split: [row for row in each if row] for split, each in rows.items()}, "list")
            for split in SPLITS:
                to.ledger.carried((*DATA, f"{split}_split"), f"data.split_files.{split}")
            return None
    for split, path in lists.items():
        to.carry((*DATA, f"{split}_split"), f"data.split_files.{split}", path)
    return None


def _halved(to: Translation, found: Mapping[str, list[str]], what: str) -> dict[str, list[str]]:
    """Return the images of each split, where validation and test have the same in TerraTorch: every other one."""
    to.ledger.remark(
        f"val and test read one {what} in TerraTorch, so that the test scores chose the epoch; here every other of its "
        "images is of val, and the others are of test."
    )
    return {**found, "val": found["val"][::2], "test": found["val"][1::2]}
