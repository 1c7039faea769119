"""Rasters with one label each: a class by folder or table, several classes, numbers."""

import csv
import json

import numpy as np
import pytest
import torch

from geocompose.data.preflight import preflight
from geocompose.data.sources import GeoTiffClassification, GeoTiffScalarRegression
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from tests.kit.data_modules import geotiff_classification, geotiff_multilabel, geotiff_scalar_regression
from tests.kit.data_rasters import BANDS, image, write

LOADING = {"tile_px": 16, "batch_size": 4, "dihedral": False}
SPLITS = ("train", "val", "test")


def folders(root, count=5, height=16, width=16, classes=("forest", "water")):
    """Write `count` images into a folder for each class; all have the same file names."""
    for c, name in enumerate(classes):
        for i in range(count):
            write(root / name / f"{i}.tif", image(10 * c + i, height, width), BANDS)
    return root


def table(root, header, *rows, name="labels.csv"):
    """Write a table; a row's first cell is a file."""
    with (root / name).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return root


def flat(root, count=6, height=16, width=16):
    for i in range(count):
        write(root / f"chip_{i}.tif", image(i, height, width), BANDS)
    return root


def classified(root, **changes):
    return geotiff_classification(**({"root": str(root)} | LOADING | changes))


def from_table(root, **changes):
    return classified(root, images="*.tif", table="labels.csv", **changes)


def multilabel(root, **changes):
    return geotiff_multilabel(**({"root": str(root), "table": "labels.csv"} | LOADING | changes))


def measured(root, **changes):
    given = {"root": str(root), "table": "labels.csv", "variables": ["share"]}
    return geotiff_scalar_regression(**(given | LOADING | changes))


def ready(data):
    data.setup()
    return data


def labels_of(data, split):
    return torch.cat([batch["label"] for batch in data.in_order(split)])


def by_name(data):
    """Return the label of each image by its name."""
    return {
        data.scenes[tile.scene].name: label.tolist()
        for split in SPLITS
        for tile, label in zip(data.tile_windows(split), labels_of(data, split), strict=True)
    }


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


def split_table(root):
    splits = ("train", "train", "train", "val", "test", "test")
    return table(flat(root), ("file", "label", "split"), *[(f"chip_{i}", "ab"[i % 2], splits[i]) for i in range(6)])


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
        ("file,label\nchip_0,Höhe\n".encode("latin-1"), r"labels\.csv is no text in UTF-8 .*Save it as CSV in UTF-8"),
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


def test_smaller_images_are_padded_with_zero(tmp_path):
    data = ready(classified(folders(tmp_path, height=10, width=13), normalize="none"))
    batch = next(iter(data.test_dataloader()))
    assert batch["image"].shape == (2, 5, 16, 16)
    tile = data.tile_windows("test")[0]
    whole, _ = data.scenes[tile.scene].read_image(tile.window, range(5))
    assert np.array_equal(batch["image"][0, :, :10, :13], whole)
    assert (batch["image"][:, :, 10:] == 0).all()
    assert (batch["image"][:, :, :, 13:] == 0).all()


def test_larger_images_are_cropped_in_the_centre_and_at_random_in_training(tmp_path):
    data = ready(classified(folders(tmp_path, height=20, width=30), fit="crop", random_crop=True, normalize="none"))
    region = data.regions["test"][0]
    whole, _ = data.scenes[region.scene].read_image(region.window, range(5))
    assert np.array_equal(next(iter(data.test_dataloader()))["image"][0], whole[:, 2:18, 7:23])
    dataset = data.train_dataloader().dataset
    crops = [dataset[0, seed]["image"] for seed in range(20)]
    assert len({float(crop.sum()) for crop in crops}) > 10
    fixed = ready(classified(tmp_path, fit="crop")).train_dataloader().dataset
    assert torch.equal(fixed[0, 1]["image"], fixed[0, 2]["image"])


def test_larger_images_are_shrunk_with_their_shape_kept(tmp_path):
    for name in ("a", "b"):
        for i in range(3):
            write(tmp_path / name / f"{i}.tif", np.full((1, 32, 64), 100 * (i + 1), "float32"), ["X"])
    data = ready(classified(tmp_path, fit="resize", normalize="none"))
    images = torch.cat([batch["image"] for batch in data.in_order("train")])
    assert images.shape[1:] == (1, 16, 16)
    shown = images[:, 0, :8].flatten(1)
    assert torch.allclose(shown, (shown.mean(1, keepdim=True) / 100).round() * 100)
    assert shown.min() > 99
    assert (images[:, 0, 8:] == 0).all()


def test_an_image_without_any_data_has_no_label(tmp_path):
    write(folders(tmp_path, count=6) / "water" / "0.tif", np.zeros((5, 16, 16), "float32"), BANDS)
    data = ready(classified(tmp_path, nodata=0.0))
    assert by_name(data)["water/0.tif"] == -1
    assert sum(data.statistics.num_labelled(split) for split in SPLITS) == 11


def test_undeclared_nan_stops_wherever_it_lies(tmp_path):
    pixels = image(0, 20, 30)
    pixels[4, 0, 29] = np.nan  # outside the centre crop
    write(folders(tmp_path, height=20, width=30) / "water" / "4.tif", pixels, BANDS)
    with pytest.raises(UserError, match=r"water/4\.tif has the value nan at row 0, column 29, band SWIR_1"):
        ready(classified(tmp_path, fit="crop"))


def test_training_images_are_flipped_and_turned_with_the_epoch(tmp_path):
    torch.manual_seed(0)
    data = ready(classified(folders(tmp_path), dihedral=True, batch_size=10))
    loader = data.train_dataloader()
    first, second = next(iter(loader)), next(iter(loader))
    assert sorted(first["tile"].tolist()) == sorted(second["tile"].tolist())
    place = second["tile"].tolist().index(int(first["tile"][0]))
    values = [batch.flatten().sort().values for batch in (first["image"][0], second["image"][place])]
    assert torch.equal(*values)
    pictures = {tuple(batch["image"][i].flatten()[:5].tolist()) for batch in (first, second) for i in range(6)}
    assert len(pictures) > 6


def test_inputs_of_a_run_are_images_table_and_split_files(tmp_path):
    split_table(tmp_path)
    source = GeoTiffClassification(root=str(tmp_path), images="*.tif", table="labels.csv")
    assert sorted(path.name for path in source.input_files) == [*(f"chip_{i}.tif" for i in range(6)), "labels.csv"]


def test_preflight_raises_what_setup_would(tmp_path):
    names = (
        "band_names",
        "nodata",
        "split",
        "split_files",
        "split_rename",
        "dates",
        "date_pattern",
        "positions",
        "more_images",
    )
    null = dict.fromkeys(names)
    config = null | {
        "root": str(tmp_path), "images": "*.tif", "table": "labels.csv", "file_column": "file", "variables": ["share"],
        "normalize_target": "dataset", "fit": "refuse", "tile_px": 16, "batch_size": 4, "num_workers": 0,
        "normalize": "dataset", "random_crop": False, "dihedral": True, "rotation_deg": 0.0, "seed": 0,
            "baselines": ["linear"], "num_frames": 1,
    }  # fmt: skip
    table(flat(tmp_path), ("file", "share"), *[(f"chip_{i}", i) for i in range(6)])
    preview = preflight(GeoTiffScalarRegression(**config), list)
    assert preview.target == Target("scalar_regression", ("share",))
    assert preview.inputs.bands == tuple(BANDS)
    table(tmp_path, ("file", "share"), *[(f"chip_{i}", 1) for i in range(6)])
    with pytest.raises(UserError, match="The variable share is 1 in all training labels"):
        preflight(GeoTiffScalarRegression(**config), list)
    with pytest.raises(UserError, match=r"data\.batch_size=0"):
        GeoTiffScalarRegression(**config | {"batch_size": 0})
