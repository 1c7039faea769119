"""A chip without a labelled pixel, or without data, counts for nothing: baselines are computed from the others."""

import csv
from pathlib import Path

import numpy as np
import pytest

from geocompose.data.baselines.rules import run_baselines
from geocompose.data.module import SceneData
from tests.kit.data_modules import (
    geotiff,
    geotiff_classification,
    geotiff_multilabel,
    geotiff_regression,
    geotiff_scalar_regression,
)
from tests.kit.data_rasters import BANDS, arguments, image, label, write

SPLITS = {"train": ["0", "1", "2"], "val": ["3", "4"], "test": ["5", "6"]}
EMPTY = {"train": "1", "val": "3", "test": "5"}
LISTS = {split: f"{split}.txt" for split in SPLITS}


def chips(root: Path, empty: str, what: str, *, numbers: bool) -> Path:
    """Write seven chips and the lists of their splits; of one, all of the image or of the label is nodata."""
    for key in "0123456":
        pixels, labels = image(int(key), 16, 16), label(int(key), 16, 16, dtype="float32" if numbers else "int16")
        if key == empty:
            if what == "image":
                pixels[:] = 0
            else:
                labels[:] = np.nan if numbers else -1
        write(root / f"{key}_img.tif", pixels, BANDS, nodata=0)
        write(root / f"{key}_lab.tif", labels)
    lists(root)
    return root


def lists(root: Path) -> None:
    for split, keys in SPLITS.items():
        (root / f"{split}.txt").write_text("".join(f"{key}_img.tif\n" for key in keys))


def baselines(data: SceneData, *names: str) -> list[dict]:
    data.setup()
    results = run_baselines(data, names)
    assert all(result["metrics"] for result in results), results
    return results


@pytest.mark.parametrize("split", list(SPLITS))
@pytest.mark.parametrize("what", ["image", "label"])
def test_segmentation(split: str, what: str, tmp_path: Path) -> None:
    chips(tmp_path, EMPTY[split], what, numbers=False)
    found = baselines(geotiff(**arguments(tmp_path, split_files=LISTS)), "constant", "logistic", "ndwi")
    assert [result["name"] for result in found] == ["constant", "logistic", "ndwi"]
    assert "512 training pixels" in found[1]["detail"] if split == "train" else "768" in found[1]["detail"]


@pytest.mark.parametrize("split", list(SPLITS))
@pytest.mark.parametrize("what", ["image", "label"])
def test_regression(split: str, what: str, tmp_path: Path) -> None:
    chips(tmp_path, EMPTY[split], what, numbers=True)
    given = arguments(tmp_path, split_files=LISTS) | {"variables": ["height"]}
    del given["class_names"]
    baselines(geotiff_regression(**given), "constant", "linear")


@pytest.mark.parametrize("split", list(SPLITS))
@pytest.mark.parametrize("kind", ["classification", "multilabel", "scalar_regression"])
def test_images(kind: str, split: str, tmp_path: Path) -> None:
    chips(tmp_path, EMPTY[split], "image", numbers=False)
    header, rows = {
        "classification": (["file", "label"], lambda key: ["ab"[int(key) % 2]]),
        "multilabel": (["file", "a", "b"], lambda key: [int(key) % 2, 1 - int(key) % 2]),
        "scalar_regression": (["file", "height"], lambda key: [int(key) / 2]),
    }[kind]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *([f"{key}_img.tif", *rows(key)] for key in "0123456")])
    make = {
        "classification": geotiff_classification,
        "multilabel": geotiff_multilabel,
        "scalar_regression": geotiff_scalar_regression,
    }[kind]
    more = {"variables": ["height"]} if kind == "scalar_regression" else {}
    data = make(
        root=str(tmp_path), images="*_img.tif", table="labels.csv", split_files=LISTS, tile_px=16, batch_size=2, **more
    )
    baselines(data, "constant", "linear" if kind == "scalar_regression" else "logistic")


def test_a_baseline_that_cannot_be_computed_is_said_and_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chips(tmp_path, "", "image", numbers=False)
    for key in "012":
        write(tmp_path / f"{key}_lab.tif", np.ones((16, 16), "int16"))
    data = geotiff(**arguments(tmp_path, split_files=LISTS))
    data.setup()
    with caplog.at_level("WARNING", "geocompose"):
        logistic, constant = run_baselines(data, ["logistic", "constant"])
    assert logistic["metrics"] == {}
    assert logistic["detail"].startswith("could not be computed: All labelled training pixels are 'water'")
    assert "The baseline logistic could not be computed" in caplog.text
    assert constant["metrics"]["mIoU"] > 0
