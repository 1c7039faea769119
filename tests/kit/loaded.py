"""Rasters with a class for each pixel, read and checked."""

from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import arguments


def loaded(root, **changes):
    data = geotiff(**arguments(root, **changes))
    data.setup()
    return data
