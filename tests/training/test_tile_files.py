"""Which tile is which: splits.csv, counts of every tile for the model and its baselines, files named in the figures."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from geocompose.imagery.samples import Target
from geocompose.inference import pictures
from geocompose.scores import scores_of
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.data_rasters import BANDS, image, label, write

OWN = [
    *SMALL[:5], "data=geotiff", "data.images='**/*_img.tif'", "data.labels='**/*_lab.tif'",
    "data.tile_px=16", "data.class_names=[water,land]", "trainer.max_epochs=1",
    "trainer.accelerator=cpu", "trainer.progress_bar=false",
    "data.baselines=[constant,logistic]",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with rasters in folders, one of a name that has to be quoted."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("north/a", "north/b,1", "south/c", "south/d$1$", "e")):
        path = tmp_path / "data" / f"{name}_img.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, image(number, 40, 36), BANDS)
        write(path.with_name(path.name.replace("_img", "_lab")), label(number, 40, 36))
    return tmp_path


def rows(there):
    with (there / "splits.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_count_has_its_scene_and_window(folder, monkeypatch):
    titles = []
    monkeypatch.setattr(
        pictures, "sample_predictions", lambda samples, *_: titles.extend(one["title"] for one in samples)
    )
    run(*OWN, "study=a", f"data.root={Path.cwd()}/data", figures=True)
    there = only_run("a")
    record, table = record_of(there), rows(there)
    assert list(table[0]) == ["split", "tile", "scene", "row", "column", "height", "width", "group"]
    counted = np.load(there / "confusion.npz")
    for split in ("val", "test"):
        own = [row for row in table if row["split"] == split]
        assert [int(row["tile"]) for row in own] == list(range(len(counted[split])))
        for row, matrix in zip(own, counted[split], strict=True):
            assert (folder / "data" / row["scene"]).is_file()
            # The truth of a matrix is what the label file holds in that window.
            import rasterio

            with rasterio.open(folder / "data" / row["scene"].replace("_img", "_lab")) as file:
                top, left, height, width = (int(row[key]) for key in ("row", "column", "height", "width"))
                truth = file.read(1)[top : top + height, left : left + width]
            assert matrix.sum(axis=1).tolist() == np.bincount(truth.ravel(), minlength=2).tolist()
    assert {row["split"] for row in table} == {"train", "val", "test"}
    scenes = {row["scene"] for row in table if row["split"] == "test"}
    assert titles
    assert all(any(scene.replace("$", r"\$") in title for scene in scenes) for title in titles)
    assert record["data"]["splits"]["test"]["tiles"] == len(counted["test"])


def test_baselines_are_counted_on_the_same_tiles(folder):
    run(*OWN, "study=a", f"data.root={Path.cwd()}/data")
    there = only_run("a")
    record = record_of(there)
    model = np.load(there / "confusion.npz")["test"]
    baselines = np.load(there / "baselines.npz")
    assert set(baselines) == {"constant", "logistic"}
    for one in record["baselines"]:
        per_tile = baselines[one["name"]]
        assert per_tile.sum(axis=2).tolist() == model.sum(axis=2).tolist()  # the same truth in every tile
        pooled = scores_of(per_tile.sum(axis=0), Target("segmentation", ("water", "land")))
        assert one["metrics"] == pytest.approx(pooled, nan_ok=True)


@pytest.mark.parametrize("kind", ["regression", "classification", "multilabel", "scalar_regression"])
def test_every_kind_has_them(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, f"task={kind}", "study=a", "trainer.max_epochs=1")
    there = only_run("a")
    record = record_of(there)
    target = Target.from_record(record["data"]["target"])
    model = np.load(there / ("confusion.npz" if target.of_classes else "tile_sums.npz"))["test"]
    baselines = np.load(there / "baselines.npz")
    assert len(rows(there)) == sum(split["tiles"] for split in record["data"]["splits"].values())
    for one in record["baselines"]:
        per_tile = baselines[one["name"]]
        assert per_tile.shape == model.shape
        assert per_tile.dtype == model.dtype
        pooled = scores_of(per_tile.sum(axis=0), target)
        assert {name: np.nan if value is None else value for name, value in one["metrics"].items()} == pytest.approx(
            pooled, nan_ok=True
        )


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_a_name_that_is_not_utf_8_is_written_and_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        odd = os.fsdecode(b"x\xff%d" % number)
        path = tmp_path / "data" / f"{odd}_img.tif"
        path.parent.mkdir(exist_ok=True)
        try:
            write(path, image(number, 32, 32), BANDS)
        except (UnicodeEncodeError, OSError):
            pytest.skip("rasters of such names can't be written here")
        write(path.with_name(path.name.replace("_img", "_lab")), label(number, 32, 32))
    run(*OWN, "study=a", f"data.root={Path.cwd()}/data", figures=True)
    there = only_run("a")
    assert rows(there)[0]["scene"].startswith(r"x\udcff")
    assert "left_out" not in record_of(there)["training"]
