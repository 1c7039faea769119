"""Empty cells, paths into archives and lists of codes: each is answered in words that say what to do."""

import numpy as np
import pytest

from geocompose.data.sources import GeoTiffSegmentation
from geocompose.errors import UserError
from tests.kit.command import run
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, tag, write
from tests.kit.labelled_images import flat, from_table, measured, table

SPLIT = ("train", "train", "train", "val", "test", "test")


def rows(labels):
    return [(f"chip_{i}", label, SPLIT[i]) for i, label in enumerate(labels)]


def test_an_empty_class_cell_leaves_its_image_out_where_unlisted_labels_are_ignored(tmp_path, caplog):
    root = table(flat(tmp_path), ("file", "label", "split"), *rows(["a", "b", "", "a", "b", "a"]))
    with pytest.raises(UserError, match=r"line 4: chip_2\.tif has no label\..*data\.unlisted_labels=ignore"):
        from_table(root, class_names=["a", "b"])
    data = from_table(root, class_names=["a", "b"], label_values=["a", "b"], unlisted_labels="ignore")
    data.setup()
    assert "Left out: images without a label or without data: 1 of 3 in train (chip_2.tif" in caplog.text
    assert data.describe()["splits"]["train"]["left_out"]["tiles_without_label"] == 1


def test_an_empty_number_is_no_label_either_and_is_said(tmp_path, caplog):
    root = table(flat(tmp_path), ("file", "share", "split"), *rows([0.1, 0.5, "", 0.2, 0.3, 0.9]))
    measured(root).setup()
    assert "1 of 3 in train (chip_2.tif" in caplog.text


def test_a_path_into_an_archive_in_a_table_or_list_is_answered_with_the_remedy(tmp_path):
    # A file of the same name in the folder is another one.
    name = "/vsizip/chips.zip/chip_0.tif"
    table(flat(tmp_path), ("file", "label"), (name, "a"), ("chip_1", "b"), ("chip_2", "b"))
    with pytest.raises(UserError, match=r"line 2: .*only a prediction reads.*write a VRT"):
        from_table(tmp_path)
    for key in "abc":
        write(tmp_path / f"{key}_img.tif", image(), BANDS)
        write(tmp_path / f"{key}_lab.tif", label())
        (tmp_path / f"{key}.txt").write_text("/vsizip/chips.zip/a_img.tif")
    lists = {"train": "a.txt", "val": "b.txt", "test": "c.txt"}
    with pytest.raises(UserError, match=r"a\.txt lists '/vsizip.*only a prediction reads.*write a VRT"):
        geotiff(**arguments(tmp_path, split_files=lists))
    (tmp_path / "dates.csv").write_text("file,date\n/vsizip/chips.zip/a_img.tif,2020-01-01\n")
    with pytest.raises(UserError, match=r"dates\.csv has no row for a_img\.tif.*write a VRT"):
        geotiff(**arguments(tmp_path, dates="dates.csv"))


@pytest.mark.parametrize(("option", "may"), [("geotiff", "whole numbers, or lists of them")])
def test_texts_among_the_codes_of_a_raster_are_answered_with_what_is_allowed(option, may):
    with pytest.raises(UserError, match=rf"data\.label_values takes a list of {may}.*\[10, \[20, 30\]\].*got \['x'"):
        run(
            f"data={option}", "data.root=.", "data.images=*.tif", "data.labels=x/*.tif", "data.class_names=[a,b]",
            "data.label_values=[x,y]", "action=explain",
        )  # fmt: skip


def test_tags_left_unread_because_the_training_did_not_read_any_are_said_so(tmp_path, caplog):
    caplog.set_level("INFO", "geocompose")
    for seed, key in enumerate("abc"):
        tag(write(tmp_path / f"{key}_img.tif", image(seed).astype(np.uint16), BANDS), 0.0001, -0.1)
        write(tmp_path / f"{key}_lab.tif", label())
    from geocompose.data.module import SceneData

    SceneData(GeoTiffSegmentation(**arguments(tmp_path)).with_tags_unread())
    assert "are not read, as in the run's training" in caplog.text
    assert "scale_tags=ignore" not in caplog.text
