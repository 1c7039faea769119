"""Images with one label each, in folders and in tables."""

import csv

import torch

from tests.kit.data_modules import geotiff_classification, geotiff_multilabel, geotiff_scalar_regression
from tests.kit.data_rasters import BANDS, image, write

LOADING = {"tile_px": 16, "batch_size": 4, "dihedral": False}


SPLITS = ("train", "val", "test")


def folders(root, count=5, height=16, width=16, classes=("forest", "water")):
    """Write `count` images into a folder for each class; all have the same file names."""
    for c, name in enumerate(classes):
        for i in range(count):
            write(root / name / f"{i}.tif", image(10 * c + i, height, width), BANDS)
    return root


def table(root, header, *rows, name="labels.csv"):
    """Write a table; a row's first cell is a file."""
    with (root / name).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return root


def flat(root, count=6, height=16, width=16):
    for i in range(count):
        write(root / f"chip_{i}.tif", image(i, height, width), BANDS)
    return root


def classified(root, **changes):
    return geotiff_classification(**({"root": str(root)} | LOADING | changes))


def from_table(root, **changes):
    return classified(root, images="*.tif", table="labels.csv", **changes)


def multilabel(root, **changes):
    return geotiff_multilabel(**({"root": str(root), "table": "labels.csv"} | LOADING | changes))


def measured(root, **changes):
    given = {"root": str(root), "table": "labels.csv", "variables": ["share"]}
    return geotiff_scalar_regression(**(given | LOADING | changes))


def ready(data):
    data.setup()
    return data


def labels_of(data, split):
    return torch.cat([batch["label"] for batch in data.in_order(split)])


def by_name(data):
    """Return the label of each image by its name."""
    return {
        data.scenes[tile.scene].name: label.tolist()
        for split in SPLITS
        for tile, label in zip(data.tile_windows(split), labels_of(data, split), strict=True)
    }


def split_table(root):
    splits = ("train", "train", "train", "val", "test", "test")
    return table(flat(root), ("file", "label", "split"), *[(f"chip_{i}", "ab"[i % 2], splits[i]) for i in range(6)])
