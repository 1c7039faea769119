"""Values that can't be of the stated unit, and lone values that mark what has no data or no label, are said."""

import logging
import re
from functools import partial

import numpy as np
import pytest

from geocompose.data.ends import Ends
from geocompose.errors import UserError
from tests.kit.data_modules import (
    geotiff,
    geotiff_regression,
    geotiff_scalar_regression,
    synthetic_regression,
    synthetic_segmentation,
)
from tests.kit.data_rasters import BANDS, arguments, image, label, write

alike = partial(arguments, allow_overlap=True)  # the same image stands in all splits


def lines(caplog):
    """Return what is said of values."""
    said = [record.getMessage() for record in caplog.records]
    return [line for line in said if line.startswith(("Values of", "The value"))]


def scanned(root, caplog, pixels, names=BANDS, read_as=None, **stated):
    """Return what is said of three scenes, the first of which has the given pixels."""
    for key in "abc":
        write(root / f"{key}_img.tif", pixels if key == "a" else stated.get("others", pixels), names)
        write(root / f"{key}_lab.tif", label())
    stated.pop("others", None)
    data = geotiff(**alike(root, **stated))
    data.read_as([read_as] * len(data.bands))
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="geocompose"):
        data.setup()
    return lines(caplog)


DB = np.random.default_rng(0).normal(-12, 4, (2, 40, 60)).astype("float32")
REFLECTANCE = image() / np.float32(1e4)


@pytest.mark.parametrize(
    ("pixels", "unit", "said"),
    [
        (image(), "reflectance", "above 2 in 3 images.*100 % .*look like reflectance_1e4 or dn"),
        (REFLECTANCE, "reflectance_1e4", "all 2 or less in 3 images.*look like reflectance"),
        (REFLECTANCE, "dn", "all 2 or less in 3 images.*look like reflectance"),
        (image() * 100, "reflectance_1e4", "above 20000"),
        (DB, "power", "VV, VH are below -0.01.*look like db"),
        (10 ** (DB / 10) * 1000, "db", "above 40.*look like power"),
        (REFLECTANCE * 2, "uint8", "all 1 or less.*colours divided by 255"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("read_as", [None, "other"])
def test_values_that_can_not_be_of_the_stated_unit_are_said_once(tmp_path, caplog, pixels, unit, said, read_as):
    other = {"reflectance": "reflectance_1e4", "reflectance_1e4": "reflectance"}.get(unit) if read_as else None
    names = BANDS if len(pixels) == 5 else ["VV", "VH"]
    (line,) = scanned(tmp_path, caplog, pixels, names, other, unit=unit)
    assert re.search(said, line), line
    assert "a_img.tif" in line
    assert f"but the unit is {unit} " in line


@pytest.mark.parametrize(
    ("pixels", "unit"),
    [
        (REFLECTANCE, "reflectance"), (image(), "reflectance_1e4"), (image(), "dn"), (image(), None),
        (REFLECTANCE, None), (DB, "db"), (10 ** (DB / 10), "power"), (image() % 256, "uint8"),
    ],
)  # fmt: skip
def test_values_of_their_unit_are_not_spoken_of(tmp_path, caplog, pixels, unit):
    assert scanned(tmp_path, caplog, pixels, BANDS if len(pixels) == 5 else ["VV", "VH"], unit=unit) == []


def test_the_image_with_the_largest_share_is_named(tmp_path, caplog):
    few = REFLECTANCE.copy()
    few[2, :2] = 5 + few[2, :2]
    found = scanned(tmp_path, caplog, image(), others=few, unit="reflectance")
    assert any("RED are above 2 in 2 images" in line and "5 % of its valid pixels" in line for line in found)
    assert any("in 1 image, " in line and "Most are in a_img.tif: 100 %" in line for line in found)
    (tmp_path / "b").mkdir()
    (line,) = scanned(tmp_path / "b", caplog, few, others=REFLECTANCE, unit="reflectance")
    assert "Values of RED are above 2 in 1 image" in line
    assert "a_img.tif: 5 % of its valid pixels" in line


def test_outliers_of_few_pixels_and_other_bands_among_reflectance_are_no_fault(tmp_path, caplog):
    saturated = REFLECTANCE.copy()
    saturated[:, 0, 0] = 6.5
    heights = np.concatenate([saturated, 100 * image(bands=1)])
    assert scanned(tmp_path, caplog, heights, [*BANDS, "DEM"], unit="reflectance") == []


def test_colours_beyond_8_bits_are_refused(tmp_path, caplog):
    with pytest.raises(UserError, match=r"[abc]_img.tif has values of .*'BLUE'.*data.unit is uint8.* Write"):
        scanned(tmp_path, caplog, image(), unit="uint8")


@pytest.mark.parametrize(
    ("mark", "unit"), [(-9999, "reflectance_1e4"), (-32768, None), (65535, "dn"), (-1234567, None)]
)
def test_a_lone_value_of_an_image_is_said_with_what_declares_it(tmp_path, caplog, mark, unit):
    pixels = image(dtype="float64" if mark < -40000 else "int32").astype("float32")
    pixels[3, 5, :3] = mark
    pixels[4, 7, 0] = mark
    found = scanned(tmp_path, caplog, pixels, others=image(), unit=unit, read_as="reflectance" if unit else None)
    (line,) = [line for line in found if "The value" in line]
    assert f"The value {mark} is in 0.042 % (3) of the valid pixels of NIR_NARROW, and all others are 1 to 29" in line
    assert "It is in SWIR_1 too." in line
    assert f"Most are in a_img.tif. If it marks pixels without data, declare it (data.nodata={mark})" in line
    assert scanned(tmp_path, caplog, pixels, others=image(), unit=unit, nodata=mark) == []


@pytest.mark.parametrize("mark", [-9999, -32768, 255, 1e20, 9.97e36])
def test_a_lone_value_of_a_label_is_said_with_what_declares_it(tmp_path, caplog, mark):
    mark = float(np.float32(9.969209968386869e36)) if mark > 1e36 else mark
    for key in "abc":
        write(tmp_path / f"{key}_img.tif", image(), BANDS)
        heights = (image(seed=9, bands=1) / 50).astype("float32")
        heights[0, 0, :2] = mark if key == "b" else 1
        write(tmp_path / f"{key}_lab.tif", heights)
    given = {key: value for key, value in alike(tmp_path).items() if key != "class_names"}
    with caplog.at_level(logging.WARNING, logger="geocompose"):
        geotiff_regression(**given, variables=["height"]).setup()
    (line,) = lines(caplog)
    assert f"The value {mark:.7g} is in 0.028 % (2) of the labels of height" in line
    assert f"data.label_nodata={mark:.7g}" in line
    caplog.clear()
    geotiff_regression(**given, variables=["height"], label_nodata=mark).setup()
    assert lines(caplog) == []


def test_a_lone_number_of_a_table_is_said(tmp_path, caplog):
    rows = []
    for number in range(12):
        write(tmp_path / f"{number}.tif", image(number, 16, 16), BANDS)
        rows.append(f"{number}.tif,{-9999 if number == 3 else number}")
    (tmp_path / "t.csv").write_text("\n".join(["file,share", *rows]))
    kind = {"images": "*.tif", "table": "t.csv", "variables": ["share"]}
    data = geotiff_scalar_regression(root=str(tmp_path), **kind, tile_px=16, allow_overlap=True)
    with caplog.at_level(logging.WARNING, logger="geocompose"):
        data.setup()
    (line,) = lines(caplog)
    assert "The value -9999 is in 8.3 % (1) of the labels of share, and all others are 0 to 11" in line
    assert "leave its cell in data.table empty" in line


def test_made_up_data_is_plausible(caplog):
    for make in (synthetic_segmentation, synthetic_regression):
        make(tile_px=64, num_scenes=4, scene_px=64).setup()
    assert lines(caplog) == []


def test_ends_are_those_of_all_values_at_once():
    generator = np.random.default_rng(0)
    for _ in range(50):
        values = generator.integers(-6, 6, 200).astype("float32") * generator.choice([1.0, 30.0])
        one, several = Ends(), Ends()
        one.add(values)
        for block in np.array_split(values, 7):
            own = Ends()
            own.add(block)
            several = several.merged(own)
        by_block = Ends()
        for block in np.array_split(values, 5):
            by_block.add(block)
        for ends in (one, several, by_block):
            assert (ends.least, ends.greatest, ends.count) == (values.min(), values.max(), 200)
            assert ends.count_at(float(values.min())) == (values == values.min()).sum()
            assert ends.count_at(float(values.max())) == (values == values.max()).sum()
            assert ends.lone() == one.lone()


@pytest.mark.parametrize(
    ("values", "lone"),
    [
        ([0, 1, 0, 1, 1], []),
        ([-9999, 0, 1, 2], [-9999]),
        ([-9999, 9999, 0, 1, 2, 3], [-9999, 9999]),
        ([255, 0, 0, 0], [255]),
        ([250, 255, 0, 100, 200], []),
        ([1e20, 0, 1, 2, 3], [np.float32(1e20)]),
        ([1e5, 1, 2, 3], [1e5]),
        ([30, 1, 2, 3], []),
        ([-9999, -9999, -9999, 1, 2], []),
        ([7, 7, 7], []),
        ([], []),
    ],
)
def test_an_end_is_lone_where_it_is_rare_and_far_from_all_others(values, lone):
    ends = Ends()
    ends.add(np.array(values, "float32"))
    assert [found.value for found in ends.lone()] == lone
