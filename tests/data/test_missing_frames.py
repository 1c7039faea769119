"""Series of which a frame has no data: left out, passed over by what can, or refused; in fit, evaluate and predict."""

import logging
import re

import numpy as np
import pytest
import rasterio
import torch

from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.errors import UserError
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, write

FRAMES = 3


def series(root, count=10, gone=(("1", 1), ("4", 0)), bands=2):
    """Write series of three frames, with nodata 0 in some frames: (key, frame)."""
    for i in range(count):
        pixels = image(i, bands=bands * FRAMES)
        for key, frame in gone:
            if key == str(i):
                pixels[frame * bands : (frame + 1) * bands] = 0
        write(root / f"{i}_img.tif", pixels, BANDS[:bands] * FRAMES, nodata=0)
        write(root / f"{i}_lab.tif", label(i))
    return root


def of(root, **changes):
    return geotiff(**arguments(root, num_frames=FRAMES, **changes))


def sample(data, scene):
    split = next(name for name, regions in data.regions.items() if any(r.scene == scene for r in regions))
    number = next(i for i, tile in enumerate(data.tile_windows(split)) if tile.scene == scene)
    return data.in_order(split).dataset[number]


def test_a_series_that_lacks_a_frame_is_left_out_and_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, "geocompose")
    data = of(series(tmp_path))
    data.setup()
    assert (sample(data, 1)["mask"] == -1).all()
    assert "1_img.tif, frame 2" in caplog.text
    assert re.search(r"\d_img\.tif, frame \d; \d_img\.tif, frame \d\)", caplog.text)  # a comma parts file and frame
    assert "data.missing_frames=leave_out" in caplog.text
    counted = [part["left_out"]["frames_without_data"] for part in data.describe()["splits"].values()]
    assert sum(counted) == 2


def test_a_frame_is_masked_and_its_series_counts(tmp_path, caplog):
    data = of(series(tmp_path), missing_frames="mask", normalize="none")
    data.setup()
    one = sample(data, 1)
    assert (one["mask"] >= 0).all()
    assert one["image"][:, 1].isnan().all()
    assert one["image"][:, [0, 2]].isfinite().all()
    assert "they are masked" in caplog.text
    whole = sample(data, 0)["image"]
    assert whole.isfinite().all()


def test_statistics_are_those_of_the_frames_that_are_there(tmp_path):
    data = of(series(tmp_path), missing_frames="mask")
    data.setup()
    values = []
    for region in data.regions["train"]:
        name = data.scenes[region.scene].name
        with rasterio.open(tmp_path / name) as raster:
            pixels = raster.read().reshape(FRAMES, 2, -1)
        values.append(pixels[pixels.reshape(FRAMES, -1).any(1)].transpose(1, 0, 2).reshape(2, -1))
    assert data.mean == pytest.approx(np.concatenate(values, 1).mean(1).tolist(), rel=1e-5)


def test_a_frame_is_refused_where_that_is_asked(tmp_path):
    with pytest.raises(UserError, match=r"1_img\.tif, frame 2; 4_img\.tif, frame 1\. .*missing_frames=refuse"):
        of(series(tmp_path), missing_frames="refuse").setup()
    of(series(tmp_path, gone=()), missing_frames="refuse").setup()


def test_a_frame_with_some_data_is_no_missing_one(tmp_path):
    series(tmp_path, gone=())
    with rasterio.open(tmp_path / "1_img.tif", "r+") as raster:
        pixels = raster.read()
        pixels[2:4, :, :30] = 0
        raster.write(pixels)
    data = of(tmp_path, missing_frames="mask")
    data.setup()
    assert sample(data, 1)["image"].isfinite().all()
    assert all(split.frames == [] for split in data.statistics.left_out.values())


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
@pytest.mark.parametrize("lengths", [None, [2, 1]])
def test_a_masked_frame_changes_nothing_whatever_it_holds(pooling, lengths):
    """The answer for a series with a masked frame is that for the series without it."""
    torch.manual_seed(0)
    encoder = _Encoder()
    masked = TemporalBackbone(encoder, pooling, subset_lengths=lengths).eval()
    masked.masks_frames = True
    images = torch.randn(2, 2, 3, 8, 8)
    with_gap = images.clone()
    with_gap[0, :, 1] = torch.nan
    (found,) = masked(with_gap)
    if lengths is None:
        (expected,) = TemporalBackbone(encoder, pooling).eval()(images) if pooling != "attention" else masked(images)
        assert torch.allclose(found[1], expected[1], atol=1e-6)
        short = images[:1, :, [0, 2]]
        (without,) = masked(short)
        assert torch.allclose(found[:1], without, atol=1e-6)
    else:
        assert found.isfinite().all()


class _Encoder(torch.nn.Module):
    """Two bands to one feature."""

    out_channels = (4,)

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(2, 4, 3, padding=1)

    def forward(self, image):
        assert image.is_meta or image.isfinite().all()
        return [self.layer(image)]


DATA = ("data=geotiff", "data.images=*_img.tif", "data.labels=*_lab.tif", "data.class_names=[land,water]")
COMMAND = [each for each in SMALL if not each.startswith(("data.num_scenes", "data.scene_px", "data.tile_px"))]


def fit(root, *more):
    run(*COMMAND, *DATA, f"data.root={root}", "data.tile_px=32", "data.num_frames=3", "study=s", *more)


@pytest.mark.parametrize(
    ("temporal", "reason"),
    [("diff", "needs both"), ("concat", "a place for each frame"), ("none", "reads all frames at once")],
)
def test_what_can_not_mask_is_refused_with_the_reason(tmp_path, monkeypatch, temporal, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"missing_frames=mask.*{reason}.*mean, max and attention"):
        fit(series(tmp_path / "data"), f"temporal={temporal}", "data.missing_frames=mask")


def test_one_frame_can_not_be_masked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="several frames"):
        fit(series(tmp_path / "data"), "temporal=mean", "data.missing_frames=mask", "data.num_frames=1")


@pytest.mark.parametrize("temporal", ["mean", "attention"])
def test_a_run_is_trained_evaluated_and_predicted_with_a_frame_masked(tmp_path, monkeypatch, temporal):
    monkeypatch.chdir(tmp_path)
    root = series(tmp_path / "data")
    fit(root, f"temporal={temporal}", "data.missing_frames=mask", "data.baselines=[constant,logistic]")
    folder = only_run("s")
    record = record_of(folder)
    assert record["status"] == "completed"
    assert sum("they are masked" in line for line in record["said"]) == 1
    assert all(np.isfinite(value) for value in record["metrics"].values())
    run("action=evaluate", f"action.run={folder}", "action.split=test")
    for name, empty in (("0_img.tif", 0), ("1_img.tif", 0)):
        run("action=predict", f"action.run={folder}", f"action.input={root / name}", f"action.output={name}")
        with rasterio.open(name) as written:
            assert int((written.read(1) == 255).sum()) == empty
    run("action=predict", f"action.run={folder}", f"action.input={_empty(root)}", "action.output=empty.tif")
    with rasterio.open("empty.tif") as written:
        assert (written.read(1) == 255).all()


def _empty(root):
    return write(root / "empty.tif", image(9, bands=6) * 0, BANDS[:2] * FRAMES, nodata=0)
