"""Settings of TerraTorch's data become those of ours: files, splits, bands, normalisation, transforms."""

from pathlib import Path

import numpy as np
import pytest

from geocompose.catalog.prithvi import V1_STATISTICS
from geocompose.data.preflight import data_source, preflight
from tests.kit.terratorch_runs import FOLDERS, a_raster, a_run, call, composed, conf, decided, fate, translated, written

__all__ = ["conf"]


def test_a_scale_of_the_images_is_in_the_normalisation():
    to = translated(a_run(data={"constant_scale": 0.0001}))
    assert to.mean == pytest.approx([10000.0, 20000.0, 30000.0])
    assert to.std == pytest.approx([40000.0, 50000.0, 60000.0])
    assert fate(to, "constant_scale").startswith("carried")


def test_statistics_of_their_own_are_carried_as_numbers():
    to = translated(a_run(data={"constant_scale": 0.5}))
    assert to.values["data"]["normalize"] == {"mean": [2.0, 4.0, 6.0], "std": [8.0, 10.0, 12.0]}
    assert fate(to, "data.init_args.means") == "carried: data.normalize"
    assert fate(to, "constant_scale") == "carried: in data.normalize"


def test_statistics_of_each_frame_are_carried():
    numbers = {"means": [[1.0, 2.0]] * 3, "stds": [[4.0, 5.0]] * 3}
    to = translated(a_run(data=numbers))
    assert to.values["data"]["normalize"] == {"mean": numbers["means"], "std": numbers["stds"]}


@pytest.mark.parametrize(
    ("scale", "unit"), [(None, "reflectance_1e4"), (10_000, "reflectance"), (39.216, None)], ids=str
)
def test_published_statistics_say_in_which_unit_the_files_are(scale, unit):
    mean, std = V1_STATISTICS[0][:3], V1_STATISTICS[1][:3]
    prithvi = {"backbone": "prithvi_eo_v1_100", "backbone_in_chans": None}
    numbers = {"means": list(mean), "stds": list(std), "constant_scale": scale}
    data = translated(a_run(model_args=prithvi, data=numbers)).values["data"]
    assert data.get("unit") == unit
    if unit is None:
        assert data["normalize"]["mean"] == pytest.approx([value / 39.216 for value in mean])
    else:
        assert data["normalize"] == "pretraining"


@pytest.mark.parametrize("name", ["stats.txt", "stats.yaml"])
def test_statistics_in_a_file_beside_the_configuration_are_read(name, tmp_path):
    (tmp_path / "stats.txt").write_text("1.0 2.5\n3\n")
    (tmp_path / "stats.yaml").write_text("[1.0, 2.5, 3]")
    to = translated(a_run(data={"means": name, "stds": name}), beside=tmp_path)
    assert to.values["data"]["normalize"] == {"mean": [1.0, 2.5, 3.0], "std": [1.0, 2.5, 3.0]}
    assert fate(to, "data.init_args.means") == "carried: data.normalize"
    assert f"data.normalize: means are the numbers that {name} has now." in to.ledger.remarks


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ({"means": "stats.txt", "stds": "stats.txt"}, "it names a file that is not here"),
        (
            {"means": {"S1": [1.0]}, "stds": {"S1": [1.0], "S2": [1.0]}},
            "there are several modalities, each with numbers",
        ),
        ({"means": ["a", 1.0, 1.0], "stds": [1.0] * 3}, "it is neither numbers nor a file of them"),
        ({"means": [1.0, 2.0, 3.0], "stds": [1.0, 0.0, 1.0]}, "deviations must be above 0"),
    ],
)
def test_statistics_that_can_not_be_read_are_listed(numbers, why):
    to = translated(a_run(data=numbers))
    assert "normalize" not in to.values["data"]
    (told, *_) = [line for line in to.ledger.told("not carried over") if "means" in line]
    assert why in told
    assert "write 'data.normalize=" in told
    assert told.endswith("; here data.normalize=dataset")


def test_without_means_images_are_taken_as_they_are():
    to = translated(a_run(data={"means": None, "stds": None}))
    assert to.values["data"]["normalize"] == "none"
    assert (to.mean, to.std) == ([0.0] * 3, [1.0] * 3)


def test_transforms_are_carried_where_there_is_one_like_it():
    transforms = [
        {"class_path": "albumentations.D4"},
        {"class_path": "albumentations.RandomCrop", "init_args": {"height": 96, "width": 96}},
        {"class_path": "albumentations.GaussNoise"},
        {"class_path": "ToTensorV2"},
    ]
    to = translated(a_run(data={"train_transform": transforms}))
    assert to.values["data"]["dihedral"] is True
    assert to.values["data"]["random_crop"] is True
    assert to.values["data"]["tile_px"] == 96
    assert fate(to, "train_transform.2.class_path").startswith("not carried over: there is no transform GaussNoise")
    assert fate(to, "train_transform.3.class_path").startswith("not needed")
    assert translated(a_run()).values["data"]["dihedral"] is False  # ours would be true


@pytest.mark.parametrize(
    ("names", "drawn"),
    [
        ("HorizontalFlip VerticalFlip", "flips"),
        ("HorizontalFlip", "horizontal"),
        ("VerticalFlip", "vertical"),
        ("HorizontalFlip VerticalFlip Transpose", True),
        ("VerticalFlip D4", True),
    ],
)
def test_flips_are_carried_as_what_is_drawn_of_the_eight_views(names, drawn):
    steps = [{"class_path": f"albumentations.{name}"} for name in names.split()]
    to = translated(a_run(data={"train_transform": steps, "val_transform": steps[:1]}))
    assert to.values["data"]["dihedral"] == drawn
    assert "equally likely" not in decided(to)
    assert {fate(to, f"train_transform.{place}.class_path") for place in range(len(steps))} == {
        "carried: data.dihedral"
    }
    assert fate(to, "val_transform.0.class_path").endswith("images are changed at random in training alone")


def test_flips_of_another_probability_are_told_and_turns_alone_are_lost():
    steps = [
        {"class_path": "albumentations.HorizontalFlip", "init_args": {"p": 0.25}},
        {"class_path": "albumentations.Transpose"},
        {"class_path": "albumentations.VerticalFlip", "init_args": {"p": 1}},
    ]
    to = translated(a_run(data={"train_transform": steps}))
    assert to.values["data"]["dihedral"] == "horizontal"
    assert "HorizontalFlip has p=0.25 in TerraTorch; here each of the views is equally likely" in decided(to)
    assert fate(to, "train_transform.1.class_path").startswith("not carried over: data.dihedral=true turns by quarters")
    assert fate(to, "train_transform.2.class_path") == "not carried over: it is not drawn at random"
    every = [{"class_path": f"albumentations.{name}"} for name in ("HorizontalFlip", "RandomRotate90")]
    to = translated(a_run(data={"train_transform": every}))
    assert to.values["data"]["dihedral"] is True
    assert "RandomRotate90 has p=0.5 in TerraTorch" in decided(to)


def test_transforms_that_lack_what_counts_are_told_so_and_those_of_every_split_give_the_size():
    steps = [
        {"class_path": "albumentations.D4", "init_args": {"p": 0.5}},
        {"class_path": "albumentations.RandomCrop", "init_args": {"height": 96, "width": 64}},
    ]
    to = translated(a_run(data={"train_transform": steps}))
    assert to.values["data"]["dihedral"] is True
    assert "D4 has p=0.5 in TerraTorch" in decided(to)
    assert "its size is not one whole number" in fate(to, "train_transform.1.init_args.height")
    resize = [{"class_path": "albumentations.Resize", "init_args": {"height": 96, "width": 96}}]
    images = a_run(task="ClassificationTask", module="EuroSATDataModule", data={"transforms": resize})
    to = translated(images)
    assert (to.values["data"]["tile_px"], to.values["data"]["fit"]) == (96, "resize")
    assert "no size was found" not in decided(to)


def test_of_several_sizes_that_of_the_random_crop_counts():
    steps = [
        {"class_path": f"albumentations.{name}", "init_args": {"height": size, "width": size}}
        for name, size in (("Resize", 512), ("RandomCrop", 96))
    ]
    to = translated(a_run(data={"train_transform": steps}))
    assert (to.values["data"]["tile_px"], to.values["data"]["random_crop"]) == (96, True)
    assert fate(to, "train_transform.0.init_args.height").endswith("data.tile_px=96 cuts them into tiles")


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


def test_labels_to_ignore_in_regression_become_their_nodata():
    arguments = {"num_outputs": 1, "num_classes": None}
    tree = a_run(
        task="PixelwiseRegressionTask",
        module="GenericNonGeoPixelwiseRegressionDataModule",
        model_args=arguments,
        ignore_index=-9999,
        data={"num_classes": None, "no_data_replace": 0, "no_label_replace": -9999},
        loss="rmse",
    )
    to = translated(tree)
    assert to.choices["data"] == "geotiff_regression"
    assert to.values["data"]["label_nodata"] == -9999.0
    assert to.values["data"]["normalize_target"] == "none"
    assert np.isnan(to.values["data"]["nodata"])
    assert "the root of a batch's mean" in fate(to, "init_args.loss")
    assert fate(to, "no_label_replace").startswith("not needed")


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


@pytest.mark.parametrize(
    ("transform", "fit", "told"),
    [
        ({"train_transform": "RandomCrop"}, "crop", "carried: data.random_crop, data.tile_px, data.fit=crop"),
        ({"val_transform": "Resize"}, "resize", "not carried over: images larger than data.tile_px=96 are fitted"),
        ({"test_transform": "CenterCrop"}, "crop", "not carried over: images larger than data.tile_px=96 are fitted"),
    ],
)
def test_images_with_one_label_are_fitted_as_their_transforms_ask(transform, fit, told):
    ((split, name),) = transform.items()
    steps = [{"class_path": f"albumentations.{name}", "init_args": {"height": 96, "width": 96}}]
    arguments = {"decoder": "IdentityDecoder", "decoder_channels": None, "decoder_num_convs": None}
    to = translated(
        a_run(
            task="ClassificationTask",
            module="GenericNonGeoClassificationDataModule",
            model_args=arguments,
            data={split: steps},
        )
    )
    assert (to.values["data"]["fit"], to.values["data"]["tile_px"]) == (fit, 96)
    assert fate(to, f"{split}.0.class_path").startswith(told)


def test_a_configuration_without_data_asks_for_files():
    tree = a_run()
    del tree["data"]
    to = translated(tree)
    assert to.choices["data"] == "geotiff"
    assert set(to.values["data"]) >= {"class_names", "ignore_index", "tile_px"}
    assert "root" not in to.values["data"]


RGB = ["BLUE", "GREEN", "RED"]
OF_FIVE = [f"band_{place}" for place in range(1, 6)]


@pytest.mark.parametrize(
    ("there", "read", "of_model", "band_names", "bands"),
    [
        ([0, 1, 2, 3], [1, 3, 0], RGB, ["RED", "BLUE", "band_3", "GREEN"], RGB),
        (["0", "1", "2"], ["0", "1", "2"], ["0", "1", "2"], ["band_1", "band_2", "band_3"], None),
        ([[0, 4]], [[1, 2], "[4, 4]"], [1, 2, 4], OF_FIVE, ["band_2", "band_3", "band_5"]),
        ([0, *RGB, 0, 1], RGB, RGB, ["band_1", *RGB, "band_5", "band_6"], RGB),
        (["HLSBands.RED", "terratorch.datasets.HLSBands.BLUE", "GREEN"], None, None, ["RED", "BLUE", "GREEN"], None),
        (["one", "two", "three"], ["three", "one", "two"], RGB, ["GREEN", "RED", "BLUE"], RGB),
    ],
    ids=["places", "numbers as texts", "intervals", "mixed", "enumeration", "texts of their own"],
)  # fmt: skip
def test_bands_keep_their_names_and_are_called_by_their_place_where_they_have_none(
    there, read, of_model, band_names, bands
):
    model_args = {"backbone_bands": of_model}
    to = translated(a_run(model_args=model_args, data={"dataset_bands": there, "output_bands": read}))
    assert to.values["data"]["band_names"] == band_names
    assert to.values["data"]["bands"] == (bands or band_names) == to.bands
    unnamed = any(name.startswith("band_") for name in band_names)
    assert ("are called by their place in the file" in decided(to)) is unnamed


def test_bands_that_are_called_otherwise_are_told_one_by_one():
    own = {"dataset_bands": ["one", "two", "three"], "output_bands": ["three", "one", "two"]}
    to = translated(a_run(model_args={"backbone_bands": RGB}, data=own))
    renamed = "bands are called as the model calls them: one is GREEN, two is RED, three is BLUE."
    assert f"data.band_names: {renamed}" in to.ledger.remarks
    assert "as the model calls them" not in decided(translated(a_run()))


@pytest.mark.parametrize(
    ("bands", "rgb", "told"),
    [
        (RGB, [2, 1, 0], "not needed: figures show RED, GREEN and BLUE"),
        (
            OF_FIVE[:3],
            [0, 1, 2],
            "not needed: figures show RED, GREEN and BLUE where bands are called so, else the first",
        ),
        (OF_FIVE[:3], [2, 1, 0], "not carried over: figures show the first three bands, as none are called RED"),
    ],
)
def test_which_bands_figures_show_is_told(bands, rgb, told):
    data = {"dataset_bands": bands, "output_bands": bands, "rgb_indices": rgb}
    assert fate(translated(a_run(model_args={"backbone_bands": None}, data=data)), "rgb_indices").startswith(told)


def test_bands_that_the_files_do_not_have_are_listed():
    to = translated(a_run(data={"dataset_bands": ["BLUE", "GREEN"], "output_bands": ["RED"], "means": None}))
    assert fate(to, "output_bands").startswith("not carried over: not a list of bands of dataset_bands")


def test_frames_that_lie_behind_each_other_in_a_file_are_carried():
    prithvi = {"backbone": "prithvi_eo_tiny", "backbone_in_chans": None, "backbone_num_frames": 3}
    to = translated(a_run(model_args=prithvi, data={"expand_temporal_dimension": True}))
    assert (to.values["data"]["num_frames"], to.values["backbone"]["num_frames"]) == (3, 3)
    assert "data.num_frames" in fate(to, "expand_temporal_dimension")
    untold = translated(a_run(data={"expand_temporal_dimension": True}))
    assert "no setting says how many frames" in fate(untold, "expand_temporal_dimension")
    single = translated(a_run(model_args=prithvi))
    assert "The model takes 3 frames, and the data has one" in decided(single)


def test_labels_from_1_on_are_shifted_and_0_is_none():
    to = translated(a_run(data={"reduce_zero_label": True}))
    assert (to.values["data"]["label_values"], to.values["data"]["label_nodata"]) == ([1, 2], 0.0)
    assert fate(to, "reduce_zero_label").startswith("carried")
