"""Rasters without labels, alone and beside made-up landscapes."""

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from geocompose.data.baselines.rules import run_baselines
from geocompose.errors import UserError
from geocompose.imagery.bands import HLS_BANDS
from tests.kit.data_modules import geotiff_reconstruction

NODATA = 0
SIDE = 96


def write(path, seed: int = 0, bands=HLS_BANDS, side: int = SIDE) -> None:
    draw = np.random.default_rng(seed)
    values = draw.integers(500, 3000, (len(bands), side, side)).astype("uint16")
    values[:, :8, :8] = NODATA
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=len(bands), dtype="uint16", crs="EPSG:32633",
        transform=Affine(30, 0, 4e5 + seed * 1e5, 0, -30, 5.3e6),
    ) as file:  # fmt: skip
        file.write(values)
        file.descriptions = bands


def data(root, **changes):
    given = {"root": str(root), "images": "*.tif", "tile_px": 32, "batch_size": 4, "dihedral": False,
             "nodata": NODATA, "unit": "reflectance_1e4", "level": "TOA"}  # fmt: skip
    return geotiff_reconstruction(**(given | changes))


def test_images_need_no_label_and_pixels_without_data_have_none(tmp_path):
    for seed in range(4):
        write(tmp_path / f"{seed}.tif", seed)
    module = data(tmp_path)
    assert module.target.kind == "reconstruction"
    assert module.target.names == HLS_BANDS
    module.setup()
    assert module.target.mean == tuple(module.mean)
    assert module.target.std == module.target.deviation == tuple(module.std)
    batch = next(iter(module.val_dataloader()))
    assert set(batch) == {"image", "mask", "tile"}
    assert batch["mask"][0, :8, :8].isnan().all()
    assert int(batch["mask"].isnan().sum()) == 64
    assert torch.equal(batch["image"][0, :, :8, :8], torch.zeros(6, 8, 8))
    assert module.describe()["splits"]["val"]["labelled_pixels"] == SIDE**2 - 64


def test_the_target_is_made_of_the_bands_that_are_read(tmp_path):
    write(tmp_path / "one.tif")
    module = data(tmp_path, bands=["RED", "BLUE"], split=[0.4, 0.3, 0.3], normalize="none")
    module.setup()
    assert module.target.names == ("RED", "BLUE")
    assert (module.target.mean, module.target.std) == ((0.0, 0.0), (1.0, 1.0))
    assert min(module.target.deviation) > 100


def test_the_constant_baseline_is_the_mean_of_each_band_where_there_is_data(tmp_path):
    for seed in range(3):
        write(tmp_path / f"{seed}.tif", seed)
    module = data(tmp_path)
    module.setup()
    (constant,) = run_baselines(module, ["constant"])
    (test,) = module.regions["test"]
    image, valid = module.scenes[test.scene].read_image(test.window, range(6))
    error = image[3][valid] - module.statistics.mean[3]
    assert constant["metrics"]["RMSE_NIR_NARROW"] == pytest.approx(np.sqrt((error**2).mean()))
    assert constant["metrics"]["nRMSE"] == pytest.approx(1, abs=0.02)


def test_landscapes_are_trained_on_beside_images_and_scored_nowhere(tmp_path, caplog):
    write(tmp_path / "one.tif", bands=("B1", *HLS_BANDS), side=96)
    module = data(tmp_path, bands=list(HLS_BANDS), split=[0.4, 0.3, 0.3], synthetic_scenes=2, scene_px=64)
    module.setup()
    names = {split: {module.scenes[region.scene].name for region in module.regions[split]} for split in module.regions}
    assert names["train"] == {"one.tif", "synthetic_0_0", "synthetic_0_1"}
    assert names["val"] == names["test"] == {"one.tif"}
    described = module.describe()
    assert (described["unit"], described["level"]) == ("reflectance_1e4", None)
    assert len(module.training_tiles) == 6 + 8
    other = data(tmp_path, bands=list(HLS_BANDS), split=[0.4, 0.3, 0.3], synthetic_scenes=2, scene_px=64, level="BOA")
    assert other.values.level == "BOA"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": None}, r"data.synthetic_scenes=2 are in reflectance_1e4, and the images in no stated unit"),
        ({"unit": "reflectance"}, r"and the images in reflectance: .*Write data.unit=reflectance_1e4"),
        ({"synthetic_scenes": -1}, r"data.synthetic_scenes=-1"),
        ({"num_frames": 2}, r"data.num_frames is set. Leave it out, or set data.synthetic_scenes=0"),
        ({"positions": "georeference"}, r"data.positions is set"),
        ({"baselines": ["linear"]}, r"data.baselines has no 'linear' for reconstruction"),
    ],
)
def test_what_does_not_go_with_landscapes_or_images_alone_is_refused(changes, message, tmp_path):
    write(tmp_path / "one.tif")
    with pytest.raises(UserError, match=message):
        data(tmp_path, **({"synthetic_scenes": 2, "scene_px": 64} | changes))
