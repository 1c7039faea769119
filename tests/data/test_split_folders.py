"""Folders train/, val/ and test/ with files of equal names: paired, split, listed and dated without a mistake."""

import numpy as np
import pytest

from geocompose.data.split import SPLITS
from geocompose.errors import UserError
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, image, label, write
from tests.kit.labelled_images import by_name, classified, ready, table

PATTERNS = {"images": "*/images/*.tif", "labels": "*/labels/*.tif"}


def in_folders(root, folders=SPLITS, count=2, **patterns):
    for f, folder in enumerate(folders):
        for i in range(count):
            write(root / folder / "images" / f"{i}.tif", image(10 * f + i), BANDS)
            write(root / folder / "labels" / f"{i}.tif", label(10 * f + i))
    return root


def of(root, **changes):
    given = {"root": str(root), "class_names": ["land", "water"], "tile_px": 16, "batch_size": 4, "dihedral": False}
    return geotiff(**(given | PATTERNS | changes))


def names(data):
    return {split: [data.scenes[region.scene].name for region in data.regions[split]] for split in SPLITS}


def check_pairs(data):
    """Each image has the label that was made with it."""
    for scene in data.scenes:
        folder, _, file = scene.name.split("/")
        seed = 10 * [*SPLITS].index(folder) + int(file[0])
        whole = data.regions["train"][0].window
        assert np.array_equal(scene.read_label(whole), label(seed)), scene.name
        assert np.array_equal(scene.read_image(whole, [0])[0][0], image(seed)[0]), scene.name


def test_folders_are_the_splits_and_files_of_equal_names_are_told_apart(tmp_path):
    data = of(in_folders(tmp_path), split="folders")
    assert names(data) == {split: [f"{split}/images/{i}.tif" for i in range(2)] for split in SPLITS}
    check_pairs(data)
    ready(data)


@pytest.mark.parametrize("folders", [("training", "validation", "testing"), ("Train", "dev", "TEST")])
def test_usual_names_of_the_folders_are_understood(tmp_path, folders):
    found = names(of(in_folders(tmp_path, folders), split="folders"))
    assert [found[split][0].split("/")[0] for split in SPLITS] == list(folders)


def test_folders_below_the_kind_of_file_are_understood(tmp_path):
    for f, split in enumerate(SPLITS):
        write(tmp_path / "images" / split / "a.tif", image(f), BANDS)
        write(tmp_path / "labels" / split / "a.tif", label(f))
    for patterns in ({"images": "images/*/*.tif", "labels": "labels/*/*.tif"},) * 1 + (
        {"images": "images/**/*.tif", "labels": "labels/**/*.tif"},
    ):
        found = names(of(tmp_path, split="folders", **patterns))
        assert found == {split: [f"images/{split}/a.tif"] for split in SPLITS}


def test_equal_names_are_split_by_fractions_and_by_lists_of_paths(tmp_path):
    root = in_folders(tmp_path)
    check_pairs(of(root))
    for split in SPLITS:
        (root / f"{split}.txt").write_text(f"{split}/images/0.tif\n{split}/images/1")
    lists = {split: f"{split}.txt" for split in SPLITS}
    assert names(of(root, split_files=lists)) == names(of(root, split="folders"))
    (root / "val.txt").write_text("1.tif")
    with pytest.raises(UserError, match=r"'1\.tif', which stands for several images: .*path relative to data.root"):
        of(root, split_files=lists)


def test_further_rasters_are_those_of_the_same_folder(tmp_path):
    root = in_folders(tmp_path)
    for f, split in enumerate(SPLITS):
        for i in range(2):
            write(root / split / "s1" / f"{i}.tif", image(100 + 10 * f + i, bands=1), ["VV"])
    data = of(root, split="folders", more_images=[{"images": "*/s1/*.tif"}])
    for f, split in enumerate(SPLITS):
        region = data.regions[split][1]
        pixels, _ = data.scenes[region.scene].read_image(region.window, [len(BANDS)])
        assert np.array_equal(pixels[0], image(101 + 10 * f, bands=1)[0])


def test_dates_of_equal_names_are_told_apart_by_their_paths(tmp_path):
    root = in_folders(tmp_path, count=1)
    rows = [(f"{split}/images/0.tif", f"2020-01-0{i + 1}") for i, split in enumerate(SPLITS)]
    table(root, ("file", "date"), *rows, name="dates.csv")
    assert of(root, split="folders", dates="dates.csv").inputs.coordinates == ("time",)
    table(root, ("file", "date"), *[("0.tif", date) for _, date in rows], name="dates.csv")
    with pytest.raises(UserError, match="stands for several images"):
        of(root, split="folders", dates="dates.csv")


def test_images_with_a_class_by_folder_are_split_by_the_folder_above(tmp_path):
    for f, split in enumerate(SPLITS):
        for c, name in enumerate(("forest", "water")):
            write(tmp_path / split / name / "a.tif", image(10 * f + c, 16, 16), BANDS)
    data = ready(classified(tmp_path, images="*/*/*.tif", split="folders"))
    assert by_name(data) == {
        f"{split}/{name}/a.tif": c for split in SPLITS for c, name in enumerate(("forest", "water"))
    }


@pytest.mark.parametrize(
    ("folders", "changes", "message"),
    [
        (("train", "val"), {}, "no image in a folder test"),
        (("train", "val", "test", "more"), {}, r"more/images/0\.tif has no folder"),
        (("train", "val", "test/val"), {"images": "**/images/*.tif", "labels": "**/labels/*.tif"}, "folders of two"),
        (SPLITS, {"split_files": dict.fromkeys(SPLITS, "a.txt")}, "exclude each other"),
        (SPLITS, {"split_buffer_px": 4}, "beside data.split=folders"),
    ],
)
def test_folders_that_are_no_splits_are_refused(tmp_path, folders, changes, message):
    with pytest.raises(UserError, match=message):
        of(in_folders(tmp_path, folders), split="folders", **changes)
