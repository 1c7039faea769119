"""Raster files stay open from one read to the next, and are opened anew when they were replaced."""

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from geocompose.data.rasters import file
from geocompose.data.rasters.bands import BandNaming
from geocompose.data.rasters.file import opened
from geocompose.data.rasters.image import RasterImage
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.inference_rasters import write

ONES = np.ones((2, 6, 7), dtype="float32")
TWO = ["RED", "GREEN"]


def read(path: Path | str) -> np.ndarray:
    return RasterImage(path, BandNaming()).read(Window(0, 0, 6, 7), [0, 1])[0]


def test_an_archive_or_a_raster_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    for value in (1, 5):
        raster = write(tmp_path / "inner.tif", ONES * value, TWO)
        with zipfile.ZipFile(tmp_path / f"{value}.zip", "w") as archive:
            archive.write(raster, "a.tif")
        os.replace(tmp_path / f"{value}.zip", tmp_path / "a.zip")
        for path in (f"/vsizip/{tmp_path}/a.zip/a.tif", str(raster)):
            assert (read(path) == value).all()


def test_a_raster_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ONES, TWO)
    image = RasterImage(path, BandNaming())
    image.read(Window(0, 0, 2, 2), [0])
    write(path, np.ones((2, 9, 9), "float32"), TWO)
    with pytest.raises(UserError, match=r"a\.tif has changed since its header was read"):
        image.read(Window(0, 0, 2, 2), [0])


def test_few_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(write(tmp_path / "first.tif", ONES, TWO))
    assert opened(tmp_path / "first.tif") is first
    for number in range(70):
        opened(write(tmp_path / f"{number}.tif", ONES, TWO))
    assert len(file._open_files.known) <= 64
    assert opened(tmp_path / "first.tif") is not first
    last = opened(tmp_path / "69.tif")
    monkeypatch.setattr(os, "getpid", lambda: -1)  # after a fork
    assert opened(tmp_path / "69.tif") is not last


def test_a_thread_never_reads_through_the_file_of_another(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ONES, TWO)
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(opened, path).result()
        assert pool.submit(opened, path).result() is theirs
    assert opened(path) is not theirs


def test_a_name_that_is_not_text_is_refused_in_words(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.tif")
    try:
        os.replace(write(tmp_path / "a.tif", ONES, TWO), odd)
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(UserError, match=r"/\\udcff\.tif is not text in UTF-8.*Rename it") as refusal:
        opened(odd)
    str(refusal.value).encode("utf-8")
