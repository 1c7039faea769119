"""The data sets that experiments/sen1floods11_tasks makes from the chip."""

import importlib.util

import numpy as np
import pytest
import rasterio

from geocompose.data.baselines.rules import run_baselines
from tests.kit.command import only_run, record_of, run
from tests.kit.data_modules import geotiff_classification, geotiff_regression, geotiff_scalar_regression
from tests.kit.places import ROOT
from tests.kit.shared import CHIP, needs_chip

pytestmark = needs_chip
SCRIPT = ROOT / "experiments" / "sen1floods11_tasks" / "prepare.py"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("prepare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path_factory.mktemp("tasks")
    module.prepare(CHIP, out)
    return out


def scores(data):
    data.setup()
    return {result["name"]: result["metrics"] for result in run_baselines(data, data.baselines)}


def test_the_vegetation_index_is_to_be_predicted_without_its_bands(prepared):
    split = [0.625, 0.125, 0.25]
    data = geotiff_regression(
        root=str(prepared / "ndvi"),
        images="*_image.tif",
        labels="*_ndvi.tif",
        variables=["ndvi"],
        split=split,
        tile_px=64,
    )
    assert len(data.band_names) == 11
    assert not {"B4", "B8"} & set(data.band_names)
    found = scores(data)
    assert found["constant"]["RMSE"] == pytest.approx(0.301, abs=0.001)
    assert found["linear"]["RMSE"] == pytest.approx(0.150, abs=0.001)
    with (
        rasterio.open(CHIP / "Spain_7370579_S2Hand.tif") as image,
        rasterio.open(prepared / "ndvi" / "Spain_7370579_ndvi.tif") as label,
    ):
        red, nir = (image.read(image.descriptions.index(name) + 1).astype(float) for name in ("B4", "B8"))
        assert np.allclose(label.read(1), (nir - red) / (nir + red), atol=1e-6)
        assert label.transform == image.transform


def test_tiles_have_classes_by_share_of_water_and_the_chips_split(prepared):
    tiles = {"root": str(prepared / "tiles"), "table": "tiles.csv", "tile_px": 64}
    data = geotiff_classification(**tiles)
    found = scores(data)
    assert data.statistics.class_counts == {"train": [20, 14, 6], "val": [2, 3, 3], "test": [3, 4, 9]}
    assert data.class_names == ["dry", "partly", "water"]
    assert found["logistic"]["F1_macro"] > found["constant"]["F1_macro"] + 0.5
    shares = scores(geotiff_scalar_regression(**tiles, variables=["water_share"]))
    assert shares["linear"]["RMSE"] < 0.5 * shares["constant"]["RMSE"]


def test_folders_say_the_same_classes_as_the_table(prepared):
    by_folder = geotiff_classification(root=str(prepared / "tiles"), tile_px=64)
    by_table = geotiff_classification(root=str(prepared / "tiles"), table="tiles.csv", tile_px=64)
    labels = [{scene.name: int(scene.read_label(None)) for scene in data.scenes} for data in (by_folder, by_table)]
    assert labels[0] == labels[1]
    assert len(labels[0]) == 64


QUICK = (
    "backbone=timm",
    "backbone.name=test_resnet",
    "optimizer.lr=2e-3",
    "data.tile_px=64",
    "data.baselines=[constant]",
    "trainer.accelerator=cpu",
    "trainer.progress_bar=false",
    "logger=csv",
)


def test_a_network_predicts_the_real_chips_vegetation_index_from_other_bands(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(
        *QUICK, "task=regression", "decoder=unet", "decoder.channels=[32, 32, 16, 16, 16]", "data=geotiff_regression",
        f"data.root={prepared / 'ndvi'}", "data.images=*_image.tif", "data.labels=*_ndvi.tif", "data.variables=[ndvi]",
        "data.split=[0.625, 0.125, 0.25]", "trainer.max_epochs=10",
    )  # fmt: skip
    record = record_of(only_run("default"))
    assert record["metrics"]["test/RMSE"] < 0.5 * record["baselines"][0]["metrics"]["RMSE"]


def test_a_network_tells_the_real_chips_tiles_by_their_share_of_water(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(
        *QUICK, "task=classification", "decoder=identity", "data=geotiff_classification",
        f"data.root={prepared / 'tiles'}", "data.table=tiles.csv", "trainer.max_epochs=15",
    )  # fmt: skip
    record = record_of(only_run("default"))
    assert record["metrics"]["test/F1_macro"] > record["baselines"][0]["metrics"]["F1_macro"] + 0.2
