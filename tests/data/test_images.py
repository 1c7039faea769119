"""Rasters with one label each: a class by folder or table, several classes, numbers."""

import json

import numpy as np
import pytest
import torch

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from tests.kit.data_rasters import BANDS, image, write
from tests.kit.labelled_images import (
    SPLITS,
    by_name,
    classified,
    flat,
    folders,
    from_table,
    labels_of,
    measured,
    multilabel,
    ready,
    split_table,
    table,
)


def test_the_folder_of_an_image_is_its_class(tmp_path):
    data = ready(classified(folders(tmp_path)))
    assert data.target == Target("classification", ("forest", "water"))
    assert by_name(data) == {f"{c}/{i}.tif": k for k, c in enumerate(("forest", "water")) for i in range(5)}
    batch = next(iter(data.train_dataloader()))
    assert (batch["image"].shape, batch["image"].dtype) == ((4, 5, 16, 16), torch.float32)
    assert (batch["label"].shape, batch["label"].dtype) == ((4,), torch.int64)
    assert set(batch) == {"image", "label", "tile"}


def test_class_names_choose_the_order(tmp_path):
    data = ready(classified(folders(tmp_path), class_names=["water", "forest"]))
    assert by_name(data)["water/0.tif"] == 0


def test_the_description_counts_images_of_each_class(tmp_path):
    said = json.loads(json.dumps(ready(classified(folders(tmp_path))).describe()))
    assert sum(said["splits"][split]["labelled_images"] for split in SPLITS) == 10
    assert sum(said["splits"][split]["class_images"]["water"] for split in SPLITS) == 5
    assert (said["fit"], said["target"]["kind"]) == ("refuse", "classification")


def test_a_table_names_images_by_path_file_name_or_stem(tmp_path):
    write(tmp_path / "sub" / "chip_9.tif", image(9, 16, 16), BANDS)
    rows = [("chip_0.tif", "a"), ("chip_1", "b"), ("sub/chip_9.tif", "b"), ("elsewhere/chip_2.tif", "a")]
    data = ready(classified(table(flat(tmp_path), ("file", "label"), *rows), images="**/*.tif", table="labels.csv"))
    assert by_name(data) == {"chip_0.tif": 0, "chip_1.tif": 1, "sub/chip_9.tif": 1, "chip_2.tif": 0}


def test_columns_of_a_table_can_be_named(tmp_path):
    table(flat(tmp_path), ("label", "image", "land cover"), *[(0, f"chip_{i}", "ab"[i % 2]) for i in range(6)])
    data = from_table(tmp_path, file_column="image", label_column="land cover")
    assert data.class_names == ["a", "b"]


def test_fractions_draw_images_by_the_data_seed(tmp_path):
    folders(tmp_path)

    def members(**changes):
        data = classified(tmp_path, **changes)
        return {split: [data.scenes[region.scene].name for region in data.regions[split]] for split in SPLITS}

    assert [len(members()[split]) for split in SPLITS] == [6, 2, 2]
    assert members() == members()
    assert members() != members(seed=1)
    assert len({name for names in members().values() for name in names}) == 10


def test_a_column_split_of_the_table_says_where_images_belong(tmp_path):
    data = from_table(split_table(tmp_path))
    assert {split: len(data.regions[split]) for split in SPLITS} == {"train": 3, "val": 1, "test": 2}
    assert data.scenes[data.regions["val"][0].scene].name == "chip_3.tif"
    drawn = from_table(tmp_path, split=[0.34, 0.33, 0.33])
    assert {split: len(drawn.regions[split]) for split in SPLITS} == {"train": 2, "val": 2, "test": 2}


def test_split_files_choose_images(tmp_path):
    folders(tmp_path)
    lists = {"train": "forest/0.tif\nwater/0.tif\nforest/1.tif", "val": "file\nwater/1.tif", "test": "water/2"}
    for name, text in lists.items():
        (tmp_path / f"{name}.txt").write_text(text)
    data = classified(tmp_path, split_files={name: f"{name}.txt" for name in lists})
    assert sorted(scene.name for scene in data.scenes) == [
        "forest/0.tif",
        "forest/1.tif",
        "water/0.tif",
        "water/1.tif",
        "water/2.tif",
    ]
    assert [data.scenes[region.scene].name for region in data.regions["test"]] == ["water/2.tif"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"test": "lake/2.tif"}, r"The split file .*test\.txt: there is no image 'lake/2\.tif'"),
        ({"test": "2.tif"}, "'2.tif' stands for several images: forest/2.tif, water/2.tif"),
        ({"test": "water/0.tif"}, r"'water/0\.tif' is in data\.split_files\.train and again in .*test"),
    ],
)
def test_wrong_names_in_split_files_are_refused(tmp_path, lists, message):
    folders(tmp_path, count=3)
    for name, text in ({"train": "water/0.tif", "val": "water/1.tif"} | lists).items():
        (tmp_path / f"{name}.txt").write_text(text.replace("lake/2", "lake/22"))
    with pytest.raises(UserError, match=message.replace("lake/2\\", "lake/22\\")):
        classified(tmp_path, split_files={name: f"{name}.txt" for name in SPLITS})


def test_several_classes_are_columns_of_the_table(tmp_path):
    rows = [("chip_0", 1, 0), ("chip_1", 1, 1), ("chip_2", 0, ""), ("chip_3", "-1", 1), ("chip_4", 0, 0)]
    data = ready(multilabel(table(flat(tmp_path), ("file", "land", "water"), *rows)))
    assert data.target == Target("multilabel", ("land", "water"))
    assert by_name(data) == {
        "chip_0.tif": [1, 0],
        "chip_1.tif": [1, 1],
        "chip_2.tif": [0, -1],
        "chip_3.tif": [-1, 1],
        "chip_4.tif": [0, 0],
    }
    assert labels_of(data, "train").dtype == torch.int64


def test_several_classes_are_names_in_one_column(tmp_path):
    rows = [("chip_0", "water"), ("chip_1", "land; water"), ("chip_2", ""), ("chip_3", "land")]
    data = ready(multilabel(table(flat(tmp_path), ("file", "classes"), *rows), label_column="classes"))
    assert data.class_names == ["land", "water"]
    assert by_name(data)["chip_1.tif"] == [1, 1]
    assert by_name(data)["chip_2.tif"] == [0, 0]
    counts = [data.describe()["splits"][split]["class_images"]["water"] for split in SPLITS]
    assert sum(counts) == 2


def test_numbers_are_columns_of_the_table(tmp_path):
    rows = [(f"chip_{i}", 0.1 * i, "" if i == 2 else i) for i in range(6)]
    table(flat(tmp_path), ("file", "share", "yield"), *rows)
    one = ready(measured(tmp_path))
    assert (labels_of(one, "train").shape, labels_of(one, "train").dtype) == ((4,), torch.float32)
    two = ready(measured(tmp_path, variables=["share", "yield"]))
    assert labels_of(two, "train").shape == (4, 2)
    values = by_name(two)
    assert values["chip_3.tif"] == pytest.approx([0.3, 3.0])
    assert np.isnan(values["chip_2.tif"][1])
    training = np.array([values[two.scenes[region.scene].name] for region in two.regions["train"]])
    assert two.target.mean == pytest.approx(np.nanmean(training, axis=0))
    assert two.target.std == pytest.approx(np.nanstd(training, axis=0))
