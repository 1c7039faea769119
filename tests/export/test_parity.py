"""How two models are compared, and on which samples."""

import numpy as np
import pytest
import torch

from geocompose.errors import UserError
from geocompose.export.parity import compared
from geocompose.export.tiles import made_tiles, real_tiles
from geocompose.imagery.samples import Target
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, write
from tests.kit.made_runs import TARGETS

RECORD = {
    "bands": ["RED", "NIR_NARROW"],
    "tile_px": 16,
    "normalization": {"mean": [1000.0, 3000.0], "std": [500.0, 100.0]},
}
CLASSES = Target("segmentation", ("a", "b"))


def logits(tiles):
    return tiles.normalized * 10


@pytest.mark.parametrize("shift", [2e-3, float("nan")])
def test_a_difference_of_more_than_the_tolerance_is_an_error_that_says_both(shift):
    tiles = made_tiles(RECORD)
    with pytest.raises(UserError, match=r"program .*(1e-04 is allowed|NaN or infinity).*[Nn]othing was written"):
        compared("program", logits, lambda some: logits(some) + shift * 50, tiles, CLASSES, 1e-4)


def test_a_difference_in_one_batch_size_alone_is_found():
    def depends(some):
        return logits(some) + (len(some.raw) == 3)

    with pytest.raises(UserError, match="does not say what"):
        compared("program", logits, depends, made_tiles(RECORD), CLASSES, 1e-4)
    with pytest.raises(UserError, match=r"\(1, 2, 16, 16\) for a batch of 3"):
        compared("program", logits, lambda some: logits(some)[:1], made_tiles(RECORD), CLASSES, 1e-4)


def test_numbers_are_compared_in_the_deviations_of_their_labels():
    target = TARGETS["regression"]  # mean 150, deviation 40

    def biomass(some):
        return some.normalized[:, :1] * 40 + 150

    found = compared("program", biomass, lambda some: biomass(some) + 1e-2, made_tiles(RECORD), target, 1e-4)
    largest = float(made_tiles(RECORD).normalized[0, 0].abs().max())  # of the batch of one, which is the smaller
    assert found.difference == pytest.approx(1e-2 / 40 / largest, rel=0.05)
    assert found.batches == (1, 3)
    assert "made tiles" in found.in_words()


def test_made_tiles_have_the_mean_and_deviation_of_the_training_and_what_it_gave_beside():
    tiles = made_tiles({**RECORD, "num_frames": 2, "coordinates": ["time", "location"]})
    assert tiles.raw.shape == (3, 2, 2, 16, 16)
    assert tiles.raw[:, 1].mean() == pytest.approx(3000, abs=10)
    assert {name: tuple(value.shape) for name, value in tiles.coordinates.items()} == {
        "temporal_coords": (3, 2, 2),
        "location_coords": (3, 2),
    }
    assert torch.equal(tiles.raw, made_tiles({**RECORD, "num_frames": 2}).raw)


def test_real_tiles_are_those_of_the_test_split_with_nan_where_there_is_no_data(tmp_path):
    pixels = image()
    pixels[:, 2:30, 45:55] = -1
    write(tmp_path / "a_img.tif", pixels, BANDS, nodata=-1)
    write(tmp_path / "a_lab.tif", label())
    data = geotiff(**arguments(tmp_path))
    record = {
        "bands": list(data.bands),
        "tile_px": data.tile_px,
        "normalization": {"mean": [10.0] * len(data.bands), "std": [2.0] * len(data.bands)},
    }
    tiles = real_tiles(data, record)
    assert "test split" in tiles.origin
    scene, window = data.tile_windows("test")[0]
    raw, valid = data.scenes[scene].read_image(window, data.selected_places(scene))
    rows, columns = valid.shape
    shown = tiles.raw[0].numpy()
    assert not valid.all()
    np.testing.assert_array_equal(shown[:, :rows, :columns][:, valid], raw[:, valid])
    assert np.isnan(shown[:, :rows, :columns][:, ~valid]).all()
    expected = torch.where(tiles.raw.isnan().any(dim=1, keepdim=True), 0.0, (tiles.raw - 10) / 2)
    torch.testing.assert_close(tiles.normalized, expected)
