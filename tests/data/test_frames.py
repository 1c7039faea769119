"""Rasters of several time steps: read, checked, normalised, trained on, drawn and predicted."""

import numpy as np
import pytest
import rasterio
import torch

from geocompose.data.baselines.raw_values import image_features
from geocompose.data.baselines.rules import run_baselines
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.samples import Inputs
from tests.kit.command import only_run, record_of, run
from tests.kit.data_modules import geotiff, geotiff_classification
from tests.kit.data_rasters import arguments, image, label, write
from tests.kit.made_runs import trained

BANDS = ["BLUE", "GREEN", "RED"]
FRAMES = 2
HEIGHT, WIDTH = 40, 60


def series(root, *names, nodata=None, height=HEIGHT, width=WIDTH):
    """Write rasters of two frames of three bands, and labels; return the pixels (bands, frames, rows, columns)."""
    made = []
    for seed, name in enumerate(names):
        pixels = image(seed, height, width, bands=len(BANDS) * FRAMES)
        write(root / f"{name}_img.tif", pixels, nodata=nodata)
        write(root / f"{name}_lab.tif", label(seed, height, width))
        made.append(pixels.reshape(FRAMES, len(BANDS), height, width).swapaxes(0, 1))
    return made


def opened(root, **changes):
    return geotiff(**arguments(root, **{"band_names": BANDS, "num_frames": FRAMES, "baselines": [], **changes}))


def loaded(root, **changes):
    data = opened(root, **changes)
    data.setup()
    return data


def test_a_raster_of_frames_is_read_frame_after_frame(tmp_path):
    (pixels, *_) = series(tmp_path, "a", "b", "c")
    for cache_mb in (0, 100):
        data = loaded(tmp_path, cache_mb=cache_mb)
        assert data.inputs == Inputs(tuple(BANDS), 16, FRAMES)
        got, valid = data.scenes[0].read_image(Window(3, 5, 10, 8), [2, 0])
        assert got.shape == (2, FRAMES, 10, 8)
        assert np.array_equal(got, pixels[[2, 0], :, 3:13, 5:13])
        assert valid.shape == (10, 8)


def test_statistics_are_a_bands_over_all_frames(tmp_path):
    made = series(tmp_path, "a", "b", "c")
    data = loaded(tmp_path, bands=["RED", "BLUE"])
    training = np.concatenate([made[region.scene].reshape(3, -1) for region in data.regions["train"]], axis=1)
    assert data.mean == pytest.approx(training[[2, 0]].mean(1))
    assert data.std == pytest.approx(training[[2, 0]].std(1))
    assert data.describe()["num_frames"] == FRAMES


def test_batches_have_the_frames_between_channels_and_rows(tmp_path):
    made = series(tmp_path, "a", "b", "c")
    data = loaded(tmp_path)
    batch = next(iter(data.in_order("test")))
    assert batch["image"].shape == (4, 3, FRAMES, 16, 16)
    place = data.tile_windows("test")[0]
    rows, columns = place.window.slices
    mean, std = (np.array(values).reshape(3, 1, 1, 1) for values in (data.mean, data.std))
    expected = (made[place.scene][:, :, rows, columns] - mean) / std
    np.testing.assert_allclose(batch["image"][0], expected, atol=1e-5)
    last = data.in_order("test").dataset[len(data.tile_windows("test")) - 1]["image"]  # cut off below and at the right
    assert last.shape == (3, FRAMES, 16, 16)
    assert (last[..., 8:, :] == 0).all()


def test_nodata_in_one_frame_is_nodata(tmp_path):
    made = series(tmp_path, "a", "b", "c", nodata=-1.0)
    with rasterio.open(tmp_path / "a_img.tif", "r+") as file:
        file.write(np.full((1, 1), -1, "float32"), 5, window=rasterio.windows.Window(4, 3, 1, 1))
    data = loaded(tmp_path)
    _, valid = data.scenes[0].read_image(Window(0, 0, 10, 10), [1])
    assert np.argwhere(~valid).tolist() == [[3, 4]]  # band 5 of the file is the second frame's second
    assert data.scenes[0].read_image(Window(0, 0, 10, 10), [0])[1].all()
    assert len(made) == 3


def test_an_undeclared_nan_names_its_frame(tmp_path):
    series(tmp_path, "a", "b", "c")
    with rasterio.open(tmp_path / "a_img.tif", "r+") as file:
        file.write(np.full((1, 1), np.nan, "float32"), 6, window=rasterio.windows.Window(4, 3, 1, 1))
    with pytest.raises(UserError, match=r"a_img\.tif has the value nan in band 'RED' of frame 2 at row 3, column 4 "):
        loaded(tmp_path)


def test_augmentation_moves_all_frames_and_the_mask_alike(tmp_path):
    pixels = np.arange(HEIGHT * WIDTH, dtype="float32").reshape(1, HEIGHT, WIDTH)
    for name in "abc":
        write(tmp_path / f"{name}_img.tif", np.concatenate([pixels, -pixels]))
        write(tmp_path / f"{name}_lab.tif", (pixels[0] % 2).astype("int16"))
    given = {"band_names": ["BLUE"], "dihedral": True, "normalize": "none", "tile_px": 20, "allow_overlap": True}
    data = loaded(tmp_path, **given)
    for seed in range(6):
        sample = data.train_dataloader().dataset[1, seed]
        first, second = sample["image"][0]
        assert torch.equal(first, -second)
        assert torch.equal(first.long() % 2, sample["mask"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 4},
            r"a_img\.tif has 6 bands, which can't be 4 frames of as many bands each \(data\.num_frames\)"),
        ({"num_frames": 3},
            r"a_img\.tif has 6 bands, but data\.band_names has 3 names \(BLUE, GREEN, RED\), which in 3 frames .* are "
            r"9"),
        ({"num_frames": 1}, r"Are these 2 frames of 3 bands\? Then write data\.num_frames=2\."),
        ({"num_frames": 0}, r"data\.num_frames=0 must be 1 or more"),
        ({"band_names": None}, r"6 bands without names"),
        ({"baselines": ["ndwi"]}, r"The baseline ndwi is for images of one frame; these have 2 \(data\.num_frames\)"),
        ({"dates": "file_name"},
            r"data\.dates=file_name gives one date per image, and an image has 2 frames.*columns file, date_1, date_2"),
    ],
)  # fmt: skip
def test_frames_that_do_not_fit_are_refused(tmp_path, changes, message):
    series(tmp_path, "a", "b", "c")
    with pytest.raises(UserError, match=message):
        opened(tmp_path, **changes)


def test_the_files_own_names_are_those_of_a_frame(tmp_path):
    for names in (["BLUE", "RED"] * 2, ["BLUE", "RED", "BLUE", "GREEN"]):
        for name in "abc":
            write(tmp_path / f"{name}_img.tif", image(bands=4), names)
            write(tmp_path / f"{name}_lab.tif", label())
        if names[3] == "RED":
            assert opened(tmp_path, band_names=None).band_names == ["BLUE", "RED"]
        else:
            with pytest.raises(UserError, match="don't have the same names in every frame"):
                opened(tmp_path, band_names=None)
            continue
        with pytest.raises(UserError, match=r"each of BLUE, RED 2 times. Are these 2 frames, .* data\.num_frames=2"):
            opened(tmp_path, band_names=None, num_frames=1)


def test_dates_have_a_column_for_each_frame(tmp_path):
    series(tmp_path, "a", "b", "c")
    rows = [
        "file,date_1,date_2",
        "a_img.tif,2022-01-01,2022-04-11",
        "b_img.tif,2021-12-31,",
        "c_img.tif,2020-02-29,2020-03-01",
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    data = loaded(tmp_path, dates="t.csv")
    dates = {scene.name: data._collection.coordinates.dates[i] for i, scene in enumerate(data.scenes)}
    assert dates["a_img.tif"].tolist() == [[2022, 0], [2022, 100]]
    assert dates["b_img.tif"][0].tolist() == [2021, 364]
    assert np.isnan(dates["b_img.tif"][1]).all()
    assert next(iter(data.in_order("test")))["temporal_coords"].shape == (4, FRAMES, 2)


def test_a_pixels_baseline_reads_the_bands_of_all_frames(tmp_path):
    for seed, name in enumerate("abc"):
        pixels = image(seed, bands=2)
        write(tmp_path / f"{name}_img.tif", pixels)
        write(tmp_path / f"{name}_lab.tif", (pixels[1] > 1500).astype("int16"))  # the second frame alone knows
    data = loaded(tmp_path, band_names=["BLUE"])
    values, _ = data.pixels("train", 50)
    assert values.shape == (50, 2)
    (result,) = run_baselines(data, ["logistic"])
    assert result["metrics"]["mIoU"] > 0.9


def test_images_with_one_label_have_features_of_all_frames_and_shrink_with_them(tmp_path):
    for index in range(8):
        write(tmp_path / "ab"[index % 2] / f"{index}.tif", image(index, 24, 24, bands=4), ["RED", "BLUE"] * 2)
    data = geotiff_classification(root=str(tmp_path), num_frames=2, tile_px=16, fit="resize")
    data.setup()
    assert data.in_order("train").dataset[0]["image"].shape == (2, 2, 16, 16)
    assert image_features(data, "train")[0].shape[1] == 2 * 2 * 2
    assert len(run_baselines(data, ["logistic"])) == 1


def test_files_count_the_same(tmp_path):
    series(tmp_path, "a", "b", "c")
    assert len(GeoTiffSegmentation(**arguments(tmp_path), num_frames=2).input_files) == 6


SMALL = (
    "decoder=fcn", "decoder.channels=8", "decoder.num_convs=1", "data=geotiff", "data.images=*_img.tif",
        "data.labels=*_lab.tif",
    "data.class_names=[land,water]", "data.tile_px=32", "trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=csv",
    "trainer.progress_bar=false", f"data.band_names=[{','.join(BANDS)}]", f"data.num_frames={FRAMES}",
)  # fmt: skip
PRITHVI = (
    "backbone=prithvi", "backbone.embed_dim=48", "backbone.depth=2", "backbone.num_heads=4", "backbone.img_size=32",
    f"backbone.num_frames={FRAMES}",
)  # fmt: skip


def test_a_run_of_several_frames_is_trained_drawn_evaluated_and_predicted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    made = series(root, "a", "b", "c")
    (root / "t.csv").write_text("file,date_1,date_2\n" + "".join(f"{n}_img.tif,2022-01-01,2022-02-01\n" for n in "abc"))
    run(*SMALL, *PRITHVI, f"data.root={root}", "data.dates=t.csv", figures=True)
    folder = only_run("default")
    record = record_of(folder)
    assert (record["data"]["num_frames"], record["data"]["coordinates"]) == (FRAMES, ["time"])
    assert (folder / "figures" / "samples.png").is_file()
    assert [row["name"] for row in record["baselines"]] == ["logistic"]
    run("action=evaluate", f"action.run={folder}")
    with pytest.raises(
        UserError, match=r"The run was trained with 2 frames per image; this data has 1 \(data\.num_frames\)"
    ):
        run(
            "action=evaluate", f"action.run={folder}",
            "action.data={num_frames: 1, dates: null, band_names: [BLUE, GREEN, RED, a, b, c]}",
        )  # fmt: skip
    run(
        "action=predict", f"action.run={folder}", f"action.input={root}/a_img.tif", "action.output=a.tif",
        "action.kind=probabilities", "action.overlap_px=0", "action.date=[2022-01-01,2022-02-01]",
    )  # fmt: skip
    for asked, message in (
        (
            "action.date=2022-01-01",
            r"action\.date=\[2022-01-01\] has 1 date; an image of this run has 2 .* Write 'action\.date=\[2022",
        ),
        (
            "action.date=file_name",
            r"action\.date=file_name gives one date; an image of this run has 2 .* columns file, date_1, date_2",
        ),
    ):
        with pytest.raises(UserError, match=message):
            run(
                "action=predict", f"action.run={folder}", f"action.input={root}/a_img.tif", "action.output=c.tif", asked
            )
    with rasterio.open("a.tif") as file:
        probabilities = file.read()
    mean, std = (np.array(record["data"]["normalization"][key]).reshape(3, 1, 1, 1) for key in ("mean", "std"))
    batch = torch.from_numpy((made[0][:, :, :32, :32] - mean) / std).float()[None]
    with torch.inference_mode():
        output = trained(folder).model(batch, torch.tensor([[[2022.0, 0.0], [2022.0, 31.0]]])).output
    np.testing.assert_allclose(probabilities[:, :8, :28], output.softmax(1)[0, :, :8, :28], atol=1e-5)
    write(tmp_path / "five.tif", image(bands=5))
    with pytest.raises(
        UserError,
        match=r"five\.tif has 5 bands, which can't be 2 frames of .*\. The model needs 2 frames of BLUE, GREEN, RED",
    ):
        run(
            "action=predict", f"action.run={folder}", "action.input=five.tif", "action.output=b.tif", "action.date=none"
        )


@pytest.mark.parametrize("dated", [True, False])
def test_patches_over_several_frames_are_trained_and_predicted_with_a_date_for_each_frame(dated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    series(root, "a", "b", "c")
    (root / "t.csv").write_text("file,date_1,date_2\n" + "".join(f"{n}_img.tif,2022-01-01,2022-02-01\n" for n in "abc"))
    dates = ["data.dates=t.csv"] if dated else []
    run(*SMALL, *PRITHVI, "backbone.patch_size=[2,16,16]", f"data.root={root}", *dates)
    folder = only_run("default")
    assert record_of(folder)["status"] == "completed"
    run(
        "action=predict", f"action.run={folder}", f"action.input={root}/a_img.tif", "action.output=a.tif",
        *(["action.date=[2022-01-01,2022-02-01]"] if dated else []),
    )  # fmt: skip
    model, batch = trained(folder).model, torch.zeros(1, len(BANDS), FRAMES, 32, 32)
    assert model.encoder.grid == (1, 2, 2)
    with torch.inference_mode():
        january, july = (
            model(batch, torch.tensor([[[2022.0, day], [2022.0, day + 30]]]) if dated else None).output
            for day in (0.0, 180.0)
        )
    assert torch.equal(january, july) is not dated


def test_several_frames_go_through_an_image_backbone_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    series(tmp_path / "data", "a", "b", "c")
    run(*SMALL, "backbone=timm", "backbone.name=test_resnet", "temporal=mean", f"data.root={tmp_path}/data")
    assert record_of(only_run("default"))["status"] == "completed"
