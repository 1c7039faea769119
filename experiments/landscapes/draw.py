"""Draw made-up landscapes above their classes and their biomass.

python experiments/landscapes/draw.py OUT.png [--landscape spectral] [--seed 0]
"""

import argparse
from pathlib import Path

import numpy as np

from geocompose.data.synthetic.kinds import LANDSCAPES
from geocompose.figures.display import display_image
from geocompose.figures.palette import class_colours
from geocompose.figures.style import canvas, paint
from geocompose.imagery.bands import HLS_BANDS

NUMBER, SIZE_PX, CELL_IN = 2, 200, 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--landscape", choices=LANDSCAPES, default="context")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw(arguments.out, arguments.landscape, arguments.seed)


def draw(path: Path, landscape: str, seed: int) -> None:
    """Write a picture of the first landscapes of a seed: what the eye sees, classes, biomass."""
    kind = LANDSCAPES[landscape]
    with canvas(path, 3 * CELL_IN + 0.2, NUMBER * CELL_IN + 0.7) as figure:
        grid = figure.subplots(NUMBER, 3)
        for index, (seen, classes, number) in enumerate(grid):
            image, label = kind.make_classes(seed, index, SIZE_PX)
            _, biomass = kind.make_biomass(seed, index, SIZE_PX)
            seen.imshow(np.moveaxis(display_image(image.astype(np.float32), HLS_BANDS), 0, -1), interpolation="nearest")
            classes.imshow(paint(label, kind.class_names), interpolation="nearest")
            number.imshow(biomass[0], interpolation="nearest", cmap="YlGn", vmin=0, vmax=300)
        for axes, title in zip(grid[0], ("image", "classes", "biomass, 0 to 300 t/ha"), strict=True):
            axes.set_title(title, fontsize=9, fontweight="normal")
        for axes in grid.ravel():
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
        colours = [np.array(colour) / 255 for colour in class_colours(kind.class_names)]
        marks = [figure.axes[0].plot([], [], "s", color=colour)[0] for colour in colours]
        figure.legend(marks, kind.class_names, loc="outside lower center", ncols=len(marks), frameon=False, fontsize=9)


if __name__ == "__main__":
    main()
