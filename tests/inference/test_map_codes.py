"""The numbers in a map of classes: their places, or the values of the training labels."""

import json

import numpy as np
import pytest
import rasterio

from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.geotiff import PredictionWriter
from geocompose.inference.map_codes import MapCodes, map_codes
from tests.kit.data_rasters import image, write

CASES = [
    ([10, 20, 95], "uint8", 255),
    ([0, 255, 7], "uint16", 65_535),
    ([[11, 12], 21, 300], "uint16", 65_535),
    ([-5, 0, 5], "int32", -(2**31)),
]


@pytest.mark.parametrize(("given", "dtype", "nodata"), CASES)
def test_a_map_holds_the_values_of_the_labels_where_that_is_asked(tmp_path, given, dtype, nodata):
    codes = map_codes({"label_values": given}, "classes", written=True)
    with rasterio.open(write(tmp_path / "i.tif", image(0, 1, 4))) as like:
        target = Target("segmentation", ("a", "b", "c"))
        writer = PredictionWriter(tmp_path / "o.tif", like, content="classes", target=target, codes=codes)
    writer.write(Window(0, 0, 1, 4), np.array([[[0, 1, 2, 0]]]), np.array([[True, True, True, False]]))
    writer.close()
    with rasterio.open(tmp_path / "o.tif") as written:
        first = [entry[0] if isinstance(entry, list) else entry for entry in given]
        assert written.read(1).tolist() == [[*first, nodata]]
        assert (written.dtypes[0], written.nodata) == (dtype, nodata)
        tagged = json.loads(written.tags()["label_values"])
        assert tagged == [entry if isinstance(entry, list) else [entry] for entry in given]


def test_a_map_holds_places_and_the_tag_where_values_are_not_asked():
    codes = map_codes({"label_values": [0, 255]}, "classes", written=False)
    assert codes.numbers(2).tolist() == [0, 1]
    assert codes.values == ((0,), (255,))
    assert MapCodes().storage(300) == ("uint16", 65_535)


@pytest.mark.parametrize(
    ("data", "content", "message"),
    [({}, "classes", "null in this run"), ({"label_values": [1, 2]}, "probabilities", "holds probabilities")],
)
def test_values_that_a_map_can_not_have_are_refused(data, content, message):
    with pytest.raises(UserError, match=message):
        map_codes(data, content, written=True)
