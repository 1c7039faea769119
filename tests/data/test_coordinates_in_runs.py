"""Runs with dates and positions: trained, evaluated and asked for predictions."""

import math

import numpy as np
import pytest
import rasterio
import torch
import yaml

from geocompose.data.coordinates.positions import Georeference
from geocompose.data.preflight import data_source
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.command import only_run, record_of, run
from tests.kit.data_rasters import BANDS, GEOREFERENCE
from tests.kit.dated import composed, scenes, table
from tests.kit.made_runs import trained

SMALL = (
    "backbone=prithvi", "backbone.embed_dim=48", "backbone.depth=2", "backbone.num_heads=4", "backbone.img_size=32",
    "decoder=fcn", "decoder.channels=8", "decoder.num_convs=1", "data=geotiff", "data.images=*_img.tif",
        "data.labels=*_lab.tif",
    "data.class_names=[land,water]", "data.tile_px=32", "trainer.max_epochs=1", "trainer.accelerator=cpu",
    "trainer.progress_bar=false", "data.baselines=[]", "logger=csv",
)  # fmt: skip


@pytest.fixture
def fit_run(tmp_path, monkeypatch):
    """Return a function that trains on three dated scenes and gives the run's folder."""
    monkeypatch.chdir(tmp_path)
    root = scenes(tmp_path / "data", "a_20220115", "b_20201231", "c_20220301")
    table(root / "t.csv", "file,date", *(f"{path.name},2021-07-01" for path in sorted(root.glob("*_img.tif"))))

    def fit(*overrides):
        run(*SMALL, f"data.root={root}", "data.allow_overlap=true", *overrides)
        return only_run("default")

    return fit


def test_a_run_with_dates_and_positions_is_trained_evaluated_and_predicted(fit_run, tmp_path):
    folder = fit_run("data.dates=file_name", "data.positions=georeference", "trainer.precision=bf16-true")
    record = record_of(folder)
    assert record["status"] == "completed"
    assert record["data"]["coordinates"] == ["time", "location"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["data"]["dates"] == "file_name"
    run("action=evaluate", f"action.run={folder}")
    (evaluation,) = (folder / "evaluations").glob("*.json")
    assert record["metrics"]["test/mIoU"] == pytest.approx(
        yaml.safe_load(evaluation.read_text())["metrics"]["mIoU"], abs=0.05
    )
    predict = ("action=predict", f"action.run={folder}", "action.kind=probabilities", "action.overlap_px=0")
    scene = tmp_path / "data" / "a_20220115_img.tif"
    run(*predict, f"action.input={scene}", "action.output=a.tif")
    with rasterio.open("a.tif") as made, rasterio.open(scene) as given:
        probabilities, pixels = made.read(), given.read()
    model = trained(folder).model
    mean, std = (np.array(record["data"]["normalization"][key])[:, None, None] for key in ("mean", "std"))
    window = Window(0, 0, 32, 32)
    place = Georeference(GEOREFERENCE["crs"], GEOREFERENCE["transform"]).at(window)
    batch = torch.from_numpy((pixels[:, :32, :32] - mean) / std).float()[None]
    with torch.inference_mode():
        expected = model(batch, torch.tensor([[[2022.0, 14.0]]]), torch.tensor([place])).output.softmax(1)[0]
        other = model(batch).output.softmax(1)[0]
    # The last windows are moved back, so that the first 8 rows and 28 columns are this window's for sure.
    np.testing.assert_allclose(probabilities[:, :8, :28], expected[:, :8, :28], atol=1e-5)
    assert not np.allclose(probabilities[:, :8, :28], other[:, :8, :28], atol=1e-5)
    undated = scene.rename(tmp_path / "undated.tif")
    with pytest.raises(
        UserError, match=r"undated\.tif has no date in its name.* Write action\.date=2022-01-15 .*or action\.date=none"
    ):
        run(*predict, f"action.input={undated}", "action.output=b.tif")
    run(*predict, f"action.input={undated}", "action.output=b.tif", "action.date=2022-01-15")
    with rasterio.open("b.tif") as made:
        assert np.array_equal(made.read(), probabilities)
    run(*predict, f"action.input={undated}", "action.output=c.tif", "action.date=none", "action.position=none")
    with rasterio.open("c.tif") as made:
        np.testing.assert_allclose(made.read()[:, :8, :28], other[:, :8, :28], atol=1e-5)


def test_a_run_with_a_table_of_dates_asks_for_the_date_of_what_it_predicts(fit_run, tmp_path):
    folder = fit_run("data.dates=t.csv")
    predict = ("action=predict", f"action.run={folder}", f"action.input={tmp_path}/data/a_20220115_img.tif")
    with pytest.raises(
        UserError,
        match=r"trained with dates out of a table \(data\.dates=t\.csv\), which says nothing of other images\. Write "
        r"action\.date=",
    ):
        run(*predict, "action.output=a.tif")
    with pytest.raises(
        UserError, match=r"action\.position=\[1\.0, 2\.0\] would change nothing: the run was trained without positions"
    ):
        run(*predict, "action.output=a.tif", "action.date=none", "action.position=[1,2]")
    with pytest.raises(UserError, match=r"action\.date: 2022-02-30 is not a date"):
        run(*predict, "action.output=a.tif", "action.date=2022-02-30")
    with pytest.raises(
        UserError, match=r"action\.date=\[2022-01-01, 2022-02-02\] has 2 dates; an image of this run has 1"
    ):
        run(*predict, "action.output=a.tif", "action.date=[2022-01-01,2022-02-02]")
    with pytest.raises(UserError, match=r"action\.date=no\.csv: there is no such file"):
        run(*predict, "action.output=a.tif", "action.date=no.csv")
    maps = []
    for asked in ("2022-01-15", "file_name", "own.csv"):
        table(tmp_path / "own.csv", "file,date", "a_20220115_img.tif,2022-01-15")
        run(
            *predict,
            "action.output=a.tif",
            f"action.date={asked}",
            "action.overwrite=true",
            "action.kind=probabilities",
        )
        with rasterio.open("a.tif") as made:
            maps.append(made.read())
    assert np.array_equal(maps[0], maps[1])
    assert np.array_equal(maps[0], maps[2])
    with pytest.raises(
        UserError, match=r"The run was trained without positions; this data gives them \(data\.positions\)"
    ):
        run("action=evaluate", f"action.run={folder}", "action.data={positions: georeference}")


def test_evaluating_without_the_dates_of_the_training_says_that_they_are_off(fit_run, caplog):
    folder = fit_run("data.dates=t.csv")
    run("action=evaluate", f"action.run={folder}", "action.data={dates: null}")
    assert "trained with dates, but this data gives none (data.dates), so their encoding is off." in caplog.text


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("[91,2]", r"action\.position: the latitude 91 is not between -90 and 90"),
        ("[1]", r"action\.position=\[1\.0\] is \[LATITUDE,LONGITUDE\] in degrees"),
        ("here", r"action\.position=here is \[LATITUDE,LONGITUDE\] in degrees"),
    ],
)
def test_a_position_of_a_prediction_that_is_none_is_refused(fit_run, tmp_path, asked, message):
    folder = fit_run("data.positions=georeference")
    with pytest.raises(UserError, match=message):
        run("action=predict", f"action.run={folder}", f"action.input={tmp_path}/data/a_20220115_img.tif",
            "action.output=a.tif", f"action.position={asked}")  # fmt: skip


def test_the_options_open_with_dates_and_positions(tmp_path):
    root = scenes(tmp_path, "a_20220115", "b_20201231", "c_20220301")
    config = composed(
        "data=geotiff", f"data.root={root}", "data.images=*_img.tif", "data.labels=*_lab.tif", "data.class_names=[a,b]",
        "data.dates=file_name", "data.date_pattern='*_%Y%m%d_img.tif'", "data.positions=georeference",
    )  # fmt: skip
    source = data_source(config["data"])
    assert source.collection.inputs(BANDS).coordinates == ("time", "location")
    assert math.isclose(source.collection.coordinates.of(0, Window(0, 0, 1, 1))["temporal_coords"][0, 1], 14)
