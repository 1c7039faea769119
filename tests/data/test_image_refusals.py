"""Wrong tables, cells, names and arguments of images with one label each are refused with their place."""

import pytest

from geocompose.errors import UserError
from tests.kit.labelled_images import (
    SPLITS,
    classified,
    flat,
    folders,
    from_table,
    measured,
    multilabel,
    table,
)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (("file", "label"), [("chip_0", "a"), ("chip_9", "b")], r"line 3: there is no image 'chip_9' .*nearest"),
        (("file", "label"), [("chip_0", "a"), ("chip_0.tif", "b")],
            r"line 3: the image chip_0\.tif has a row already, line 2"),
        (("file", "label"), [("chip_0", "a"), ("chip_1", "")], r"line 3: chip_1\.tif has no label"),
        (("image", "label"), [("chip_0", "a")], r"has no column 'file' .*data\.file_column.*Allowed: image, label"),
        (("file", "class"), [("chip_0", "a")], r"has no column 'label' \(data\.label_column\)"),
        (("file", "label"), [("chip_0", "a", 3)], "line 2: 3 cells, but the header has 2 columns"),
        (("file", "label"), [], "has no row below its header"),
        (("file", "file"), [("a", "b")], "two of one name"),
        (("file;label",), [("chip_0;a",)], "is not separated by commas"),
        (("file", "label", "split"), [("chip_0", "a", "tran")],
            r"line 2: the column split has 'tran'\. Did you mean 'train'"),
        (("file", "label", "split"), [("chip_0", "a", "train")], "no row whose column split is val"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_its_line(tmp_path, header, rows, message):
    with pytest.raises(UserError, match=message):
        from_table(table(flat(tmp_path, count=3), header, *rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\nchip_0,Höhe\n".encode("latin-1"), r"labels\.csv is not text in UTF-8 .*Save it as CSV in UTF-8"),
        (b"file,label\nchip_0," + 150_000 * b"x", r"labels\.csv can't be read as CSV: field larger than"),
    ],
)
def test_a_table_that_is_no_text_is_refused_by_its_name(tmp_path, content, message):
    (flat(tmp_path) / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        from_table(tmp_path)


def test_images_of_one_class_alone_are_refused_with_the_class(tmp_path):
    with pytest.raises(
        UserError, match=r"All 5 images under .* are of one class, 'forest'.*data\.images.*correct the folders"
    ):
        classified(folders(tmp_path, classes=("forest",)))
    with pytest.raises(UserError, match=r"All 2 images .*correct the table"):
        from_table(table(flat(tmp_path), ("file", "label"), ("chip_0", "a"), ("chip_1", "a")))


def test_an_unknown_class_is_refused_with_its_place(tmp_path):
    with pytest.raises(UserError, match=r"forest/0\.tif: data\.class_names has no 'forest'\. Did you mean 'forrest'"):
        classified(folders(tmp_path), class_names=["forrest", "water"])
    table(flat(tmp_path), ("file", "label"), ("chip_0", "a"), ("chip_1", "c"))
    with pytest.raises(UserError, match=r"labels\.csv, line 3: data\.class_names has no 'c'"):
        from_table(tmp_path, class_names=["a", "b"])


def test_wrong_cells_of_several_classes_or_numbers_are_refused(tmp_path):
    table(flat(tmp_path), ("file", "land", "share"), ("chip_0", 1, 1), ("chip_1", 2, "x"), ("chip_2", 1, "1e60"))
    with pytest.raises(UserError, match=r"line 3: land is '2'; it is 1 .*data\.label_column"):
        multilabel(tmp_path)
    with pytest.raises(UserError, match=r"\(data\.class_names\)\. Did you mean 'land'"):
        multilabel(tmp_path, class_names=["lamd", "share"])
    with pytest.raises(UserError, match=r"line 3: data\.class_names has no '2'"):
        multilabel(tmp_path, label_column="land", class_names=["1", "3"])
    with pytest.raises(UserError, match=r"has no column 'lnd' \(data\.label_column\)"):
        multilabel(tmp_path, label_column="lnd")
    with pytest.raises(UserError, match="line 3: share is 'x', not a number"):
        measured(tmp_path)
    with pytest.raises(UserError, match=r"has no column 'yield' \(data\.variables\)"):
        measured(tmp_path, variables=["yield"])
    table(tmp_path, ("file", "share"), ("chip_2", "1e60"))
    with pytest.raises(UserError, match="line 2: share is '1e60', too large"):
        measured(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root": "/nowhere"}, r"data\.root=/nowhere does not exist"),
        ({"images": "*.png"}, r"data\.images=\*\.png matches nothing"),
        ({"table": "none.csv"}, r"data\.table=none\.csv does not exist"),
        ({"split": [0.6, 0.2, 0.2], "split_files": dict.fromkeys(SPLITS, "a")}, "exclude each other"),
        ({"split_files": {"train": "a"}}, r"data\.split_files lacks val, test"),
        ({"class_names": ["forest"]}, "two or more different names"),
        ({"fit": "corp"}, r"data\.fit has no 'corp'\. Did you mean 'crop'"),
        ({"random_crop": True}, r"data\.random_crop=true cuts .*data\.fit=refuse"),
        ({"tile_px": 0}, r"data\.tile_px=0"),
        ({"tile_px": 8}, r"forest/0\.tif has 16 x 16 pixels .*more than data\.tile_px=8.*data\.fit=crop"),
        ({"baselines": ["linear"]}, "no 'linear' for classification"),
        ({"cache_mb": -1}, r"data\.cache_mb=-1"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        classified(**({"root": folders(tmp_path, count=2)} | change))


def test_images_without_folder_or_too_few_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"chip_0\.tif lies in data\.root=.* itself"):
        classified(flat(tmp_path), images="*.tif")
    with pytest.raises(UserError, match=r"2 labelled images .* can't be split"):
        classified(folders(tmp_path, count=1))
