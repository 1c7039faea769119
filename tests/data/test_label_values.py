"""Labels whose values are not 0, 1, 2, ...: mapped by data.label_values, or answered with the mapping to write."""

import numpy as np
import pytest

from geocompose.errors import UserError
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, write
from tests.kit.labelled_images import by_name, flat, from_table, multilabel, ready, table

WORLD_COVER = [10, 20, 30]


def coded(root, codes, count=5, dtype="uint8", **profile):
    """Write images with labels that hold these codes in place of 0, 1, 2, ..."""
    for i in range(count):
        write(root / f"{i}_img.tif", image(i), BANDS)
        values = np.array(codes)[label(i, classes=len(codes))]
        write(root / f"{i}_lab.tif", values.astype(dtype), **profile)
    return root


def counts(data):
    return {split: sum(counts) for split, counts in ready(data).statistics.class_counts.items()}


@pytest.mark.parametrize(("codes", "dtype"), [([0, 255], "uint8"), ([10, 20], "int16"), ([1, 2], "float32")])
def test_codes_in_class_order_are_the_classes(tmp_path, codes, dtype):
    data = ready(geotiff(**arguments(coded(tmp_path, codes, dtype=dtype), label_values=codes)))
    assert {value for batch in data.in_order("train") for value in batch["mask"].unique().tolist()} <= {-1, 0, 1}
    expected = np.bincount(np.concatenate([label(i).ravel() for i in range(5)]))
    assert np.array(list(data.statistics.class_counts.values())).sum(0).tolist() == expected.tolist()


def test_several_codes_mean_one_class_in_any_order(tmp_path):
    data = geotiff(**arguments(coded(tmp_path, WORLD_COVER), label_values=[30, [20, 10]]))
    expected = np.bincount(np.concatenate([label(i, classes=3).ravel() for i in range(5)]))
    assert np.array(list(ready(data).statistics.class_counts.values())).sum(0).tolist() == [
        expected[2],
        expected[0] + expected[1],
    ]


def test_unlisted_codes_are_refused_with_what_there_is(tmp_path):
    data = geotiff(**arguments(coded(tmp_path, WORLD_COVER), label_values=[10, 20]))
    found = np.bincount(np.concatenate([label(i, classes=3).ravel() for i in range(5)]))
    with pytest.raises(UserError, match=rf"value 30 .*not in data.label_values.*30 \({found[2]:,} pixels\)"):
        data.setup()


def test_unlisted_codes_are_no_label_where_that_is_chosen(tmp_path):
    given = {"label_values": [10, 20], "unlisted_labels": "ignore"}
    data = geotiff(**arguments(coded(tmp_path, WORLD_COVER), **given))
    found = np.bincount(np.concatenate([label(i, classes=3).ravel() for i in range(5)]))
    assert sum(counts(data).values()) == found[0] + found[1]


@pytest.mark.parametrize(("codes", "names"), [([0, 255], ["a", "b"]), (WORLD_COVER, ["a", "b", "c"])])
def test_codes_without_a_mapping_are_answered_with_it(tmp_path, codes, names):
    data = geotiff(**arguments(coded(tmp_path, codes), class_names=names))
    with pytest.raises(UserError, match=rf"data\.label_values=\[{','.join(map(str, codes))}\]"):
        data.setup()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_values": [10]}, r"one entry per class \(2: land, water\); got 1"),
        ({"label_values": [10, 10]}, "has 10 twice, as 'land' and as 'water'"),
        ({"label_values": [10, []]}, r"label_values\[1\] must be whole numbers"),
        ({"label_values": [0, 255], "ignore_index": 255}, "ignore_index=255 is also in data.label_values"),
        ({"label_values": [-1, 5]}, "ignore_index=-1 is also .* data.ignore_index=255"),
        ({"label_values": [0, 255], "label_nodata": 0}, "label_nodata=0 is also in data.label_values"),
        ({"unlisted_labels": "ignore"}, "does not list, which is null"),
        ({"label_values": [0, 255], "unlisted_labels": "drop"}, "Allowed: refuse, ignore"),
    ],
)
def test_mappings_that_contradict_themselves_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        geotiff(**arguments(coded(tmp_path, [0, 255]), **changes))


def test_a_declared_nodata_that_is_a_listed_code_is_refused(tmp_path):
    with pytest.raises(UserError, match="declares nodata 255, which is also the class 'water'"):
        geotiff(**arguments(coded(tmp_path, [0, 255], nodata=255), label_values=[0, 255]))


def test_codes_in_a_table_and_in_folder_names_are_the_classes(tmp_path):
    rows = [(f"chip_{i}.tif", (10, 20, 30)[i % 3]) for i in range(6)]
    root = table(flat(tmp_path), ("file", "label"), *rows)
    found = by_name(ready(from_table(root, class_names=["tree", "crop"], label_values=[30, [10, 20]])))
    assert found == {f"chip_{i}.tif": int(i % 3 != 2) for i in range(6)}


def test_codes_in_a_table_without_a_mapping_are_answered_with_it(tmp_path):
    root = table(flat(tmp_path), ("file", "label"), *[(f"chip_{i}.tif", 10) for i in range(6)])
    with pytest.raises(UserError, match=r"class_names has no '10'.*data\.label_values=\[CODE"):
        from_table(root, class_names=["tree", "crop"])
    with pytest.raises(UserError, match=r"label_values has no '10'.*unlisted_labels=ignore"):
        from_table(root, class_names=["tree", "crop"], label_values=[20, 30])


def test_unlisted_codes_in_a_table_are_no_label_where_that_is_chosen(tmp_path):
    rows = [(f"chip_{i}.tif", (10, 20)[i % 2] if i else 99) for i in range(6)]
    given = {"class_names": ["a", "b"], "label_values": [10, 20], "unlisted_labels": "ignore", "split": [0.4, 0.3, 0.3]}
    found = by_name(ready(from_table(table(flat(tmp_path), ("file", "label"), *rows), **given)))
    assert found["chip_0.tif"] == -1
    assert found["chip_1.tif"] == 1


def test_codes_of_several_classes_in_a_cell(tmp_path):
    root = table(flat(tmp_path), ("file", "label"), *[(f"chip_{i}.tif", ("10;20", "20")[i % 2]) for i in range(6)])
    given = {"class_names": ["a", "b"], "label_values": [10, 20], "label_column": "label"}
    assert by_name(ready(multilabel(root, **given)))["chip_0.tif"] == [1, 1]
    with pytest.raises(UserError, match="a column of its own"):
        multilabel(root, class_names=["a", "b"], label_values=[10, 20])
