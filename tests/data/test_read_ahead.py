"""Batches that threads read ahead: those that torch's loader makes of the same samples, whoever reads them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from geocompose.data.augmentation import AS_IT_IS
from geocompose.data.batch_memory import BatchMemory
from geocompose.data.fitting import fitted_image
from geocompose.data.normalization import Normalization, without_frames
from geocompose.data.tiles import BLANK, ShuffledTiles, TileDataset
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.data_modules import geotiff, geotiff_classification, geotiff_reconstruction, geotiff_regression
from tests.kit.data_rasters import BANDS, arguments, image, label, pair, write
from tests.kit.loaded import loaded
from tests.kit.vrts import vrt_band, write_vrt


def integers(root):
    """Chips of 16-bit numbers with missing data, written in blocks."""
    for seed, key in enumerate("abcd"):
        pixels = image(seed, 48, 48, dtype="uint16")
        pixels[1, 5:9, 30:] = 0
        blocks = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
        write(root / f"{key}_img.tif", pixels, BANDS, nodata=0, **blocks)
        write(root / f"{key}_lab.tif", label(seed, 48, 48, dtype="uint8"))
    return geotiff(**arguments(root, dihedral=True))


def crops(root):
    return geotiff(**arguments(pair(root, nodata=7), dihedral=True, random_crop=True))


def turned(root):
    return geotiff(**arguments(pair(root), dihedral=True, rotation_deg=20.0))


def cut_off(root):
    return geotiff(**arguments(pair(root, height=21, width=50), dihedral=True))


def frames(root):
    """Three frames, of which one has no data in one image."""
    for seed, key in enumerate("abcd"):
        pixels = image(seed, 16, 16, 15)
        pixels[5:10, :, : 16 if key == "b" else 3] = -1
        write(root / f"{key}_img.tif", pixels, BANDS * 3, nodata=-1)
        write(root / f"{key}_lab.tif", label(seed, 16, 16))
    return geotiff(**arguments(root, dihedral=True, num_frames=3, missing_frames="mask", band_names=BANDS))


def several_files(root):
    """A further raster of another type and unit beside each image, its bands among the others'."""
    for seed, key in enumerate("abcd"):
        pair(root, key, seed, height=16, width=16)
        power = np.random.default_rng(seed).uniform(0.1, 1, (2, 16, 16))
        write(root / f"{key}_sar.tif", power, ["VV", "VH"], nodata=float("nan"))
    more = [{"images": "*_sar.tif", "unit": "db"}]
    return geotiff(**arguments(root, dihedral=True, more_images=more, bands=["VH", "RED", "VV", "BLUE"]))


def mixed_types(root):
    """Each image a VRT of bands of different types."""
    for seed, key in enumerate("abcd"):
        inner = write(root / "inner" / f"{key}.tif", image(seed, 16, 16, 2, "uint16"), BANDS[:2])
        kinds = zip(BANDS, ("UInt16", "Float32"), strict=False)
        bands = [vrt_band(i, name, kind, inner) for i, (name, kind) in enumerate(kinds, 1)]
        write_vrt(root / f"{key}_img.vrt", bands, 16, 16)
        write(root / f"{key}_lab.tif", label(seed, 16, 16), crs=None, transform=None)
    return geotiff(**arguments(root, images="*_img.vrt", dihedral=True))


def numbers(root):
    pair(root, nodata=7)
    write(root / "a_lab.tif", image(9, bands=2))
    given = arguments(root, variables=["height", "age"], dihedral=True)
    return geotiff_regression(**{key: value for key, value in given.items() if key != "class_names"})


def no_labels(root):
    for seed, key in enumerate("abcd"):
        pair(root, key, seed, nodata=7)
    given = arguments(root, dihedral=True)
    return geotiff_reconstruction(**{key: given[key] for key in given if key not in ("labels", "class_names")})


def shrunk(root):
    """Images with a class each, some larger than a sample and some smaller."""
    for seed, (name, side) in enumerate((n, s) for n in ("one", "two") for s in (12, 16, 20, 30, 17)):
        write(root / name / f"{side}.tif", image(seed, side, side + 3), BANDS)
    given = {"root": str(root), "images": "*/*.tif", "fit": "resize", "tile_px": 16}
    return geotiff_classification(**given, batch_size=4, dihedral=True)


KINDS = [integers, crops, turned, cut_off, frames, several_files, mixed_types, numbers, no_labels, shrunk]


def by_hand(data, dataset: TileDataset, item):
    """A sample step by step: read, normalised, fitted, mirrored and turned, each a copy of the one before."""
    index, seed = item
    torch.manual_seed(seed)
    tile = dataset.tiles[index]
    scene, window = dataset.scenes[tile.scene], tile.window
    if dataset.regions is not None:
        region = dataset.regions[index].window
        height, width = min(dataset.tile_px, region.height), min(dataset.tile_px, region.width)
        row, column = (
            int(torch.randint(most - side + 1, ())) for most, side in ((region.height, height), (region.width, width))
        )
        window = Window(region.row + row, region.column + column, height, width)
    view = AS_IT_IS if dataset.augment is None else dataset.augment.draw_view()
    bands = dataset.bands[tile.scene]
    raw, valid = scene.read_image(window, bands)
    normalized = without_frames(Normalization(data.mean, data.std)(raw, valid), scene.masked_frames(bands))
    pixels = view.of(torch.from_numpy(fitted_image(normalized, dataset.tile_px)))
    truth = dataset.labels.without(scene.read_label(window), valid)
    missing = [max(0, dataset.tile_px - side) for side in (window.height, window.width)]
    truth = torch.as_tensor(dataset.labels.as_sample(dataset.labels.padded(truth, *missing)))
    if dataset.labels.key == "label":
        return dataset.augment.turn(pixels, None)[0], truth
    return dataset.augment.turn(pixels, view.of(truth))


@pytest.mark.parametrize("cache_mb", [0, 100])
@pytest.mark.parametrize("make", KINDS)
def test_a_sample_is_what_its_steps_make_one_by_one_to_the_bit(make, cache_mb, tmp_path):
    data = make(tmp_path)
    data._source.__dict__["cache_mb"] = cache_mb
    data.setup()
    loader = data.train_dataloader()
    for item in ShuffledTiles(len(loader.dataset), seed=3):
        sample = loader.dataset[item]
        pixels, truth = by_hand(data, loader.dataset, item)
        assert sample["image"].is_contiguous()
        assert torch.equal(sample["image"].nan_to_num(99.0), pixels.nan_to_num(99.0))
        assert torch.equal(sample[loader.dataset.labels.key].nan_to_num(99), truth.nan_to_num(99))
        written = torch.full(sample["image"].shape, 5.0)
        again = loader.dataset.sample(item, written)["image"]
        assert torch.equal(again.nan_to_num(99.0), pixels.nan_to_num(99.0))


def epochs(loader, number=2):
    return [batch for _ in range(number) for batch in loader]


def assert_same(batches, others):
    assert len(batches) == len(others) > 1
    for batch, other in zip(batches, others, strict=True):
        assert list(batch) == list(other)
        for key in batch:
            assert torch.equal(batch[key], other[key]), key


@pytest.mark.parametrize("num_workers", [0, 2, "auto"])
@pytest.mark.parametrize("make", [integers, crops, turned])
def test_batches_are_those_of_torchs_loader_whoever_reads_them(make, num_workers, tmp_path):
    data = make(tmp_path)
    data.num_workers = num_workers
    torch.manual_seed(5)
    data.setup()
    loader = data.train_dataloader()
    plain = DataLoader(
        loader.dataset, data.batch_size, sampler=ShuffledTiles(len(loader.dataset), 5), drop_last=loader.drop_last
    )
    torch.manual_seed(1)
    expected = epochs(plain)
    drawn_next = torch.rand(3)
    torch.manual_seed(1)
    assert_same(epochs(loader), expected)
    if num_workers != 2:  # torch's own loader draws otherwise where it has persistent workers
        assert torch.equal(torch.rand(3), drawn_next), "what the training draws next"


def test_a_batch_that_is_held_keeps_its_numbers(tmp_path):
    loader = loaded(pair(tmp_path), batch_size=2, num_workers=0).in_order("train")
    held, copies = [], []
    for batch in loader:
        held.append(batch["image"][:, 1:])  # a part of it holds its memory as well
        copies.append(batch["image"][:, 1:].clone())
    assert all(map(torch.equal, held, copies))


def test_memory_comes_back_when_nothing_holds_it_and_no_earlier():
    memory = BatchMemory(2)
    first = memory.take((2, 3, 4))
    assert first.data_ptr() % 64 == 0
    place, part = first.data_ptr(), first[1]
    del first
    assert memory.take((2, 3, 4)).data_ptr() != place
    part[...] = 7.0
    del part
    assert place in {tensor.data_ptr() for tensor in [memory.take((2, 3, 4)) for _ in range(1)] + [memory.take((1, 3))]}


def test_samples_that_threads_draw_at_once_are_those_of_one_thread(tmp_path):
    data = turned(tmp_path)
    data.setup()
    dataset = data.train_dataloader().dataset
    items = [(index % len(dataset), seed) for seed, index in enumerate(range(40))]
    one_by_one = [dataset[item]["image"] for item in items]
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as threads:
        assert all(map(torch.equal, one_by_one, (sample["image"] for sample in threads.map(dataset.sample, items))))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_a_thread_finds_stops_the_run_in_the_same_words(tmp_path):
    data = loaded(pair(tmp_path), cache_mb=0)
    (tmp_path / "a_img.tif").unlink()
    with pytest.raises(UserError, match=r"a_img\.tif"):
        list(data.in_order("train"))


def test_an_epoch_may_be_left_before_its_end_and_begun_anew(tmp_path):
    loader = loaded(pair(tmp_path), batch_size=1).in_order("train")
    first = next(iter(loader))
    assert_same([first, *epochs(loader, 1)], [first, *epochs(loader, 1)])
    assert [int(batch["tile"]) for batch in loader] == list(range(9))
    assert loader.waited_s > 0


def test_a_blank_is_read_into_its_batch_too(tmp_path):
    dataset = loaded(pair(tmp_path)).in_order("train").dataset
    place = torch.empty(dataset[0]["image"].shape)
    blank = dataset.sample(BLANK, place)
    assert blank["tile"] == BLANK
    assert torch.equal(place, dataset[0]["image"])
