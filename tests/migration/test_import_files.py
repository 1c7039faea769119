"""Folders and lists of TerraTorch's splits become one root with patterns and lists."""

from pathlib import Path

import numpy as np
import pytest

from geocompose.data.preflight import data_source, preflight
from tests.kit.terratorch_runs import FOLDERS, a_raster, a_run, call, composed, conf, decided, fate, translated, written

__all__ = ["conf"]


def test_a_folder_written_in_two_ways_is_one_and_hidden_files_are_none():
    for name in ("a_S2.tif", "b_S2.tif", ".c_S2.tif"):
        for split in ("train", "val"):
            place = Path(f"chips/{split}/images/{name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    shared = {"test_data_root": "./chips/val/images/", "test_label_data_root": "chips/val/labels/"}
    to = translated(a_run(data={**FOLDERS, **shared}))
    assert to.split_lists == {
        "train": ["train/images/a_S2.tif", "train/images/b_S2.tif"],
        "val": ["val/images/a_S2.tif"],
        "test": ["val/images/b_S2.tif"],
    }
    lists = {f"{split}_split": f"{'' if split == 'val' else './'}val.txt" for split in ("val", "test")}
    Path("val.txt").write_text("a\nb\n", encoding="utf-8-sig")
    listed = translated(a_run(data={**FOLDERS, "train_split": "train.txt", **lists}))
    assert listed.split_lists == {"val": ["a"], "test": ["b"]}


def test_classes_of_images_without_names_are_all_folders(conf):
    model = {"decoder": "IdentityDecoder", "decoder_channels": None, "decoder_num_convs": None, "head_dropout": None}
    roots = {f"{split}_data_root": f"images/{split}" for split in ("train", "val", "test")}
    arguments = {"module": "GenericNonGeoClassificationDataModule", "task": "ClassificationTask", "model_args": model}
    tree = a_run(**arguments, data={**roots, "output_bands": None, "means": None, "stds": None})
    for split in ("train", "val", "test"):
        for name in ("water", "forest"):
            place = Path(f"images/{split}/{name}/{split}.tiff")
            a_raster(place, np.full((3, 8, 8), len(place.as_posix())), ["BLUE", "GREEN", "RED"])
    call(conf, config=written(tree))
    config = composed(conf, "experiment=imported/flood")["data"]
    assert (config["class_names"], config["images"]) == (None, "*/*/*.tiff")
    assert Path(config["split_files"]["val"]).read_text() == "val/forest/val.tiff\nval/water/val.tiff\n"
    assert preflight(data_source(config), list).target.names == ("forest", "water")


def test_a_folder_for_each_split_becomes_one_root_with_lists(conf):
    for index, split in enumerate(("train", "train", "val", "test")):
        values = np.full((3, 8, 8), 1 + index)  # identical pixels in two splits are refused
        a_raster(Path(f"chips/{split}/images/c{index}_S2.tif"), values, ["BLUE", "GREEN", "RED"])
        a_raster(Path(f"chips/{split}/labels/c{index}_L.tif"), np.ones((1, 8, 8)))
    tree = a_run(data=FOLDERS)
    call(conf, config=written(tree))
    config = composed(conf, "experiment=imported/flood")
    assert (config["data"]["root"], config["data"]["images"], config["data"]["labels"]) == (
        "chips", "*/images/*_S2.tif", "*/labels/*_L.tif"
    )  # fmt: skip
    lists = config["data"]["split_files"]
    assert Path(lists["train"]).read_text() == "train/images/c0_S2.tif\ntrain/images/c1_S2.tif\n"
    assert preflight(data_source(config["data"]), list).inputs.bands == ("BLUE", "GREEN", "RED")


def test_splits_whose_folders_can_not_be_seen_are_those_that_folders_are_called_after_or_asked_for(conf, capsys):
    to = translated(a_run(data=FOLDERS))
    assert to.values["data"]["split"] == "folders"
    assert "split_files" not in to.values["data"]
    assert "an image is of the split that its folder is called after" in decided(to)
    assert fate(to, "train_data_root") == "carried: data.root, data.images, data.labels"
    others = {
        key: folder.replace("/train/", "/2019/").replace("/val/", "/2020/").replace("/test/", "/2021/")
        for key, folder in FOLDERS.items()
    }
    unseen = translated(a_run(data=others))
    assert "which split they belong to: chips/2019/images can't be seen from here" in fate(unseen, "train_data_root")
    call(conf, config=written(a_run(data=others)))
    asked = " ".join(capsys.readouterr().out.split())
    assert all(f"data.split_files.{split}=FILE" in asked for split in ("train", "val", "test"))
    Path("chips/2019/images").mkdir(parents=True)
    assert "chips/2019/images has no *_S2.tif;" in fate(translated(a_run(data=others)), "train_data_root")


def test_lists_of_splits_are_carried():
    one = {f"{split}_data_root": "data/img" for split in ("train", "val", "test")}
    one |= {f"{split}_label_data_root": "data/lab" for split in ("train", "val", "test")}
    lists = {f"{split}_split": f"splits/{split}.txt" for split in ("train", "val", "test")}
    to = translated(a_run(data={**one, **lists}))
    assert to.values["data"]["split_files"] == {split: f"splits/{split}.txt" for split in ("train", "val", "test")}
    assert (to.values["data"]["root"], to.values["data"]["images"], to.values["data"]["labels"]) == (
        "data",
        "img/*",
        "lab/*",
    )
    assert fate(translated(a_run(data=one)), "test_data_root").endswith(
        "several splits read one folder; data.split draws images for each"
    )


def test_one_folder_or_list_of_val_and_test_is_halved_and_told(conf):
    for split, names in (("train", "ab"), ("val", "cdefg")):
        for name in names:
            a_raster(Path(f"chips/{split}/images/{name}_S2.tif"), np.ones((3, 8, 8)), ["BLUE", "GREEN", "RED"])
    shared = {"test_data_root": "chips/val/images", "test_label_data_root": "chips/val/labels"}
    of_folder = translated(a_run(data={**FOLDERS, **shared}))
    assert of_folder.split_lists == {
        "train": ["train/images/a_S2.tif", "train/images/b_S2.tif"],
        "val": [f"val/images/{name}_S2.tif" for name in "ceg"],
        "test": [f"val/images/{name}_S2.tif" for name in "df"],
    }
    assert "val and test read one folder" in decided(of_folder)
    lists = {f"{split}_split": f"{'train' if split == 'train' else 'val'}.txt" for split in ("train", "val", "test")}
    absent = translated(a_run(data={**FOLDERS, **lists}))
    assert absent.values["data"]["split_files"] == {"train": "train.txt", "val": "???", "test": "???"}
    assert "make two lists, data.split_files.val and data.split_files.test" in fate(absent, "test_split")
    Path("val.txt").write_text("c\n\n d\nc\ne\n")
    listed = translated(a_run(data={**FOLDERS, **lists}))
    assert listed.split_lists == {"val": ["c", "e"], "test": ["d"]}
    assert listed.values["data"]["split_files"] == {"train": "train.txt"}
    assert "val and test read one list" in decided(listed)


@pytest.mark.parametrize(
    ("images", "labels", "found"),
    [
        (("train_images/", "val_images/"), ("train_labels/", "val_labels/"), ("d", "*_images/*.tif", "*_labels/*.tif")),
        (("a/x/im", "b/im"), ("a/x/lab", "b/lab"), ("d", "**/im/*.tif", "**/lab/*.tif")),
        (("im_2020-a", "im_2021-a"), ("lab_2020", "lab_2021"), ("d", "im_*-a/*.tif", "lab_*/*.tif")),
    ],
    ids=["words of a name", "different depth", "several words"],
)
def test_one_grep_of_images_and_labels_finds_them_in_folders_of_different_names(images, labels, found):
    folders = {
        f"{split}{part}_data_root": f"d/{names[place]}"
        for part, names in (("", images), ("_label", labels))
        for split, place in (("train", 0), ("val", 1), ("test", 1))
    }
    data = translated(a_run(data={**folders, "img_grep": "*.tif", "label_grep": "*.tif"})).values["data"]
    assert (data["root"], data["images"], data["labels"]) == found


@pytest.mark.parametrize(
    ("images", "labels", "greps"),
    [("d/a", "d/a", ("*", "*")), ("d/a", "d/a", ("*_S2.tif", "*.tif")), ("d/{}1", "d/{}2", ("*", "*"))],
    ids=["one folder", "one pattern within the other", "folders that share no word"],
)
def test_images_and_labels_that_no_pattern_tells_apart_are_asked_for(images, labels, greps, conf, capsys):
    folders = {
        f"{split}{part}_data_root": folder.format(split)
        for part, folder in (("", images), ("_label", labels))
        for split in ("train", "val", "test")
    }
    tree = a_run(data={**folders, "img_grep": greps[0], "label_grep": greps[1]})
    assert "write these as data.images and data.labels" in fate(translated(tree), "img_grep")
    call(conf, config=written(tree))
    assert "data.images=PATTERN data.labels=PATTERN" in " ".join(capsys.readouterr().out.split())


def test_folders_of_different_depth_are_found_below_their_shared_one():
    uneven = {"train_data_root": "/d/a", "val_data_root": "/d/b/c", "test_data_root": "/d/e"}
    to = translated(a_run(data={**uneven, "img_grep": "*.tif", "label_grep": "*.png"}))
    assert (to.values["data"]["root"], to.values["data"]["images"]) == ("/d", "**/*.tif")
