"""Which pixels of a label count: nodata declared and given, masks inside and beside the file, alpha and palettes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geocompose.data.label_values import LabelCodes
from geocompose.data.rasters.label import ClassRaster, NumberRaster
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.inference_rasters import write
from tests.kit.masked_rasters import HIDDEN, declaring, masked, with_alpha

WHOLE = Window(0, 0, 6, 7)
NAMES = LabelCodes(["no", "yes"])


def classes(dtype: str = "uint8", **values: int) -> np.ndarray:
    """A label of no and yes; row and column of further values are theirs in `HIDDEN`."""
    label = np.tile(np.arange(7) % 2, (6, 1)).astype(dtype)
    for (row, column), value in zip(HIDDEN, values.values(), strict=False):
        label[row, column] = value
    return label[None]


def unlabelled(label: np.ndarray) -> list[list[int]]:
    return np.argwhere(label == -1).tolist()


def test_a_declared_and_a_given_value_count_together(tmp_path: Path) -> None:
    label = ClassRaster(write(tmp_path / "a.tif", classes(a=255, b=254), nodata=255), NAMES, label_nodata=254)
    assert unlabelled(label.read(WHOLE)) == HIDDEN
    assert label.remarks == ["it declares nodata 255, and 254 is given: pixels with either hold no data."]
    numbers = classes("float32", a=-9999, b=0)
    numbers[0, 0, 0] = 3
    agb = NumberRaster(write(tmp_path / "b.tif", numbers, nodata=-9999), ["agb"], label_nodata=0)
    found = agb.read(WHOLE)
    assert np.isnan(found[0, 1, 2])
    assert np.nanmin(found) == 1


def test_a_declared_value_that_is_a_class_counts_as_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", classes(a=255), nodata=0)
    for given in (None, 255, 7):
        with pytest.raises(
            UserError, match=r"a\.tif declares nodata 0, .* class 'no'.*label_nodata=0 .*label_nodata=-1"
        ):
            ClassRaster(path, NAMES, label_nodata=given)
    as_class = ClassRaster(path, LabelCodes(["no", "yes"], 255), label_nodata=255)
    assert (as_class.read(WHOLE) == classes(a=255)[0]).all()
    assert as_class.remarks == ["the declared nodata 0 is the class 'no', as data.label_nodata=255 says."]
    assert (ClassRaster(path, NAMES, label_nodata=0).read(WHOLE)[:, 0] == -1).all()


@pytest.mark.parametrize("inside", [True, False])
def test_a_mask_counts_beside_every_value(tmp_path: Path, inside: bool) -> None:
    label = classes()
    label[0, 5, 5] = 9
    path = masked(tmp_path / "a.tif", label, [], inside=inside, nodata=9)
    assert unlabelled(ClassRaster(path, NAMES).read(WHOLE)) == [*HIDDEN, [5, 5]]
    assert unlabelled(ClassRaster(path, NAMES, label_nodata=1).read(WHOLE)[:, ::2]) == [[1, 1], [4, 0]]
    numbers = masked(tmp_path / "b.tif", classes("float32"), [], inside=inside)
    assert np.argwhere(np.isnan(NumberRaster(numbers, ["agb"]).read(WHOLE)[0])).tolist() == HIDDEN


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_an_alpha_band_is_a_mask_and_no_label(tmp_path: Path, kind: str) -> None:
    pixels = np.concatenate([classes("uint16"), np.full((1, 6, 7), 65535, "uint16")])
    for row, column in HIDDEN:
        pixels[1, row, column] = 0
    path = with_alpha(tmp_path / "a.tif", pixels, None)
    label = ClassRaster(path, NAMES) if kind == "classes" else NumberRaster(path, ["agb"])
    there = label.read(WHOLE)
    missing = there == -1 if kind == "classes" else np.isnan(there[0])
    assert np.argwhere(missing).tolist() == HIDDEN
    assert label.remarks[0].startswith("band 2 is an alpha band")


def test_the_transparent_entry_of_a_palette_is_unlabelled(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image").fromarray(classes(a=2, b=2)[0])
    image.putpalette([0, 0, 0, 255, 255, 255, 255, 0, 0])
    image.save(tmp_path / "a.png", transparency=2)
    assert unlabelled(ClassRaster(tmp_path / "a.png", NAMES).read(WHOLE)) == HIDDEN
    image.save(tmp_path / "b.png", transparency=0)
    with pytest.raises(UserError, match=r"b\.png declares nodata 0, which is also the class 'no'"):
        ClassRaster(tmp_path / "b.png", NAMES)


def test_a_picture_of_a_label_is_refused(tmp_path: Path) -> None:
    with rasterio.open(tmp_path / "a.png", "w", driver="PNG", count=4, height=6, width=7, dtype="uint8") as picture:
        picture.write(np.repeat(classes(), 4, 0))
    with pytest.raises(UserError, match=r"a\.png has 4 bands; a label has one"):
        ClassRaster(tmp_path / "a.png", NAMES)


@pytest.mark.parametrize("text", ["-9999", "300", "nan"])
def test_a_value_that_the_type_lacks_is_said(tmp_path: Path, text: str) -> None:
    path = declaring(tmp_path / "a.vrt", text, "uint8")
    path.write_text(path.read_text().partition('<VRTRasterBand dataType="Byte" band="2">')[0] + "</VRTDataset>")
    said = [f"the declared nodata value {float(text):g} is not a value of uint8, so that no pixel has it."]
    assert ClassRaster(path, NAMES).remarks == NumberRaster(path, ["agb"]).remarks == said
    plain = write(tmp_path / "b.tif", classes())
    assert ClassRaster(plain, NAMES, label_nodata=float(text)).remarks == [said[0].replace("declared", "given")]
    assert ClassRaster(plain, NAMES, label_nodata=-1).remarks == [], "the ignore_index means unlabelled in any type"


BEYOND = {"uint64": 2**63 + 5, "float64": 1e300, "float32": -1e30}


@pytest.mark.parametrize("dtype", list(BEYOND))
def test_a_class_beyond_64_bits_is_refused_with_its_value(tmp_path: Path, dtype: str) -> None:
    label: Any = classes(dtype)
    label[0, 1, 2] = BEYOND[dtype]
    path = write(tmp_path / "a.tif", label)
    shown = {"uint64": "9223372036854775813", "float64": r"1e\+300", "float32": "-1.00000.*"}[dtype]
    with pytest.raises(UserError, match=rf"a\.tif has the value {shown} at row 1, column 2"):
        ClassRaster(path, NAMES).read(WHOLE)
    declared = ClassRaster(path, NAMES, label_nodata=float(label[0, 1, 2])) if dtype != "uint64" else None
    if declared is not None:
        assert unlabelled(declared.read(WHOLE)) == [[1, 2]]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_labels_are_refused(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "a.tif", classes(dtype))
    for make in (lambda: ClassRaster(path, NAMES), lambda: NumberRaster(path, ["agb"])):
        with pytest.raises(UserError, match=rf"a\.tif holds complex numbers \({dtype}\)"):
            make()
