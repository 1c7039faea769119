"""Make a data set for each kind of task from one chip of Sen1Floods11.

    python experiments/sen1floods11_tasks/prepare.py CHIP_FOLDER OUT

CHIP_FOLDER holds `Spain_7370579_S2Hand.tif` and `Spain_7370579_LabelHand.tif`. OUT gets:

    ndvi/Spain_7370579_image.tif    the image without B4 and B8, from which the index is computed
    ndvi/Spain_7370579_ndvi.tif     (B8 - B4) / (B8 + B4), float32, NaN without data
    tiles/dry|partly|water/*.tif    tiles of 64 x 64 pixels, in folders by their share of water
    tiles/tiles.csv                 file, label, water_share, split
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

NAME = "Spain_7370579"
TILE_PX = 64
# Shares of water among a tile's labelled pixels: below DRY the tile is dry, at WATER or more it is water.
DRY, WATER = 0.10, 0.35
# The chip's columns, split as in experiments/sen1floods11_chip: 0-319 train, 320-383 validate, 384-511 test.
FIRST_VAL, FIRST_TEST = 320, 384
OF_NDVI = ("B4", "B8")


def prepare(chip: Path, out: Path) -> None:
    """Write both data sets."""
    with rasterio.open(chip / f"{NAME}_S2Hand.tif") as image, rasterio.open(chip / f"{NAME}_LabelHand.tif") as label:
        names = list(image.descriptions)
        pixels, classes, profile = image.read(), label.read(1), image.profile
        write_ndvi(out / "ndvi", pixels, names, profile)
        write_tiles(out / "tiles", pixels, classes, names, image)


def write_ndvi(folder: Path, pixels: np.ndarray, names: list[str], profile: dict) -> None:
    red, nir = (pixels[names.index(name)].astype(np.float64) for name in OF_NDVI)
    valid = (pixels != 0).all(0)
    ndvi = np.where(valid, (nir - red) / np.where(valid, nir + red, 1), np.nan).astype(np.float32)
    kept = [i for i, name in enumerate(names) if name not in OF_NDVI]
    write(folder / f"{NAME}_image.tif", pixels[kept], [names[i] for i in kept], profile, nodata=0)
    write(folder / f"{NAME}_ndvi.tif", ndvi[None], ["ndvi"], profile, nodata=np.nan)


def write_tiles(folder: Path, pixels: np.ndarray, classes: np.ndarray, names: list[str], image) -> None:
    rows = []
    for row in range(0, classes.shape[0], TILE_PX):
        for column in range(0, classes.shape[1], TILE_PX):
            cell = np.s_[row : row + TILE_PX, column : column + TILE_PX]
            labelled = classes[cell][classes[cell] >= 0]
            share = float(labelled.mean())
            label = "dry" if share < DRY else "water" if share >= WATER else "partly"
            file = f"{label}/{NAME}_{row:03d}_{column:03d}.tif"
            window = Window(column, row, TILE_PX, TILE_PX)
            profile = image.profile | {"transform": image.window_transform(window)}
            write(folder / file, pixels[:, *cell], names, profile, nodata=0)
            split = "train" if column < FIRST_VAL else "val" if column < FIRST_TEST else "test"
            rows.append([file, label, f"{share:.6f}", split])
    with (folder / "tiles.csv").open("w", newline="") as table:
        csv.writer(table).writerows([["file", "label", "water_share", "split"], *rows])


def write(path: Path, array: np.ndarray, names: list[str], profile: dict, nodata: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"count": array.shape[0], "height": array.shape[1], "width": array.shape[2], "dtype": array.dtype}
    layout = {"driver": "GTiff", "crs": profile["crs"], "transform": profile["transform"], "compress": "deflate"}
    with rasterio.open(path, "w", nodata=nodata, **layout, **size) as target:
        target.write(array)
        target.descriptions = names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chip", type=Path, help="folder of the chip's files")
    parser.add_argument("out", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    prepare(arguments.chip, arguments.out)
