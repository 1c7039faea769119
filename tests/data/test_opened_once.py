"""A run opens its data once: nothing is listed, scanned or chosen twice between the command and the first batch."""

from collections import Counter
from collections.abc import Callable

import pytest

from geocompose.actions import preparation
from geocompose.data import module, preflight, scene_set
from geocompose.data.files import image_files, more_images, pairs
from geocompose.data.preflight import data_source
from tests.kit.command import SMALL, only_run, run
from tests.kit.data_rasters import BANDS, pair

LISTED = ("data=geotiff", "data.images=*_img.tif", "data.labels=*_lab.tif", "data.class_names=[land,water]")
QUICK = [text for text in SMALL if not text.startswith(("data.num_scenes", "data.scene_px"))]


@pytest.fixture
def calls(monkeypatch) -> Counter[str]:
    """Count calls of what lists, scans and chooses, by name."""
    counted: Counter[str] = Counter()

    def count(place: object, name: str) -> None:
        original: Callable[..., object] = getattr(place, name)

        def counting(*args: object, **kwargs: object) -> object:
            counted[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(place, name, counting)

    for place in (pairs, image_files, more_images):
        count(place, "match_files")
    for place in (preflight, scene_set):
        count(place, "scan")
    count(preparation, "chosen_bands")
    return counted


def folder(tmp_path):
    for seed, key in enumerate("abcde"):
        pair(tmp_path / "data", key, seed, height=32, width=32)
    return tmp_path / "data"


def test_a_run_lists_scans_and_chooses_once(tmp_path, monkeypatch, calls):
    monkeypatch.chdir(tmp_path)
    run(*QUICK, *LISTED, f"data.root={folder(tmp_path)}", f"data.band_names=[{','.join(BANDS)}]")
    assert calls == {"match_files": 2, "scan": 1, "chosen_bands": 1}  # images and labels are two patterns


def test_a_finished_run_is_only_listed(tmp_path, monkeypatch, calls):
    monkeypatch.chdir(tmp_path)
    command = (*QUICK, *LISTED, f"data.root={folder(tmp_path)}", f"data.band_names=[{','.join(BANDS)}]")
    run(*command)
    calls.clear()
    run(*command)
    assert calls == {"match_files": 2}


def test_an_evaluation_lists_and_scans_once(tmp_path, monkeypatch, calls):
    monkeypatch.chdir(tmp_path)
    run(*QUICK, *LISTED, f"data.root={folder(tmp_path)}", f"data.band_names=[{','.join(BANDS)}]")
    calls.clear()
    run("action=evaluate", f"action.run={only_run('default')}")
    assert calls == {"match_files": 2, "scan": 1}


def test_values_that_are_converted_are_scanned_as_they_are_read(tmp_path, calls):
    source = data_source(
        {
            "_target_": "geocompose.data.sources.GeoTiffSegmentation", "root": str(folder(tmp_path)),
            "images": "*_img.tif", "labels": "*_lab.tif", "class_names": ["land", "water"], "unit": "reflectance_1e4",
        }
    )  # fmt: skip
    found = preflight.preflight(source, list)
    data = module.SceneData(source, found.inputs.bands, found.statistics)
    data.read_as(["reflectance"] * len(data.bands))
    data.setup()
    assert calls["scan"] == 2  # statistics of other numbers
    assert data.mean[0] == pytest.approx(found.statistics.mean[0] / 1e4, rel=1e-5)


def test_another_choice_of_bands_is_scanned_anew(tmp_path, calls):
    source = data_source(
        {
            "_target_": "geocompose.data.sources.GeoTiffSegmentation", "root": str(folder(tmp_path)),
            "images": "*_img.tif", "labels": "*_lab.tif", "class_names": ["land", "water"],
        }
    )  # fmt: skip
    found = preflight.preflight(source, list)
    data = module.SceneData(source, found.inputs.bands, found.statistics)
    data.use_bands([found.inputs.bands[1]])
    data.setup()
    assert data.mean == [found.statistics.mean[1]]
