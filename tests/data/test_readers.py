"""Who reads samples, and what stays in memory: chosen by the machine, said in a line and recorded."""

import logging

import pytest

from geocompose.data import kept_pixels, readers
from geocompose.data.read_ahead import ReadAhead
from geocompose.errors import UserError
from tests.kit.data_modules import geotiff, synthetic_segmentation
from tests.kit.data_rasters import arguments, pair
from tests.kit.loaded import loaded


@pytest.mark.parametrize(
    ("num_workers", "in_memory", "cores", "cells", "processes", "threads"),
    [
        ("auto", True, 32, 1, 0, 4),
        ("auto", False, 2, 1, 0, 2),
        ("auto", False, 32, 1, 8, 0),
        ("auto", False, 6, 1, 5, 0),
        ("auto", False, 32, 16, 0, 2),
        (0, False, 32, 1, 0, 4),
        (0, True, 1, 1, 0, 1),
        (3, True, 32, 1, 3, 0),
    ],
)
def test_readers_follow_the_number_or_the_machine(
    num_workers, in_memory, cores, cells, processes, threads, monkeypatch
):
    monkeypatch.setattr(readers, "num_cores", lambda: cores)
    monkeypatch.setattr(readers, "num_cells", lambda: cells)
    found = readers.readers(num_workers, in_memory=in_memory)
    assert (found.processes, found.threads) == (processes, threads)
    assert bool(found.why) == (num_workers == "auto")


def test_processes_of_one_run_share_cores(monkeypatch):
    monkeypatch.setattr(readers, "num_cores", lambda: 16)
    assert readers.readers("auto", in_memory=False, processes_here=2).processes == 7
    assert readers.readers("auto", in_memory=False, processes_here=8).threads == 2


def test_what_auto_chose_is_said_and_recorded(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(readers, "num_cores", lambda: 3)
    with caplog.at_level(logging.INFO, "geocompose"):
        data = loaded(pair(tmp_path), num_workers="auto")
    line = "data.num_workers=auto: no worker processes, 3 threads of this one, because the pixels are in memory."
    assert line in caplog.messages
    assert data.readers.as_record() == {"num_workers": 0, "threads": 3, "why": "the pixels are in memory"}
    assert isinstance(data.train_dataloader(), ReadAhead)
    assert loaded(tmp_path, num_workers=0).readers.as_record() == {"num_workers": 0, "threads": 3}
    assert synthetic_segmentation(num_workers="auto").readers.why == "the pixels are in memory"


def test_what_is_read_most_often_is_kept_first_and_the_rest_is_decoded(tmp_path):
    for seed, key in enumerate("abcde"):
        pair(tmp_path, key, seed)
    data = geotiff(**arguments(tmp_path, cache_mb=0))
    one = data.scenes[0].decoded_bytes(5)
    collection = data._collection
    of_split = {split: [region.scene for region in data.regions[split]] for split in data.regions}
    kept = lambda: [number for number, scene in enumerate(data.scenes) if scene.keep_decoded]  # noqa: E731
    for fitting, expected in ((3, of_split["train"]), (4, [*of_split["train"], *of_split["val"]]), (5, range(5))):
        collection.keep_decoded(5, fitting * one)
        assert kept() == sorted(expected)
        assert collection.decodes_in_each_epoch == (fitting < 4)
    collection.keep_decoded(5, one - 1)
    assert kept() == []


def test_what_stays_in_memory_is_said_and_recorded(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="geocompose")
    for seed, key in enumerate("abcde"):
        pair(tmp_path, key, seed)
    one = geotiff(**arguments(tmp_path)).scenes[0].decoded_bytes(5)
    monkeypatch.setattr("geocompose.data.raster_source.memory_for_pixels", lambda: 2 * one)
    assert loaded(tmp_path, cache_mb="auto").loading["images_in_memory"] == "2 of 4"
    assert "The pixels of 2 of 4 images of training and validation stay in memory" in caplog.text
    assert "data.cache_mb=1 keeps all" in caplog.text
    caplog.clear()
    assert loaded(tmp_path, cache_mb=1).loading["images_in_memory"] == "4 of 4"
    assert loaded(tmp_path, cache_mb=0).loading["images_in_memory"] == "0 of 4"
    assert "stay in memory" not in caplog.text
    assert "images_in_memory" not in synthetic_segmentation().loading


def test_pixels_may_take_a_quarter_of_the_free_memory_shared_by_the_cells_of_a_sweep(monkeypatch, tmp_path):
    monkeypatch.setattr(kept_pixels, "free_memory", lambda: 24 * 2**30)
    monkeypatch.setattr(kept_pixels, "num_cells", lambda: 3)
    assert kept_pixels.memory_for_pixels() == 2 * 2**30
    source = geotiff(**arguments(pair(tmp_path), cache_mb="auto"))._source
    assert source.cache_bytes == 2 * 2**30
    monkeypatch.setattr(kept_pixels, "free_memory", lambda: None)
    assert kept_pixels.memory_for_pixels() == 2**30


@pytest.mark.parametrize("key", ["num_workers", "cache_mb"])
def test_another_word_than_auto_is_refused(key, tmp_path):
    with pytest.raises(UserError, match=rf"data\.{key}=many must be a number, 0 or more, or auto"):
        geotiff(**arguments(pair(tmp_path), **{key: "many"}))


def test_nothing_is_read_while_a_model_computes_where_threads_may_not():
    assert readers.readers(0, in_memory=True, by_threads=False) == readers.Readers(0, 0)
    assert readers.readers(3, in_memory=True, by_threads=False) == readers.Readers(3, 0)
    data = synthetic_segmentation(num_scenes=4, scene_px=64, tile_px=32)
    data.threads_read = False
    data.setup()
    assert not isinstance(data.train_dataloader(), ReadAhead)
    assert len(list(data.train_dataloader())) == len(data.train_dataloader())
