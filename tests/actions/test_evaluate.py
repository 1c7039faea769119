"""evaluate from the command line to the numbers on disk, for each kind of task, fitted here or made elsewhere."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from geocompose.errors import UserError
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.samples import Target
from tests.kit.command import SMALL, record_of, run
from tests.kit.made_runs import TARGETS, make_run

KINDS = tuple(TARGETS)
# Small tiles, so that each class of images is found in each split.
FITTED = (*SMALL, "data.tile_px=16", "data.baselines=[]", "trainer.max_epochs=1", "logger=csv")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A function that returns the folder of outputs in which one small run of a kind is finished."""
    folder = tmp_path_factory.mktemp("fitted")

    def outputs_of(kind):
        outputs = folder / "outputs" / kind
        if not outputs.exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                run(*FITTED, f"task={kind}", f"study={kind}")
        return outputs

    return outputs_of


@pytest.fixture
def workplace(fitted, tmp_path, monkeypatch):
    """A function that returns the finished run of a kind, copied into the working directory."""
    monkeypatch.chdir(tmp_path)

    def run_of(kind):
        (folder,) = shutil.copytree(fitted(kind), Path("outputs") / kind).iterdir()
        return folder

    return run_of


def evaluate(folder, *more, figures=False):
    """Return what evaluate wrote."""
    run("action=evaluate", f"action.run={folder}", *more, figures=figures)
    written = max((folder / "evaluations").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(written.read_text())


def split_of(record, split):
    return {
        name.removeprefix(f"{split}/"): value
        for name, value in record["metrics"].items()
        if name.startswith(f"{split}/") and not name.endswith("/loss")
    }


# --- the run's own data -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_gives_the_recorded_metrics_again(workplace, kind, capsys):
    folder = workplace(kind)
    for split in ("test", "val"):
        found = evaluate(folder, f"action.split={split}")
        recorded = split_of(record_of(folder), split)
        if split == "val":  # of which a run scores no whole scenes
            found["metrics"] = {name: value for name, value in found["metrics"].items() if "scene_" not in name}
        if "RMSE" in recorded:  # sums of numbers may be taken in another order
            assert found["metrics"] == pytest.approx(recorded, rel=1e-9)
        else:
            assert found["metrics"] == recorded
        assert found["split"] == split
    assert str(folder / "evaluations") in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["segmentation", "scalar_regression"])
def test_evaluate_shows_what_fit_shows(workplace, kind, capsys):
    folder = workplace(kind)
    found = evaluate(folder, "action.split=val", figures=True)
    assert found["baselines"] == []
    place = next(path for path in (folder / "evaluations").iterdir() if path.is_dir())
    drawn = {path.name for path in (place / "figures").iterdir()}
    assert "samples.png" in drawn
    assert drawn & {"confusion.png", "scatter.png", "decisions.png"}
    assert f"figures: {place / 'figures'}" in capsys.readouterr().out


def test_baselines_are_those_of_the_run_or_of_the_other_data(workplace, capsys):
    folder = workplace("segmentation")
    record = record_of(folder)
    record["baselines"] = [{"name": "constant", "detail": "as recorded", "metrics": {"mIoU": 0.125}}]
    (folder / "record.json").write_text(json.dumps(record))
    assert evaluate(folder)["baselines"] == record["baselines"]
    assert "0.1250" in capsys.readouterr().out
    other = ("data=synthetic_segmentation", "data.seed=7", "data.num_scenes=4", "data.scene_px=64")
    (fitted_here,) = evaluate(folder, *other, "data.baselines=[constant]")["baselines"]
    assert fitted_here["name"] == "constant"
    assert 0 < fitted_here["metrics"]["mIoU"] < 1
    counts = max((folder / "evaluations").glob("*/baselines.npz"), key=lambda path: path.stat().st_mtime_ns)
    assert np.load(counts)["constant"].sum() > 0


def test_errors_of_numbers_are_in_the_unit_of_the_labels(workplace):
    """The deviation of the synthetic biomass is tens of t/ha; an error in units of it would be near 1."""
    folder = workplace("regression")
    recorded = record_of(folder)["data"]["target"]
    metrics = evaluate(folder)["metrics"]
    assert metrics.keys() == {"RMSE", "MAE", "R2", "scene_RMSE", "scene_MAE", "scene_R2"}
    assert metrics["RMSE"] > 0.2 * recorded["std"][0] > 4


def test_changes_are_laid_over_the_runs_own_data(workplace):
    folder = workplace("segmentation")
    found = evaluate(folder, "action.data={batch_size: 1}")
    assert (found["data"]["num_scenes"], found["data"]["batch_size"]) == (4, 1)
    assert found["metrics"] == pytest.approx(split_of(record_of(folder), "test"), abs=1e-6)
    with pytest.raises(UserError, match=r"data\.batch_size=1: evaluate takes the run's own data.*action\.data="):
        evaluate(folder, "data.batch_size=1")
    with pytest.raises(UserError, match=r"no key 'batchsize'\. Did you mean 'batch_size'"):
        evaluate(folder, "action.data={batchsize: 1}")
    with pytest.raises(UserError, match=r"data=OPTION chooses other data; give one of them"):
        evaluate(folder, "action.data={batch_size: 1}", "data=synthetic_segmentation")


# --- other data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_other_data_is_normalised_and_cut_as_the_run_s(workplace, kind):
    folder = workplace(kind)
    other = (f"data=synthetic_{kind}", "data.seed=7", "data.num_scenes=4", "data.scene_px=64")
    found = evaluate(folder, *other)
    recorded = record_of(folder)["data"]
    normalization = found["described"]["normalization"]
    assert normalization["source"] == "given"
    assert normalization["mean"] == recorded["normalization"]["mean"]
    assert found["described"]["tile_px"] == 16
    assert found["metrics"].keys() == split_of(record_of(folder), "test").keys()
    assert found["metrics"] != split_of(record_of(folder), "test")


def test_numbers_of_other_data_are_predicted_in_the_run_s_unit(workplace):
    """What other labels are normalised by says nothing of the run's output."""
    folder = workplace("regression")
    other = ("data=synthetic_regression", "data.seed=7", "data.num_scenes=4", "data.scene_px=64")
    own_unit = evaluate(folder, *other)
    assert own_unit["described"]["target"]["mean"] != record_of(folder)["data"]["target"]["mean"]
    assert evaluate(folder, *other, "data.normalize_target=none")["metrics"] == own_unit["metrics"]


def test_data_of_another_task_is_refused(workplace):
    folder = workplace("classification")
    for kind in ("segmentation", "multilabel", "scalar_regression"):
        with pytest.raises(UserError, match=rf"run is one of the task classification; this data .* task {kind}"):
            evaluate(folder, f"data=synthetic_{kind}", "data.num_scenes=4", "data.scene_px=64")


def test_data_of_other_classes_or_variables_is_refused(workplace):
    for kind, key in (("segmentation", "class_names"), ("scalar_regression", "variables")):
        folder = workplace(kind)
        record = record_of(folder)
        record["data"]["target"]["names"][0] = "land"
        (folder / "record.json").write_text(json.dumps(record))
        with pytest.raises(UserError, match=rf"The run knows the .*land.*; this data has .*data\.{key}=\[land"):
            evaluate(folder)


def test_overrides_that_would_change_nothing_are_refused(workplace):
    folder = workplace("segmentation")
    for wrong in ("backbone=resnet50", "seed=5", "task.loss=dice", "trainer.max_epochs=3", "head.dropout=0.1"):
        with pytest.raises(UserError, match=f"{wrong} would change nothing: the recorded run"):
            evaluate(folder, wrong)


def test_a_folder_that_is_no_run_is_refused(workplace):
    workplace("segmentation")
    with pytest.raises(UserError, match="does not exist"):
        evaluate(Path("outputs/segmentation/timm-fcn-none-0"))


# --- runs that were made elsewhere: no fingerprint, no statistics, perhaps no data at all ----------------------------


def image(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"count": 6, "height": 10, "width": 12, "dtype": "int16", "transform": Affine(10, 0, 0, 0, -10, 0)}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32633", **profile) as file:
        file.write(np.random.default_rng(value).integers(value, value + 900, (6, 10, 12)).astype("int16"))
        file.descriptions = HLS_BANDS


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Images in folders by their class, twelve of each, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for place in range(12):
        image(Path(f"images/dry/{place}.tif"), 3000 + place)
        image(Path(f"images/wet/{place}.tif"), 200 + place)
    return Path("images")


CLASSES = Target("classification", ("dry", "wet"))
FOLDERS = ("data=geotiff_classification", "data.root=images")


def test_an_imported_run_without_data_takes_other_data_only(folders):
    folder = make_run(Path("outputs/imported/run"), CLASSES, tile_px=16)
    with pytest.raises(UserError, match=r"This run has no data of its own.*data=OPTION"):
        evaluate(folder)
    found = evaluate(folder, *FOLDERS)
    assert found["metrics"].keys() == {
        "ECE",
        "F1_macro", "F1_dry", "F1_wet", "accuracy_micro", "accuracy_macro", "classes_present",
    }  # fmt: skip
    assert found["described"]["tile_px"] == 16


def test_data_that_is_not_there_any_more_is_told_with_the_key_to_change(folders):
    data = {"_target_": "geocompose.data.sources.GeoTiffClassification", "images": "*/*.tif"}
    folder = make_run(
        Path("outputs/imported/run"), CLASSES, data={**data, "root": "/nowhere", "table": None}, tile_px=16
    )
    with pytest.raises(UserError, match=r"data\.root=/nowhere is not an .*action\.data=\{root: DIR\}.*data=OPTION"):
        evaluate(folder)


def test_the_run_s_classes_are_taken_where_the_data_names_none(folders):
    """Three folders of which the run knows two in this order: not whatever classes lie there, in their own order."""
    data = {"_target_": "geocompose.data.sources.GeoTiffClassification", "class_names": None}
    target = Target("classification", ("wet", "dry"))
    folder = make_run(Path("outputs/imported/run"), target, data=data, tile_px=16)
    found = evaluate(folder, *FOLDERS)
    assert found["data"]["class_names"] == ["wet", "dry"]
    image(folders / "snow" / "0.tif", 9000)
    with pytest.raises(UserError, match=r"data\.class_names has no 'snow'"):
        evaluate(folder, *FOLDERS)


def test_larger_images_come_to_their_size_as_in_training(folders):
    data = {"_target_": "geocompose.data.sources.GeoTiffClassification", "fit": "resize"}
    folder = make_run(Path("outputs/imported/run"), CLASSES, data=data, tile_px=8)
    assert evaluate(folder, *FOLDERS)["data"]["fit"] == "resize"
    assert evaluate(folder, *FOLDERS, "data.fit=crop")["data"]["fit"] == "crop"
    with pytest.raises(UserError, match="10 x 12 pixels"):
        evaluate(folder, *FOLDERS, "data.fit=refuse")


def test_scores_of_a_table_are_those_of_evaluate(folders):
    """Evaluate and predict agree on every image."""
    folder = make_run(Path("outputs/imported/run"), CLASSES, tile_px=16)
    found = evaluate(folder, *FOLDERS, "action.split=test")
    run("action=predict", f"action.run={folder}", "action.input=images", "action.output=t.csv")
    with open("t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    right = np.mean([row["file"].startswith(row["class"]) for row in rows])
    counted = [evaluate(folder, *FOLDERS, f"action.split={split}") for split in ("train", "val", "test")]
    sizes = [result["described"]["splits"][result["split"]]["labelled_images"] for result in counted]
    shares = [result["metrics"]["accuracy_micro"] for result in counted]
    assert np.average(shares, weights=sizes) == pytest.approx(right)
    assert found["metrics"] == counted[2]["metrics"]


@pytest.mark.parametrize(
    "action", [["action=evaluate"], ["action=predict", "action.input=a.tif", "action.output=b.tif"]]
)
def test_a_run_recorded_without_its_labels_kind_is_refused(action, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = make_run(tmp_path / "run", TARGETS["segmentation"])
    record = record_of(folder)
    del record["data"]["target"]
    (folder / "record.json").write_text(json.dumps(record))
    Path("a.tif").touch()
    with pytest.raises(UserError, match=r"recorded by an earlier version.*again with rerun=true"):
        run(*action, f"action.run={folder}")
