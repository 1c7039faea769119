"""Whether two rasters lie on the same pixels."""

from functools import cache
from pathlib import Path
from typing import Any, Protocol

import rasterio
from affine import Affine

from geocompose.errors import UserError

_SHIFT_TOLERANCE_PX = 0.1


class Grid(Protocol):
    """A raster's size in pixels, and where it lies; None where it does not say.

    crs: coordinate reference system as text. transform: from (column, row) to its coordinates.
    """

    height: int
    width: int
    crs: str | None
    transform: Affine | None


def check_alike(image_path: str | Path, image: Grid, other_path: str | Path, other: Grid, *, what: str) -> None:
    """Refuse a raster that does not lie on its image's pixels.

    what: what the raster is in errors, such as `label`.

    Raises:
        UserError: size, coordinate reference system or place differ; says how.
    """
    if (image.height, image.width) != (other.height, other.width):
        raise UserError(
            f"The {what} {other_path} has {other.height} x {other.width} pixels (rows x columns), its image "
            f"{image_path} {image.height} x {image.width}. They must be equal: resample the {what} onto the image's "
            f"grid."
        )
    if image.crs and other.crs and not _agree(image.crs, other.crs):
        raise UserError(
            f"The {what} {other_path} is in {other.crs}, its image {image_path} in {image.crs}. "
            f"Reproject the {what} onto the image's grid."
        )
    if image.transform is None or other.transform is None:
        return
    corners = [(0, 0), (image.width, 0), (0, image.height), (image.width, image.height)]
    shift = max(_distance_px(image.transform, other.transform, *corner) for corner in corners)
    if shift > _SHIFT_TOLERANCE_PX:
        raise UserError(
            f"The {what} {other_path} lies up to {shift:.3g} pixels beside its image {image_path} by their "
            f"georeferences. Resample the {what} onto the image's grid, or fix the georeference that is wrong."
        )


def _agree(one: str, other: str) -> bool:
    """Return whether two reference systems have the same coordinates on the ground, however they are written."""
    if one == other:
        return True
    first, second = _on_the_ground(one), _on_the_ground(other)
    return first == second or first.to_epsg() == second.to_epsg() is not None


@cache
def _on_the_ground(text: str) -> rasterio.CRS:
    """Return the horizontal part of a coordinate reference system, eastings first as GDAL has them in any raster."""
    crs = rasterio.CRS.from_user_input(text)
    described: dict[str, Any] = crs.to_dict(projjson=True)
    while described["type"] in ("CompoundCRS", "BoundCRS"):
        parts = described.get("components")
        described = parts[0] if parts else described["source_crs"]
    axes = described.get("coordinate_system")
    if axes is None:
        return crs
    flat = axes | {"axis": sorted(axes["axis"][:2], key=lambda axis: str(axis["direction"]))}
    # Its code stands for the axes as they were.
    return rasterio.CRS.from_dict(
        {key: value for key, value in described.items() if key != "id"} | {"coordinate_system": flat}
    )


def _distance_px(image: Affine, other: Affine, column: int, row: int) -> float:
    """Return how far the same pixel corner of two rasters lie from each other, in pixels of the image."""
    # Spelt out because affine 2 multiplies with *, and affine 3 with @.
    x = (other.a - image.a) * column + (other.b - image.b) * row + other.c - image.c
    y = (other.d - image.d) * column + (other.e - image.e) * row + other.f - image.f
    inverse = ~image
    return max(abs(inverse.a * x + inverse.b * y), abs(inverse.d * x + inverse.e * y))
