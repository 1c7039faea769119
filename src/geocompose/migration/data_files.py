"""Where TerraTorch's generic data modules find files, and which split each belongs to."""

from collections.abc import Mapping
from pathlib import Path

from geocompose.migration.file_layout import find_layout
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
    to.set("data.images", layout.images)
    keys = "data.root, data.images"
    if to.kind != "classification":
        to.set("data.labels", layout.labels)
        keys += ", data.labels"
    unsplit = _splits(to, roots, greps[0])
    for place in places:
        if unsplit is None:
            ledger.carried(place, keys)
        else:
            ledger.lost(place, f"{keys} find the files, but not which split they belong to: {unsplit}")
    ledger.carried((*DATA, "img_grep"), "data.images")
    ledger.carried((*DATA, "label_grep"), "data.labels; * has to stand for the same text as in data.images")


def _splits(to: Translation, roots: Mapping[str, str], pattern: str) -> str | None:
    """Translate which images belong to which split; return why not, where that can't be done."""
    ledger = to.ledger
    lists = {split: ledger.get((*DATA, f"{split}_split")) for split in SPLITS}
    if all(isinstance(path, str) for path in lists.values()):
        for split, path in lists.items():
            to.carry((*DATA, f"{split}_split"), f"data.split_files.{split}", path)
        return None
    for split in SPLITS:
        ledger.lost((*DATA, f"{split}_split"), "data.split_files takes a list for each of train, val and test")
    if len(set(roots.values())) < len(SPLITS):
        return "several splits read one folder; data.split draws images for each"
    found = {split: sorted(file.name for file in Path(root).glob(pattern)) for split, root in roots.items()}
    if not all(found.values()):
        return "the folders can't be seen from here; import where they can, or write lists for data.split_files"
    to.split_lists = found
    return None
