"""Broken rasters in fit, evaluate and predict: one message that names the file, or the right numbers."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geocompose.data.preflight import data_source, preflight
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.reading import Reading
from tests.kit.broken_rasters import BANDS, SIDE, broken
from tests.kit.command import run
from tests.kit.inference_rasters import write
from tests.kit.made_runs import make_run

CASES = dict(broken())
TARGET = Target("segmentation", ("low", "high"))


def data(root: Path) -> dict:
    return {
        "_target_": "geocompose.data.sources.GeoTiffSegmentation",
        "root": str(root),
        "images": "*_img.*",
        "labels": "*_lab.tif",
        "name": "broken",
        "class_names": ["low", "high"],
        "tile_px": 32,
        "baselines": [],
    }


def chips(root: Path, name: str) -> Path:
    """Two good chips and the broken one, with labels."""
    root.mkdir()
    random = np.random.default_rng(0)
    for key in ("a", "b", "broken"):
        write(root / f"{key}_lab.tif", random.integers(0, 2, (1, SIDE, SIDE)).astype("uint8"))
        if key != "broken":
            write(root / f"{key}_img.tif", random.integers(200, 4000, (2, SIDE, SIDE)).astype("int16"), BANDS)
    return CASES[name](root / "broken_img.tif")


def expected(path: Path) -> np.ndarray:
    """Return the pixels as rasterio reads them, in float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as file:
            planes = [file.read(index).astype("float32") for index in range(1, file.count + 1)]
    return np.stack(planes)


def test_there_are_enough() -> None:
    assert len(CASES) >= 150


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(CASES))
def test_a_broken_raster_is_named_or_read_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = chips(tmp_path / "chips", name)
    run_folder = make_run(tmp_path / "made", TARGET, bands=tuple(BANDS), data=data(tmp_path / "chips"))
    refusals = {}
    try:
        preflight(data_source(data(tmp_path / "chips")), lambda available: BANDS)
    except UserError as error:
        refusals["fit"] = str(error)
    for split in ("train", "val", "test"):  # whichever it is in
        try:
            run("action=evaluate", f"action.run={run_folder}", f"action.split={split}")
        except UserError as error:
            refusals["evaluate"] = str(error)
    try:
        run("action=predict", f"action.run={run_folder}", f"action.input='{path}'", "action.output=map.tif")
    except UserError as error:
        refusals["predict"] = str(error)
        assert not list(tmp_path.glob("*map*")), "half-written"
    for action, message in refusals.items():
        assert "broken" in message or "no labelled" in message, (action, message)
        assert len(message.splitlines()) == 1, message
    if not refusals:
        seen = Reading(bands=BANDS, mean=[0.0, 0.0], std=[1.0, 1.0]).open(path)
        image, valid = seen.read(_whole(seen.image.height, seen.image.width))
        places = [seen.image.band_names.index(one) for one in seen.image.band_names[:2]]
        assert np.array_equal(image[:, valid], expected(path)[places][:, valid])
    if refusals.get("predict") and "fit" not in refusals:
        assert "size" in name or "pixel" in name, ("predict alone refuses", refusals)


def _whole(height: int, width: int):
    from geocompose.data.window import Window

    return Window(0, 0, height, width)
