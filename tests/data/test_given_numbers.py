"""Numbers of a user's own that bands are normalised with: read, checked, recorded, and used by whatever reads a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from geocompose.data.normalization import Normalization
from geocompose.data.planes import Planes
from geocompose.data.preflight import preflight
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.errors import UserError
from geocompose.imagery.units import Conversion
from tests.data.test_frames import BANDS, FRAMES, loaded, series
from tests.kit.command import only_run, record_of, run
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import arguments, image, pair

OF_BANDS = {"mean": [10.0, 20.0, 30.0], "std": [1.0, 2.0, 4.0]}
OF_FRAMES = {"mean": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "std": [[1.0, 2.0], [2.0, 4.0], [4.0, 8.0]]}


def test_bands_are_normalised_by_given_numbers_in_the_order_in_which_they_are_read(tmp_path):
    pair(tmp_path)
    numbers = {"mean": [100, 7.5], "std": [50, 2]}
    data = geotiff(**arguments(tmp_path, bands=["RED", "BLUE"], normalize=numbers))
    data.setup()
    first = next(iter(data.val_dataloader()))["image"][0, :, 0, 0]
    window = data.tile_windows("val")[0].window
    red, blue = image()[2, window.row, window.column], image()[0, window.row, window.column]
    assert first.tolist() == pytest.approx([(red - 100) / 50, (blue - 7.5) / 2])
    recorded = data.describe()["normalization"]
    assert recorded == {"normalize": "given", "source": "given", "mean": [100.0, 7.5], "std": [50.0, 2.0]}


def test_each_frame_may_have_numbers_of_its_own(tmp_path):
    (pixels, *_) = series(tmp_path, "a", "b", "c")
    data = loaded(tmp_path, normalize=OF_FRAMES, dihedral=False)
    dataset = data.tiles_of("val", training=False)
    tile = data.tile_windows("val")[0]
    made = dataset[0]["image"].numpy()
    raw, _ = data.scenes[tile.scene].read_image(tile.window, [0, 1, 2])
    mean, std = (np.array(OF_FRAMES[key])[:, :, None, None] for key in ("mean", "std"))
    np.testing.assert_allclose(made[..., : raw.shape[-2], : raw.shape[-1]], (raw - mean) / std, rtol=1e-5)
    assert pixels.shape[:2] == np.array(OF_FRAMES["mean"]).shape


@pytest.mark.parametrize("numbers", [OF_BANDS, OF_FRAMES], ids=["bands", "frames"])
def test_both_ways_to_normalise_agree(numbers):
    stored = np.arange(3 * FRAMES * 4, dtype=np.float32).reshape(3 * FRAMES, 2, 2)
    planes = Planes(list(stored), [Conversion(None)] * len(stored), np.ones((2, 2), bool), FRAMES)
    normalized = Normalization(numbers["mean"], numbers["std"])
    written = np.empty((3, FRAMES, 2, 2), np.float32)
    normalized.write(planes, written, lambda plane: plane)
    np.testing.assert_allclose(written, normalized(planes.image(), planes.valid), rtol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"means": [1.0], "std": [1.0]}, r"data\.normalize has no key 'means'\. Did you mean 'mean'"),
        ({"mean": [1.0]}, r"data\.normalize\.std must be a list of numbers.*got None"),
        ({"mean": [1.0, 2.0], "std": [1.0]}, r"numbers of 2 bands as mean, but numbers of 1 band as std"),
        ({"mean": [1.0], "std": [[1.0, 1.0]]}, r"as mean, but numbers of 1 band in \[2\] frames as std"),
        ({"mean": [1.0], "std": [0.0]}, r"data\.normalize\.std must be above 0.*got 0"),
        ({"mean": [1.0, [1.0]], "std": [1.0, 1.0]}, r"or of lists of one per frame"),
        ({"mean": [float("nan")], "std": [1.0]}, r"data\.normalize\.mean must hold finite numbers"),
        ({"mean": ["x"], "std": [1.0]}, r"data\.normalize\.mean must hold numbers; got 'x'"),
        ({"mean": [], "std": []}, r"data\.normalize\.mean must be a list of numbers"),
    ],
)
def test_numbers_that_nothing_can_be_normalised_with_are_refused_before_a_file_is_opened(numbers, message, tmp_path):
    with pytest.raises(UserError, match=message):
        GeoTiffSegmentation(**arguments(tmp_path, normalize=numbers))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            {"mean": [1.0] * 2, "std": [1.0] * 2},
            "has 2 means and as many deviations, but 3 bands are read: BLUE, GREEN",
        ),
        ({"mean": [[1.0] * 3] * 3, "std": [[1.0] * 3] * 3}, r"3 means for the band BLUE, but an image has 2 frames"),
    ],
)
def test_numbers_of_other_bands_or_frames_are_refused_before_a_pixel_is_read(numbers, message, tmp_path):
    series(tmp_path, "a", "b", "c")
    given = {"band_names": BANDS, "num_frames": FRAMES, "baselines": [], "normalize": numbers}
    with pytest.raises(UserError, match=message):
        preflight(GeoTiffSegmentation(**arguments(tmp_path, **given)), list)
    with pytest.raises(UserError, match=message):
        geotiff(**arguments(tmp_path, **given))


def test_a_run_records_given_numbers_and_what_reads_it_takes_them_from_there(tmp_path, monkeypatch):
    """The command line's way: typed, identified, recorded, evaluated and predicted with."""
    monkeypatch.chdir(tmp_path)
    series(tmp_path / "chips", "a", "b", "c")
    data = [
        "data=geotiff", "data.root=chips", "data.images=*_img.tif", "data.labels=*_lab.tif", "data.class_names=[a,b,c]",
        "data.band_names=[BLUE,GREEN,RED]", "data.num_frames=2", "data.tile_px=32", "data.baselines=[]",
        "backbone=resnet18", "temporal=mean", "decoder=fcn", "decoder.channels=8", "trainer.max_epochs=1",
    ]  # fmt: skip
    numbers = "{mean: [[1,2],[3,4],[5,6]], std: [[1,2],[2,4],[4,8]]}"
    run(*data, f"data.normalize={numbers}", "study=given")
    folder = only_run("given")
    recorded = record_of(folder)
    assert [recorded["data"]["normalization"][key] for key in ("mean", "std")] == [OF_FRAMES["mean"], OF_FRAMES["std"]]
    run("action=evaluate", f"action.run={folder}")
    (evaluation,) = (folder / "evaluations").glob("*.json")
    scored = json.loads(evaluation.read_text())["metrics"]
    assert scored["mIoU"] == pytest.approx(recorded["metrics"]["test/mIoU"], abs=1e-6)
    run("action=predict", f"action.run={folder}", "action.input=chips/a_img.tif", "action.output=map.tif")
    assert Path("map.tif").exists()
