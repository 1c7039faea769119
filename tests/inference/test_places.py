"""Every pixel of a predicted raster is in its place, whatever the windows and the raster's size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from geocompose.models import PixelWiseModel
from geocompose.necks.base import NeckSequence
from tests.kit.inference_rasters import above_zero, noise, one_hot_of_first_band, predict, read, write

SHAPES = [(64, 64), (40, 130), (130, 40), (97, 61), (20, 90), (90, 20), (20, 20), (1, 75), (33, 1)]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return noise(tmp_path / "scene.tif")


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize(("tile_px", "overlap_px"), [(32, 0), (32, 8), (32, 7)])
def test_rows_and_columns_come_out_where_they_went_in(tmp_path, height, width, tile_px, overlap_px):
    rows, cols = np.mgrid[0:height, 0:width]
    source = write(tmp_path / "grid.tif", np.stack([rows, cols]).astype("int16"), ["row", "col"])
    for first, expected in (("row", rows), ("col", cols)):
        target = tmp_path / f"{first}.tif"
        others = [name for name in ("row", "col") if name != first]
        predict(
            one_hot_of_first_band(140),
            source,
            target,
            bands=[first, *others],
            tile_px=tile_px,
            overlap_px=overlap_px,
            names=[str(i) for i in range(140)],
        )
        np.testing.assert_array_equal(read(target)[0], expected)


@pytest.mark.parametrize(("height", "width"), [(70, 50), (20, 90), (90, 20)])
def test_probabilities_come_out_where_they_belong(tmp_path, height, width):
    rows, cols = np.mgrid[0:height, 0:width]
    source = write(tmp_path / "grid.tif", np.stack([rows / height, cols / width]).astype("float32"), ["row", "col"])
    predict(lambda pixels: pixels, source, tmp_path / "p.tif", bands=["row", "col"], content="probabilities")
    expected = torch.from_numpy(np.stack([rows / height, cols / width])).float().softmax(dim=0).numpy()
    np.testing.assert_allclose(read(tmp_path / "p.tif"), expected, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(100, 100), (40, 130), (130, 40), (20, 90)])
@pytest.mark.parametrize("overlap_px", [0, 6, 7])
def test_no_written_pixel_comes_from_a_window_s_margin(tmp_path, height, width, overlap_px):
    margin = overlap_px // 2

    def marks_its_margin(pixels: torch.Tensor) -> torch.Tensor:
        inside = torch.zeros(len(pixels), 1, *pixels.shape[2:])
        inside[..., margin : pixels.shape[2] - margin, margin : pixels.shape[3] - margin] = 1
        return torch.cat([1 - inside, inside], dim=1)

    source = write(tmp_path / "flat.tif", np.ones((1, height, width), dtype="uint8"), ["RED"])
    predict(marks_its_margin, source, tmp_path / "out.tif", overlap_px=overlap_px)
    inside = read(tmp_path / "out.tif")[0]
    # At the raster's own edge there is nothing beyond the window, so the margin is written there and only there.
    edge = np.ones((height, width), dtype=bool)
    edge[margin : height - margin, margin : width - margin] = False
    np.testing.assert_array_equal(inside == 0, edge)


def test_bands_are_chosen_by_name_and_normalised(tmp_path):
    pixels = np.stack([np.full((20, 20), value) for value in (100, 250, 300)]).astype("uint16")
    source = write(tmp_path / "s2.tif", pixels, ["B2", "B4", "B8A"])
    seen = []

    def record(batch: torch.Tensor) -> torch.Tensor:
        seen.append(batch)
        return batch[:, :2]

    predict(record, source, tmp_path / "o.tif", bands=["NIR_NARROW", "RED"], mean=[200.0, 50.0], std=[50.0, 100.0])
    assert seen[0].dtype == torch.float32
    assert seen[0].shape == (1, 2, 20, 20)
    assert (seen[0][:, 0] == 2).all()
    assert (seen[0][:, 1] == 2).all()


def test_bands_without_names_are_taken_from_band_names(tmp_path):
    source = write(tmp_path / "s.tif", np.stack([np.zeros((9, 9)), np.ones((9, 9))]).astype("float32"))
    predict(one_hot_of_first_band(2), source, tmp_path / "o.tif", band_names=["B3", "B4"])
    assert (read(tmp_path / "o.tif") == 1).all()


def test_batches_hold_no_more_windows_than_asked_for(scene, tmp_path):
    sizes, steps = [], []

    def record(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(batch.shape))
        return above_zero(batch)

    summary = predict(record, scene, tmp_path / "o.tif", batch_size=4, progress=lambda *step: steps.append(step))
    assert sizes == [(4, 1, 32, 32), (2, 1, 32, 32)]
    assert steps == [(4, 6), (6, 6)]
    assert summary.windows == 6


# --- what goes wrong elsewhere: tiles cut off by a margin `delta`, a stride, a crop -----------------------------------


@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 32), (70, 50)])
def test_delta_0_and_a_stride_equal_to_the_crop_predict_the_whole_raster(tmp_path, height, width):
    pixels = np.random.default_rng(1).integers(0, 100, (1, height, width)).astype("uint8")
    source = write(tmp_path / "s.tif", pixels, ["RED"])
    names = [str(i) for i in range(100)]
    predict(one_hot_of_first_band(100), source, tmp_path / "o.tif", tile_px=32, overlap_px=0, names=names)
    np.testing.assert_array_equal(read(tmp_path / "o.tif"), pixels)


@pytest.mark.parametrize(("height", "width"), [(65, 33), (33, 65), (63, 31), (95, 64)])
@pytest.mark.parametrize("overlap_px", [0, 1, 2])
def test_the_last_row_and_column_are_not_lost_by_one(tmp_path, height, width, overlap_px):
    pixels = np.zeros((1, height, width), dtype="uint8")
    pixels[0, -1], pixels[0, :, -1] = 1, 1
    source = write(tmp_path / "s.tif", pixels, ["RED"])
    predict(one_hot_of_first_band(2), source, tmp_path / "o.tif", overlap_px=overlap_px)
    np.testing.assert_array_equal(read(tmp_path / "o.tif"), pixels)


@pytest.mark.parametrize(("height", "width"), [(20, 90), (90, 20), (1, 90), (90, 1), (20, 20)])
@pytest.mark.parametrize("overlap_px", [0, 8])
def test_a_raster_smaller_than_the_crop_in_one_dimension_is_predicted(tmp_path, height, width, overlap_px):
    pixels = (np.indices((height, width)).sum(axis=0) % 2)[None].astype("uint8")
    source = write(tmp_path / "s.tif", pixels, ["RED"])
    predict(one_hot_of_first_band(2), source, tmp_path / "o.tif", overlap_px=overlap_px)
    np.testing.assert_array_equal(read(tmp_path / "o.tif"), pixels)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (5, 70), (70, 5), (40, 40)])
@pytest.mark.parametrize("fixed_px", [32, 48])
def test_a_model_of_a_fixed_size_predicts_rasters_of_any_size(tmp_path, height, width, fixed_px):
    """It pads what is smaller, and its output is cut back to what it was given."""

    class OneSize(nn.Module):
        def forward(self, image):
            assert image.shape[-2:] == (fixed_px, fixed_px)
            return [image]

    class Last(nn.Module):
        def forward(self, features):
            return features[-1]

    model = PixelWiseModel(
        encoder=OneSize(), neck=NeckSequence([]), decoder=Last(), head=None, pad_multiple=fixed_px
    ).eval()
    pixels = np.random.default_rng(2).normal(size=(2, height, width)).astype("float32")
    source = write(tmp_path / "s.tif", pixels, ["RED", "GREEN"])
    predict(lambda batch: model(batch).output, source, tmp_path / "o.tif", bands=["RED", "GREEN"])
    np.testing.assert_array_equal(read(tmp_path / "o.tif")[0], pixels.argmax(axis=0))
