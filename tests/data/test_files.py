import re
from pathlib import Path

import pytest

from geocompose.data.files.pairs import list_files, match_pairs
from geocompose.data.files.split_lists import read_split
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.data.synthetic.sources import SyntheticSegmentation
from geocompose.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def chips(root: Path, *keys: str) -> Path:
    return touch(root, *(f"{key}_{kind}Hand.tif" for key in keys for kind in ("S2", "Label")))


SEN1 = {"images": "**/*_S2Hand.tif", "labels": "**/*_LabelHand.tif"}


def test_pairs_are_found_in_a_flat_folder_sorted_by_key(tmp_path):
    pairs = match_pairs(str(chips(tmp_path, "Ghana_2", "Ghana_1")), **SEN1)
    assert [pair.key for pair in pairs] == ["Ghana_1", "Ghana_2"]
    assert pairs[0].image == tmp_path / "Ghana_1_S2Hand.tif"
    assert pairs[0].label == tmp_path / "Ghana_1_LabelHand.tif"


def test_pairs_are_found_across_folders(tmp_path):
    touch(tmp_path, "S2Hand/A_1_S2Hand.tif", "LabelHand/A_1_LabelHand.tif", "S1Hand/A_1_S1Hand.tif")
    (pair,) = match_pairs(str(tmp_path), **SEN1)
    assert (pair.image.parent.name, pair.label.parent.name) == ("S2Hand", "LabelHand")


def test_a_file_that_the_label_pattern_matches_is_no_image(tmp_path):
    touch(tmp_path, "a.tif", "a_mask.tif", "b.tif", "b_mask.tif")
    assert [pair.key for pair in match_pairs(str(tmp_path), "*.tif", "*_mask.tif")] == ["a", "b"]


def test_the_key_is_in_the_folder_where_the_file_name_has_no_star(tmp_path):
    touch(tmp_path, "a/image.tif", "a/label.tif", "b/image.tif", "b/label.tif")
    assert [pair.key for pair in match_pairs(str(tmp_path), "*/image.tif", "*/label.tif")] == ["a", "b"]


def test_a_single_scene_needs_no_star(tmp_path):
    (pair,) = match_pairs(str(touch(tmp_path, "image.tif", "label.tif")), "image.tif", "label.tif")
    assert pair.image.name == "image.tif"


def test_character_sets_and_question_marks_match_as_the_shell_does(tmp_path):
    touch(tmp_path, "a1.x.tif", "ab.x.tif", "a1.y.tif")
    (pair,) = match_pairs(str(tmp_path), "*[0-9].?.tif", "*[0-9].[!x].tif")
    assert (pair.key, pair.image.name, pair.label.name) == ("a", "a1.x.tif", "a1.y.tif")


def test_missing_root_names_the_key(tmp_path):
    with pytest.raises(UserError, match=r"data\.root=/nowhere does not exist"):
        match_pairs("/nowhere", "*.tif", "*.tif")
    with pytest.raises(UserError, match="is a file, not a folder"):
        match_pairs(str(touch(tmp_path, "x") / "x"), "*.tif", "*.tif")


def test_a_pattern_without_match_shows_what_is_there(tmp_path):
    with pytest.raises(UserError, match=r"data\.images=\*\.jp2 matches nothing.*A_LabelHand\.tif"):
        match_pairs(str(chips(tmp_path, "A")), "*.jp2", "*_LabelHand.tif")
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match="bare holds no file"):
        match_pairs(str(tmp_path / "bare"), "*.tif", "*_lab.tif")


def test_an_absolute_pattern_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data\.labels=/x/\*\.tif is absolute"):
        match_pairs(str(tmp_path), "*.tif", "/x/*.tif")


def test_images_are_refused_if_none_has_a_label(tmp_path):
    touch(tmp_path, "B_S2Hand.tif", "C_LabelHand.tif")
    with pytest.raises(UserError, match=r"None of the 1 images .*B_S2Hand\.tif\. Labels without an image: C_LabelHand"):
        match_pairs(str(tmp_path), **SEN1)


def test_an_image_without_label_is_left_out_and_named(tmp_path):
    touch(chips(tmp_path, "A"), "B_S2Hand.tif", "C_LabelHand.tif")
    found = list_files(str(tmp_path), **SEN1)
    assert [pair.key for pair in found.pairs] == ["A"]
    said = {one.kind: one.in_words for one in found.left_out}
    assert re.search(
        r"1 image without a label .*\(B_S2Hand\.tif\)\. Labels without an image: C_LabelHand\.tif\. Of B_S2Hand",
        said["images_without_label"],
    )
    assert "C_LabelHand.tif" in said["labels_without_image"]


def test_images_without_label_are_counted_for_the_splits_that_list_them(tmp_path):
    touch(chips(tmp_path, "A", "B", "D"), "X_S2Hand.tif", "Y_S2Hand.tif", "Z_S2Hand.tif")
    files = splits(tmp_path, train="A\nX\nY", val="B", test="Z_S2Hand.tif\nD")
    found = list_files(str(tmp_path), **SEN1, split_files=files)
    assert found.members == {"train": [0], "val": [1], "test": [2]}
    assert "3 images without a label" in found.left_out[0].in_words
    assert "(2 of train, 1 of test: X_S2Hand.tif" in found.left_out[0].in_words
    (tmp_path / "test.csv").write_text("Z")
    with pytest.raises(UserError, match=r"No image of the split test has a label .*Z_S2Hand\.tif"):
        list_files(str(tmp_path), **SEN1, split_files=files)


def test_images_without_label_are_counted_for_the_folders_that_hold_them(tmp_path):
    for name in ("train/A", "train/X", "val/B", "test/C"):
        touch(tmp_path, f"{name}_img.tif", *([] if name.endswith("X") else [f"{name}_lab.tif"]))
    found = list_files(str(tmp_path), "*/*_img.tif", "*/*_lab.tif", by_folder=True)
    assert {split: len(places) for split, places in (found.members or {}).items()} == {"train": 1, "val": 1, "test": 1}
    assert "1 image without a label" in found.left_out[0].in_words
    assert "(1 of train: train/X_img.tif)" in found.left_out[0].in_words


def test_what_is_left_out_beside_a_pattern_of_bands_is_named(tmp_path):
    touch(tmp_path, "A_B02.tif", "A_B03.tif", "A_lab.tif", "Z_lab.tif", "C_B02.tif")
    found = list_files(str(tmp_path), "*_{band}.tif", "*_lab.tif")
    assert ["Z_lab.tif" in one.in_words for one in found.left_out if one.kind == "labels_without_image"] == [True]


def test_two_files_of_one_key_are_named(tmp_path):
    touch(tmp_path, "x/A_S2Hand.tif", "y/A_S2Hand.tif", "A_LabelHand.tif")
    with pytest.raises(UserError, match=r"two files for one key 'A': x/A_S2Hand\.tif and y/A_S2Hand\.tif"):
        match_pairs(str(tmp_path), **SEN1)


def test_patterns_that_match_the_same_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"only files that data\.labels matches too"):
        match_pairs(str(touch(tmp_path, "a.tif")), "*.tif", "*.tif")


def splits(root: Path, **names: str) -> dict[str, str]:
    for split, text in names.items():
        (root / f"{split}.csv").write_text(text)
    return {split: f"{split}.csv" for split in names}


def test_split_files_choose_and_order_the_pairs(tmp_path):
    chips(tmp_path, "A", "B", "C", "D")
    files = splits(
        tmp_path,
        train="C_S1Hand.tif,C_LabelHand.tif\nA_S1Hand.tif,A_LabelHand.tif\n",
        val="image,label\nS1Hand/B_S1Hand.tif,x\n",
        test="\nD_S1Hand\n",
    )
    found = list_files(str(tmp_path), **SEN1, split_files=files, split_rename={"S1Hand": "S2Hand"})
    assert found.members == {"train": [0, 2], "val": [1], "test": [3]}
    (tmp_path / "test.csv").write_text("")
    with pytest.raises(UserError, match=r"test\.csv lists no image"):
        list_files(str(tmp_path), **SEN1, split_files=files, split_rename={"S1Hand": "S2Hand"})


def test_images_that_no_split_file_names_are_left_out(tmp_path):
    chips(tmp_path, "A", "B", "C", "D")
    found = list_files(str(tmp_path), **SEN1, split_files=splits(tmp_path, train="A", val="B", test="D"))
    assert [pair.key for pair in found.pairs] == ["A", "B", "D"]


def test_a_name_without_image_is_named_with_the_nearest_one(tmp_path):
    pairs = match_pairs(str(chips(tmp_path, "Ghana_103272")), **SEN1)
    (tmp_path / "s.txt").write_text("Ghana_103273_S1Hand.tif\n")
    with pytest.raises(UserError, match=r"'Ghana_103273_S1Hand\.tif' \(looked up as .*nearest .*'Ghana_103272_S2Hand"):
        read_split(tmp_path / "s.txt", pairs, {"S1Hand": "S2Hand"})


def test_an_image_listed_twice_is_named(tmp_path):
    pairs = match_pairs(str(chips(tmp_path, "A", "B")), **SEN1)
    (tmp_path / "s.txt").write_text("A\nB\nA_S2Hand.tif\n")
    with pytest.raises(UserError, match="lists the image 'A' twice"):
        read_split(tmp_path / "s.txt", pairs, {})


def test_a_split_file_that_is_no_text_is_named(tmp_path):
    pairs = match_pairs(str(chips(tmp_path, "A", "B")), **SEN1)
    (tmp_path / "s.txt").write_bytes(b"A\nB\xfc\n")
    with pytest.raises(UserError, match=r"s\.txt is not text in UTF-8"):
        read_split(tmp_path / "s.txt", pairs, {})


def test_an_image_in_two_splits_is_named(tmp_path):
    chips(tmp_path, "A", "B")
    files = splits(tmp_path, train="A", val="B", test="A")
    with pytest.raises(UserError, match=r"'A' is in data\.split_files\.train and in data\.split_files\.test"):
        list_files(str(tmp_path), **SEN1, split_files=files)


def test_a_missing_or_misspelt_split_is_refused(tmp_path):
    chips(tmp_path, "A")
    with pytest.raises(UserError, match=r"data\.split_files lacks val, test"):
        list_files(str(tmp_path), **SEN1, split_files={"train": "a.csv"})
    with pytest.raises(UserError, match=r"no 'tests'\. Did you mean 'test'"):
        list_files(str(tmp_path), **SEN1, split_files={"train": "a", "val": "b", "tests": "c"})
    with pytest.raises(UserError, match=r"data\.split_files\.train=gone\.csv does not exist"):
        list_files(str(tmp_path), **SEN1, split_files={"train": "gone.csv", "val": "b", "test": "c"})


def test_input_files_are_images_labels_and_split_files(tmp_path):
    chips(tmp_path, "A", "B", "C")
    data = {"root": str(tmp_path), **SEN1, "split_files": splits(tmp_path, train="A", val="B", test="C")}
    names = [path.name for path in GeoTiffSegmentation(**data, class_names=["land", "water"]).input_files]
    assert len(names) == 9
    assert {"A_S2Hand.tif", "C_LabelHand.tif", "val.csv"} <= set(names)
    assert SyntheticSegmentation(num_scenes=8).input_files == []
