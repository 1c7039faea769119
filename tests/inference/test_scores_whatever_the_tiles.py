"""The scores of a pixel-by-pixel model are the same whatever the tiles, the batches and the number of processes."""

import numpy as np
import pytest
import torch
from torch import nn

from geocompose.imagery.samples import Target
from geocompose.inference.scoring import count_split
from geocompose.models import ModelOutput
from geocompose.tasks.split_counts import SplitCounts
from tests.kit.data_modules import geotiff, geotiff_regression
from tests.kit.data_rasters import BANDS, image, label, write

SIZE = (530, 600)  # no multiple of any tile


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return rasters with holes in image and label, of which all but two are for testing."""
    root = tmp_path_factory.mktemp("rasters")
    random = np.random.default_rng(3)
    for number, split in enumerate(("train", "val", "test")):
        pixels = image(number, *SIZE)
        pixels[:, 100:140, 37:90] = -1
        classes = label(number, *SIZE)
        classes[random.random(SIZE) < 0.05] = -1
        write(root / f"{split}_img.tif", pixels, BANDS, nodata=-1)
        write(root / f"{split}_lab.tif", classes)
        write(root / f"{split}_num.tif", random.normal(5, 2, SIZE).astype("float32"))
        (root / f"{split}.txt").write_text(f"{split}_img.tif\n")
    return root


class Pointwise(nn.Module):
    """Says of each pixel what its bands alone tell."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(len(BANDS), outputs, 1)

    def forward(self, x, **_):
        said = self.layer(x)
        return ModelOutput(said if said.shape[1] > 1 else said[:, 0])


def data_of(folder, kind, tile_px, batch_size):
    splits = {split: str(folder / f"{split}.txt") for split in ("train", "val", "test")}
    given = {"root": str(folder), "images": "*_img.tif", "split": None, "split_files": splits, "normalize": "none"}
    given |= {"tile_px": tile_px, "batch_size": batch_size, "dihedral": False}
    if kind == "segmentation":
        data = geotiff(**given, labels="*_lab.tif", class_names=["land", "water"], ignore_index=-1)
    else:
        data = geotiff_regression(**given, labels="*_num.tif", variables=["height"])
    data.setup()
    return data


def scores_of(folder, kind, tile_px, batch_size):
    data = data_of(folder, kind, tile_px, batch_size)
    return count_split(Pointwise(2 if kind == "segmentation" else 1), data, "test", data.target).scores()


@pytest.mark.parametrize("kind", ["segmentation", "regression"])
def test_scores_are_the_same_for_tiles_of_64_128_and_512_and_batches_of_1_4_and_7(folder, kind):
    expected = scores_of(folder, kind, 64, 4)
    assert expected["mIoU" if kind == "segmentation" else "RMSE"] > 0
    for tile_px, batch_size in ((64, 1), (64, 7), (128, 4), (512, 1), (512, 4)):
        found = scores_of(folder, kind, tile_px, batch_size)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-6, nan_ok=True), (tile_px, batch_size, name)


def test_two_processes_count_as_one_does_though_the_sampler_repeats_tiles():
    target = Target("segmentation", ("land", "water"), -1)
    draw = torch.Generator().manual_seed(0)
    output = torch.randn(5, 2, 9, 9, generator=draw)
    truth = torch.randint(-1, 2, (5, 9, 9), generator=draw)
    one = SplitCounts(target, 5)
    one.update(output, truth, torch.arange(5))
    halves = []
    for tiles in ([0, 2, 4], [1, 3, 0]):  # the first tile fills the second process's last batch
        halves.append(SplitCounts(target, 5))
        halves[-1].update(output[tiles], truth[tiles], torch.tensor(tiles))
    for name in ("counts", "calibration", "thresholds"):
        metrics = [getattr(half, name) for half in halves]
        reduce = metrics[0]._reductions["per_tile"]
        merged = reduce(torch.stack([metric.per_tile for metric in metrics]))
        assert torch.equal(merged, getattr(one, name).per_tile), name
