"""Write the lists of PANGAEA's splits of HLS Burn Scars, which the experiments anchor/*_burn_scars read.

    python experiments/anchors/burn_scars_lists.py DIR

DIR holds training/ and validation/. As in PANGAEA (arXiv 2412.04204), validation/ is test, and training/ is drawn into
90 % train and 10 % val: scikit-learn's `train_test_split` of the sorted images, with random state 23.
"""

import sys
from pathlib import Path

from sklearn.model_selection import train_test_split

IMAGES = "*_merged.tif"
PUBLISHED = {"training": 540, "validation": 264}


def split_lists(root: Path) -> dict[str, list[str]]:
    """Return the images of train, val and test, as paths relative to `root`, each in its published order."""
    found = {folder: sorted(path.name for path in (root / folder).glob(IMAGES)) for folder in PUBLISHED}
    for folder, count in PUBLISHED.items():
        if len(found[folder]) != count:
            sys.exit(f"{root / folder} holds {len(found[folder])} images {IMAGES}; the published data set has {count}.")
    train, val = train_test_split(range(len(found["training"])), test_size=0.1, random_state=23)
    return {
        "train": [f"training/{found['training'][place]}" for place in train],
        "val": [f"training/{found['training'][place]}" for place in val],
        "test": [f"validation/{name}" for name in found["validation"]],
    }


def main() -> None:
    """Write splits/train.txt, val.txt and test.txt below the folder that is named."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = Path(sys.argv[1])
    lists = split_lists(root)
    (root / "splits").mkdir(exist_ok=True)
    for split, names in lists.items():
        (root / "splits" / f"{split}.txt").write_text("\n".join(names) + "\n")
        print(f"{root / 'splits' / split}.txt: {len(names)} images")


if __name__ == "__main__":
    main()
