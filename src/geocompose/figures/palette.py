"""The colours of classes, the same in figures and in the colour tables of written rasters; without matplotlib."""

import colorsys
from collections.abc import Sequence

RGB = tuple[int, int, int]

# Okabe and Ito's colours and five of Paul Tol's muted ones: told apart with every common kind of colour blindness.
# The order keeps the first ones, which most legends end at, farthest apart.
_BLUE, _GREEN, _SAND, _VERMILLION = (0, 114, 178), (0, 158, 115), (221, 204, 119), (213, 94, 0)
_SKY, _OLIVE = (86, 180, 233), (153, 153, 51)
_COLOURS: tuple[RGB, ...] = (
    _SAND,
    _BLUE,
    _GREEN,
    _VERMILLION,
    (204, 121, 167),
    _SKY,
    (136, 34, 85),
    (240, 228, 66),
    (51, 34, 136),
    (230, 159, 0),
    _OLIVE,
    (68, 170, 153),
)
# What maps show these classes in. A class of another name takes the first colour of the order that is left.
_CUSTOMARY: dict[str, RGB] = {
    "water": _BLUE,
    "flood": _BLUE,
    "lake": _BLUE,
    "river": _SKY,
    "vegetation": _GREEN,
    "forest": _GREEN,
    "trees": _GREEN,
    "plantation": _OLIVE,
    "bare": _SAND,
    "soil": _SAND,
    "fields": _SAND,
    "not_water": _SAND,
    "built": _VERMILLION,
    "urban": _VERMILLION,
    "village": _VERMILLION,
    "burned": _VERMILLION,
}
IGNORED: RGB = (226, 226, 226)


def class_colours(class_names: Sequence[str]) -> list[RGB]:
    """Return a colour (red, green, blue; 0 to 255) for each class; the same names always give the same colours."""
    chosen: dict[int, RGB] = {}
    for index, name in enumerate(class_names):
        colour = _CUSTOMARY.get(name.casefold())
        if colour is not None and colour not in chosen.values():
            chosen[index] = colour
    left = [colour for colour in _COLOURS if colour not in chosen.values()]
    for index in range(len(class_names)):
        if index not in chosen:
            chosen[index] = left.pop(0) if left else _further(index)
    return [chosen[index] for index in range(len(class_names))]


def _further(index: int) -> RGB:
    """Return a colour for a class beyond the palette: hues apart by the golden ratio, in four shades."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.75, 0.55 + 0.13 * (index % 4))
    return round(red * 255), round(green * 255), round(blue * 255)
