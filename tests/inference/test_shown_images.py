"""Samples as pictures: what is shown is what the file holds, however a model is given it."""

import numpy as np
import pytest

from geocompose.figures.display import display_image, how_shown
from geocompose.inference.shown_images import batch_of, how_images_are_shown, images_of
from tests.data.test_frames import loaded, series
from tests.data.test_given_numbers import OF_BANDS, OF_FRAMES
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import arguments, pair


@pytest.mark.parametrize(
    "normalize", ["dataset", "none", OF_BANDS, OF_FRAMES], ids=["dataset", "none", "bands", "frames"]
)
def test_the_first_frame_is_shown_as_it_is_stored_whatever_it_is_normalised_by(tmp_path, normalize):
    series(tmp_path, "a", "b", "c")
    data = loaded(tmp_path, normalize=normalize, dihedral=False)
    (shown,) = images_of(batch_of(data, "val", [0]), data)
    tile = data.tile_windows("val")[0]
    raw, valid = data.scenes[tile.scene].read_image(tile.window, data.selected_places(tile.scene))
    rows, columns = valid.shape
    np.testing.assert_allclose(
        shown["image"][:, :rows, :columns], display_image(raw[:, 0], data.bands, valid), atol=1e-4
    )
    assert (shown["nodata"][:rows, :columns] == ~valid).all()
    assert "first of" in how_images_are_shown(data)


def test_what_lies_beyond_the_edge_of_an_image_has_no_data(tmp_path):
    pair(tmp_path)
    data = geotiff(**arguments(tmp_path, tile_px=64))
    data.setup()
    (shown,) = images_of(batch_of(data, "val", [0]), data)
    window = data.tile_windows("val")[0].window
    assert window.height < 64
    assert shown["nodata"][window.height :].all()
    assert not shown["nodata"][: window.height, : window.width].all()


def test_how_images_are_shown_is_said_in_two_lines():
    assert how_shown(["NIR", "B2", "B3", "B4"]) == "B4, B3, B2\nstretched from 2 % to 98 %"
    assert how_shown(["VV", "VH"], 3) == "VV, first of 3 frames\nstretched from 2 % to 98 %"
    assert how_shown(["cost$"]).startswith(r"cost\$")
