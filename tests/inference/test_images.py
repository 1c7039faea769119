"""Tables of images: found by name, prepared as in training, one row each, written whole or not at all."""

import csv
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geocompose.data.fitting import fitted_image
from geocompose.data.labels.classification import ClassificationLabels
from geocompose.data.planes import Planes
from geocompose.data.tiles import TileDataset
from geocompose.data.window import Region, Window
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.imagery.units import Conversion
from geocompose.inference.batch_choice import Batch
from geocompose.inference.images import TableSummary, predict_images
from geocompose.inference.listing import ImageFile, list_images
from tests.kit.inference_rasters import reading, write

CLASSES = Target("classification", ("dry", "wet"))
SEVERAL = Target("multilabel", ("water", "forest"))
SHARE = Target("scalar_regression", ("share",), mean=(0.5,), std=(0.25,))
PAIR = Target("scalar_regression", ("share", "depth"), mean=(0.5, 10.0), std=(0.25, 2.0))


def table(model: Any, folder: Path, out: Path, **changed: Any) -> TableSummary:
    arguments: dict[str, Any] = {
        "target": CLASSES,
        "content": "classes",
        "reading": reading(changed, "RED", "GREEN"),
        "tile_px": 8,
        "fit": "refuse",
        "batch_size": 2,
    }
    return predict_images(model, list_images(str(folder)), out, **{**arguments, **changed})


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def band_means(images: torch.Tensor) -> torch.Tensor:
    return images.mean(dim=(2, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images whose second band is the larger one, the smaller one, and missing data only."""
    for name, red, green in (("a.tif", 1, 3), ("b/c.TIF", 5, 2), ("d.tiff", 0, 0)):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, np.stack([np.full((8, 8), red), np.full((8, 8), green)]).astype("uint8"), ["B4", "B3"], nodata=0)
    return tmp_path / "images"


def test_a_class_an_image_is_written_by_name(folder, tmp_path):
    summary = table(band_means, folder, tmp_path / "out" / "t.csv")
    assert rows(tmp_path / "out" / "t.csv") == [["file", "class"], ["a.tif", "wet"], ["b/c.TIF", "dry"], ["d.tiff", ""]]
    assert summary == TableSummary(images=3, batch=Batch(2), without_data=1, classes={"dry": 1, "wet": 1}, variables={})


def test_probabilities_stand_beside_the_class(folder, tmp_path):
    table(band_means, folder, tmp_path / "t.csv", content="probabilities")
    header, first, second, third = rows(tmp_path / "t.csv")
    assert header == ["file", "class", "probability_dry", "probability_wet"]
    assert first[:2] == ["a.tif", "wet"]
    np.testing.assert_allclose([float(p) for p in first[2:]], torch.tensor([1.0, 3.0]).softmax(0), atol=1e-6)
    assert second[1] == "dry"
    assert third == ["d.tiff", "", "", ""]


def test_several_classes_are_a_column_of_0_and_1_each(folder, tmp_path):
    centred = {"mean": [2.0, 2.5], "target": SEVERAL}
    summary = table(band_means, folder, tmp_path / "t.csv", **centred)
    assert rows(tmp_path / "t.csv")[:3] == [["file", "water", "forest"], ["a.tif", "0", "1"], ["b/c.TIF", "1", "0"]]
    assert summary.classes == {"water": 1, "forest": 1}
    table(band_means, folder, tmp_path / "t.csv", **centred, content="probabilities")
    header, first, *_ = rows(tmp_path / "t.csv")
    assert header == ["file", "probability_water", "probability_forest"]
    np.testing.assert_allclose([float(p) for p in first[1:]], torch.tensor([-1.0, 0.5]).sigmoid(), atol=1e-6)


def test_numbers_are_a_column_a_variable_in_the_physical_unit(folder, tmp_path):
    summary = table(band_means, folder, tmp_path / "t.csv", target=PAIR, content="values")
    assert rows(tmp_path / "t.csv") == [
        ["file", "share", "depth"],
        ["a.tif", "0.75", "16.0"],
        ["b/c.TIF", "1.75", "14.0"],
        ["d.tiff", "", ""],
    ]
    assert summary.variables["depth"] == (14.0, 15.0, 16.0)
    table(lambda images: images.mean(dim=(1, 2, 3)), folder, tmp_path / "t.csv", target=SHARE, content="values")
    assert rows(tmp_path / "t.csv")[:2] == [["file", "share"], ["a.tif", "1.0"]]


class OneImage:
    """A scene of one image with nodata 0, as training reads it."""

    name = "one"

    def __init__(self, raw: np.ndarray) -> None:
        self.raw = raw.astype("float32")

    def read_planes(self, window: Window, bands: list[int]) -> Planes:
        return Planes(self.raw[bands], [Conversion(None)] * len(bands), (self.raw[bands] != 0).all(axis=0))

    def masked_frames(self, bands: list[int]) -> tuple[int, ...]:
        return ()

    def read_label(self, window: Window) -> np.ndarray:
        return np.array(0)


def test_what_the_model_sees_is_what_it_saw_in_training(tmp_path):
    """Bands by name, filled, normalised, padded: the same sample to the last bit."""
    raw = np.random.default_rng(0).integers(1, 3000, (3, 6, 7)).astype("int16")
    raw[1, 2, 3] = 0
    write(tmp_path / "i.tif", raw, ["B8A", "B4", "B3"], nodata=0)
    seen = []

    def record(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return band_means(images)

    mean, std = [700.3, 911.7], [333.3, 77.1]
    table(record, tmp_path / "i.tif", tmp_path / "t.csv", bands=["RED", "NIR_NARROW"], mean=mean, std=std)
    window = Region(0, Window(0, 0, 6, 7))
    training = TileDataset([OneImage(raw)], [[1, 0]], [window], 8, mean, std, ClassificationLabels(["a", "b"]))
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0][0], training[0]["image"])


@pytest.mark.parametrize(("height", "width"), [(20, 12), (9, 3), (1, 40)])
def test_larger_images_are_refused_cropped_or_scaled(tmp_path, height, width):
    raw = np.random.default_rng(1).normal(size=(2, height, width)).astype("float32")
    write(tmp_path / "large.tif", raw, ["RED", "GREEN"])
    seen = []

    def record(images: torch.Tensor) -> torch.Tensor:
        seen.append(images[0].numpy())
        return band_means(images)

    refusal = rf"large.tif has {height} x {width} pixels.* at most 8 x 8\. Write action\.fit=crop .* action\.fit=resize"
    with pytest.raises(UserError, match=refusal):
        table(record, tmp_path / "large.tif", tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()
    table(record, tmp_path / "large.tif", tmp_path / "t.csv", fit="crop")
    row, column = (max(0, (size - 8) // 2) for size in (height, width))
    centre = raw[:, row : row + 8, column : column + 8]
    np.testing.assert_array_equal(seen[0][:, : centre.shape[1], : centre.shape[2]], centre)
    assert not seen[0][:, centre.shape[1] :].any()
    assert not seen[0][:, :, centre.shape[2] :].any()
    table(record, tmp_path / "large.tif", tmp_path / "t.csv", fit="resize")
    np.testing.assert_array_equal(seen[1], fitted_image(raw, 8))


def test_an_image_of_which_only_what_is_cut_off_has_data_is_without_data(tmp_path):
    raw = np.ones((2, 12, 12), dtype="uint8")
    raw[:, 2:10, 2:10] = 0
    write(tmp_path / "i.tif", raw, ["RED", "GREEN"], nodata=0)
    summary = table(band_means, tmp_path / "i.tif", tmp_path / "t.csv", fit="crop")
    assert summary.without_data == 1


def test_images_come_in_batches_of_one_size_whatever_their_own(folder, tmp_path):
    write(folder / "small.tif", np.ones((2, 1, 3), dtype="uint8"), ["RED", "GREEN"])
    sizes, steps = [], []

    def record(images: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(images.shape))
        return band_means(images)

    table(record, folder, tmp_path / "t.csv", progress=lambda *step: steps.append(step))
    assert sizes == [(2, 2, 8, 8), (1, 2, 8, 8)]
    assert steps == [(2, 4), (4, 4)]


# --- nothing half-written, and what a user may get wrong --------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_table_leaves_the_earlier_one(folder, tmp_path, error):
    table(band_means, folder, tmp_path / "t.csv")
    before = (tmp_path / "t.csv").read_bytes()

    def interrupt(done: int, total: int) -> None:
        raise error

    with pytest.raises(error):
        table(lambda images: -band_means(images), folder, tmp_path / "t.csv", progress=interrupt)
    assert (tmp_path / "t.csv").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["images", "t.csv"]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_image_with_an_undeclared_nan_is_named_with_the_place(tmp_path, bad):
    raw = np.ones((2, 8, 8), dtype="float32")
    raw[1, 3, 4] = bad
    write(tmp_path / "bad.tif", raw, ["RED", "GREEN"])
    with pytest.raises(UserError, match=rf"bad\.tif has the value {bad} in band 'GREEN' at row 3, column 4"):
        table(band_means, tmp_path / "bad.tif", tmp_path / "t.csv")
    assert os.listdir(tmp_path) == ["bad.tif"]


def test_an_image_without_the_bands_is_named(folder, tmp_path):
    with pytest.raises(UserError, match=r"a\.tif has no band 'NIR_NARROW'"):
        table(band_means, folder, tmp_path / "t.csv", bands=["RED", "NIR_NARROW"])


def test_an_answer_that_is_no_number_names_the_image(folder, tmp_path):
    with pytest.raises(UserError, match=r"NaN or infinity for a\.tif\. Its training may have diverged"):
        table(lambda images: band_means(images) * math.nan, folder, tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("out", "changed", "message"),
    [
        ("t.tif", {}, r"written as a table: .*t\.tif should end with \.csv"),
        ("images", {}, r"is a folder\. Name the file to write in it, such as .*prediction\.csv"),
        ("images/a.tif/t.csv", {}, "can't be made"),
        ("t.csv", {"batch_size": 0}, "action.batch_size=0: write how many images"),
        ("t.csv", {"target": Target("classification", ("one", "one"))}, "Two classes have one name"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(folder, tmp_path, out, changed, message):
    with pytest.raises(UserError, match=message):
        table(None, folder, tmp_path / out, **changed)


def test_images_are_found_by_file_folder_or_pattern(folder):
    names = ["a.tif", "b/c.TIF", "d.tiff"]
    assert list_images(str(folder)) == [ImageFile(name, str(folder / name)) for name in names]
    assert list_images(str(folder / "a.tif")) == [ImageFile("a.tif", str(folder / "a.tif"))]
    (folder / "notes.txt").write_text("not an image")
    assert [image.name for image in list_images(f"{folder}/*.tif")] == ["a.tif"]
    assert [image.name for image in list_images(f"{folder}/**/*.[tT][iI]*")] == names
    assert [image.name for image in list_images(f"{folder}/?/*")] == ["b/c.TIF"]
    assert list_images("s3://bucket/a.tif") == [ImageFile("s3://bucket/a.tif", "s3://bucket/a.tif")]


def test_images_that_are_not_there_are_refused_with_what_to_write(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: this folder holds no \.tif or \.tiff\. Write a pattern"):
        list_images(str(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"no raster or folder .*imags\. Did you mean .*images\?"):
        list_images(str(tmp_path / "imags"))
    with pytest.raises(UserError, match=r"\*\.jp2 matches no file"):
        list_images(f"{folder}/*.jp2")
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        list_images(str(tmp_path / "nowhere" / "*.tif"))
