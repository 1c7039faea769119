import pickle

import numpy as np
import pytest
import torch

from geocompose.data.augmentation import augmentation
from geocompose.data.labels.segmentation import SegmentationLabels
from geocompose.data.scene import ArrayScene
from geocompose.data.tiles import ShuffledTiles, TileDataset
from geocompose.data.window import Region, Window, grid


def made():
    """An image whose first band is its row and second its column, and a label of row + column, odd or even."""
    row, column = np.mgrid[:40, :50]
    return np.stack([row, column]).astype(np.float32), (row + column) % 2


class HalfMissing(ArrayScene):
    """Without data in the columns from 20 on."""

    def read_planes(self, window, bands):
        planes = super().read_planes(window, bands)
        return planes._replace(valid=planes.valid & (window.column + np.arange(window.width) < 20))


REGION = Window(4, 6, 36, 40)
LABELS = SegmentationLabels(["even", "odd"], -1)


def dataset(kind=ArrayScene, region=REGION, tile_px=16, crop=False, augment=None):
    whole = Region(0, region)
    cells = grid(whole, tile_px)
    regions = [whole] * len(cells) if crop else None
    scene = kind("s", 40, 50, ["A", "B"], made)
    return TileDataset([scene], [[0, 1]], cells, tile_px, [2.0, 3.0], [2.0, 4.0], LABELS, regions, augment)


def test_tiles_have_shape_type_and_normalised_values():
    sample = dataset()[0]
    assert sample["image"].shape == (2, 16, 16)
    assert sample["image"].dtype == torch.float32
    assert sample["mask"].shape == (16, 16)
    assert sample["mask"].dtype == torch.int64
    assert sample["tile"] == 0
    assert type(sample["image"]) is torch.Tensor
    assert sample["image"][0, 0, 0] == (4 - 2) / 2
    assert sample["image"][1, 0, 5] == (11 - 3) / 4
    assert sample["mask"][0, 1] == (4 + 7) % 2


def test_tiles_cover_each_pixel_of_the_region_once():
    seen = np.zeros((40, 50), dtype=int)
    data = dataset()
    for i, tile in enumerate(data.tiles):
        seen[tile.window.slices] += 1
        mask = data[i]["mask"]
        assert int((mask >= 0).sum()) == tile.window.height * tile.window.width
    assert seen[4:40, 6:46].min() == 1
    assert seen.sum() == 36 * 40


def test_edge_tiles_are_padded_with_zero_and_the_ignore_index():
    sample = dataset()[-1 + len(dataset())]
    assert (sample["image"][:, 4:] == 0).all()
    assert (sample["image"][:, :, 8:] == 0).all()
    assert (sample["mask"][4:] == -1).all()
    assert (sample["mask"][:4, :8] >= 0).all()


def test_pixels_without_image_data_are_zero_and_ignored():
    sample = dataset(HalfMissing)[0]
    assert (sample["mask"][:, 14:] == -1).all()
    assert (sample["image"][:, :, 14:] == 0).all()
    assert (sample["mask"][:, :14] >= 0).all()


def places(sample):
    """Row and column that each pixel of a sample shows."""
    return (sample["image"][0] * 2 + 2).round().long(), (sample["image"][1] * 4 + 3).round().long()


def test_random_crops_stay_in_their_region_and_reach_all_of_it():
    data = dataset(crop=True)
    rows, columns = zip(*(places(data[i % len(data), i]) for i in range(400)), strict=True)
    assert (min(map(torch.min, rows)), max(map(torch.max, rows))) == (4, 39)
    assert (min(map(torch.min, columns)), max(map(torch.max, columns))) == (6, 45)
    assert len({int(row[0, 0]) for row in rows}) == 36 - 16 + 1


def test_random_crops_of_a_region_smaller_than_a_tile_are_padded():
    sample = dataset(region=Window(0, 0, 8, 40), crop=True)[0, 7]
    assert (sample["mask"][8:] == -1).all()
    assert (sample["mask"][:8] >= 0).all()


def test_dihedral_changes_are_the_eight_exact_ones_and_keep_image_and_mask_together():
    data = dataset(augment=augmentation(dihedral=True, rotation_deg=0, no_label=-1))
    plain = dataset()[0]["image"]
    expected = [torch.rot90(turned, k, (1, 2)) for turned in (plain, plain.flip(2)) for k in range(4)]
    counts = [0] * 8
    for seed in range(160):
        sample = data[0, seed]
        row, column = places(sample)
        assert torch.equal(sample["mask"], (row + column) % 2)
        counts[next(i for i, image in enumerate(expected) if torch.equal(image, sample["image"]))] += 1
    assert min(counts) > 8


def test_rotation_fills_corners_with_zero_and_the_ignore_index():
    data = dataset(augment=augmentation(dihedral=False, rotation_deg=45, no_label=-1))
    samples = [data[0, seed] for seed in range(40)]
    # Next to the border the image fades; further out there is nothing left of it.
    outside = [sample for sample in samples if sample["mask"][1, 1] == -1]
    assert outside
    assert all((sample["image"][:, 0, 0] == 0).all() for sample in outside)
    assert all(set(sample["mask"].unique().tolist()) <= {-1, 0, 1} for sample in samples)


def test_no_augmentation_is_none():
    assert augmentation(dihedral=False, rotation_deg=0.0, no_label=-1) is None


def test_a_seed_decides_a_sample_and_leaves_the_global_generator_alone():
    data = dataset(crop=True, augment=augmentation(dihedral=True, rotation_deg=10, no_label=-1))
    before = torch.get_rng_state()
    first = data[2, 11]
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    assert torch.equal(first["image"], data[2, 11]["image"])
    assert not torch.equal(first["image"], data[2, 12]["image"])


def test_shuffled_tiles_depend_on_seed_and_epoch_alone():
    sampler = ShuffledTiles(6, seed=5)
    first, second = list(sampler), list(sampler)
    assert sorted(index for index, _ in first) == list(range(6))
    assert first != second
    sampler.set_epoch(0)
    assert list(sampler) == first
    resumed = ShuffledTiles(6, seed=5)
    resumed.set_epoch(1)
    assert list(resumed) == second
    assert list(ShuffledTiles(6, seed=6)) != first


def test_a_scene_is_sent_to_another_process_without_its_pixels():
    scene = ArrayScene("s", 40, 50, ["A", "B"], made)
    image, _ = scene.read_image(Window(0, 0, 40, 50), [0, 1])
    sent = pickle.dumps(scene)
    assert len(sent) < 2000
    assert np.array_equal(pickle.loads(sent).read_image(Window(0, 0, 40, 50), [0, 1])[0], image)


@pytest.mark.parametrize(("cell", "count"), [(16, 9), (100, 1), (1, 36 * 40)])
def test_grid_cells_tile_a_region(cell, count):
    cells = grid(Region(0, REGION), cell)
    assert len(cells) == count
    assert sum(c.window.height * c.window.width for c in cells) == 36 * 40


def test_a_sample_does_not_depend_on_torchs_default_type():
    """Half precision changes it while samples are read."""
    data = dataset(crop=True, augment=augmentation(dihedral=True, rotation_deg=0, no_label=-1))
    items = [(index, 7 + index) for index in range(len(data))]
    samples, drawn = [data[item] for item in items], [data.drawn(item) for item in items]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        again = [data[item] for item in items]
        assert [data.drawn(item) for item in items] == drawn
    finally:
        torch.set_default_dtype(before)
    for sample, other in zip(samples, again, strict=True):
        assert torch.equal(sample["image"], other["image"])
        assert torch.equal(sample["mask"], other["mask"])
