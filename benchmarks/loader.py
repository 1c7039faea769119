"""Time the data loader on chips that it makes: against tensors in memory, against other loaders, and alone.

    python benchmarks/loader.py [--chips 200] [--rounds 10] [--threads 2] [--layout TEXT] [--tables loader epoch]
                                [--earlier FOLDER/src] [--earlier-cache-mb N]

Prints tables with the ratio first. The sides of a table take turns in one process (`--earlier`: in a process beside
it, which waits while others run). A ratio is the median of the rounds' ratios, with the interval from the second
smallest to the second largest, by the clock and by the seconds of the processor (those of worker processes included),
which other work on the machine changes less. Mpx are pixels of 13 bands. --layout: only layouts of chips whose names
hold this text. --earlier: the sources of another version of geocompose to compare with; --earlier-cache-mb: its
data.cache_mb, with fewer chips 0 for what it does with so many that they don't fit. GDAL's own cache of blocks has 64
MB, unless the variable GDAL_CACHEMAX says otherwise: it would hold a few chips whole, but none of a data set that is
worth the name.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import rasterio
import torch
from rasterio.transform import from_origin
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

SIDE, BANDS, BATCH, CLASSES = 512, 13, 8, 2
MEAN, STD = [2000.0] * BANDS, [800.0] * BANDS
LAYOUTS = {
    "deflate, tiles of 256": {"compress": "deflate", "tiled": True, "blockxsize": 256, "blockysize": 256},
    "lzw, strips": {"compress": "lzw"},
}


def write_chips(folder: Path, count: int, layout: dict[str, Any]) -> None:
    """Write chips of smooth terrain with some noise, which compress about as satellite images do."""
    folder.mkdir()
    random = np.random.default_rng(0)
    coarse = random.normal(size=(SIDE // 16, SIDE // 16)).repeat(16, 0).repeat(16, 1)
    terrain = 2000 + 500 * (coarse + np.roll(coarse, 8, 0) + np.roll(coarse, 8, 1))
    ramp = np.linspace(0.5, 1.5, BANDS)[:, None, None]
    image = np.clip(terrain * ramp + random.normal(scale=25, size=(BANDS, SIDE, SIDE)), 1, 20_000).astype(np.uint16)
    label = (terrain > 2000).astype(np.uint8)
    for number in range(count):
        place = {"crs": "EPSG:32633", "transform": from_origin(300_000 + number * 10 * SIDE, 5_000_000, 10, 10)}
        for name, pixels in (("image", image), ("label", label[None])):
            profile = {"count": len(pixels), "height": SIDE, "width": SIDE, "dtype": pixels.dtype} | place | layout
            with rasterio.open(folder / f"{number:04}_{name}.tif", "w", driver="GTiff", **profile) as target:
                target.write(np.roll(pixels, (31 * number, 17 * number), (1, 2)))


def ours(folder: Path, cache_mb: int, *, augment: bool, num_threads: int, num_workers: int = 0) -> DataLoader[Any]:
    """Return geocompose's training loader of the chips, in this or an earlier version, without the scan of a run."""
    from geocompose.data import batches, tiles
    from geocompose.data.augmentation import augmentation
    from geocompose.data.shares import Share
    from geocompose.data.sources import GeoTiffSegmentation
    from geocompose.data.window import Region, Window

    source = GeoTiffSegmentation(
        root=str(folder), images="*_image.tif", labels="*_label.tif", class_names=["low", "high"], name="chips",
        tile_px=SIDE, batch_size=BATCH, band_names=[f"B{number}" for number in range(BANDS)],
    )  # fmt: skip
    collection = source.collection
    collection.keep_decoded(BANDS, cache_mb * 2**20)
    windows = [Region(number, Window(0, 0, SIDE, SIDE)) for number in range(len(collection.scenes))]
    dataset = tiles.TileDataset(
        collection.scenes, [list(range(BANDS))] * len(windows), windows, SIDE, MEAN, STD, collection.labels,
        augment=augmentation(dihedral=True, rotation_deg=0.0, no_label=-1) if augment else None,
    )  # fmt: skip
    readers: dict[str, Any] = {"num_workers": num_workers}
    if "readers" in batches.in_batches.__annotations__:
        from geocompose.data.readers import Readers

        readers = {"readers": Readers(num_workers, num_threads)}
    order = tiles.ShuffledTiles(len(dataset), seed=0)
    return batches.in_batches(dataset, BATCH, share=Share(), shuffled=order, **readers)


class ByHand(Dataset[dict[str, torch.Tensor]]):
    """What one writes with rasterio in ten lines."""

    def __init__(self, folder: Path) -> None:
        self.images = sorted(folder.glob("*_image.tif"))
        self.mean, self.std = (torch.tensor(numbers)[:, None, None] for numbers in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        path = self.images[index]
        with rasterio.open(path) as source:
            image = torch.from_numpy(source.read().astype(np.float32))
        with rasterio.open(str(path).replace("_image", "_label")) as source:
            mask = torch.from_numpy(source.read(1).astype(np.int64))
        image = (image - self.mean) / self.std
        for dim in (-1, -2):
            if torch.rand(1) < 0.5:
                image, mask = image.flip(dim), mask.flip(dim)
        if torch.rand(1) < 0.5:
            image, mask = torch.rot90(image, 1, (-2, -1)), torch.rot90(mask, 1, (-2, -1))
        return {"image": image.contiguous(), "mask": mask.contiguous()}


def by_torchgeo(folder: Path) -> DataLoader[Any] | None:
    """Return torchgeo's loader of the chips, normalised, not augmented; None where it is not installed."""
    try:
        from torchgeo.datasets import RasterDataset, stack_samples
        from torchgeo.samplers import RandomBatchGeoSampler
    except ImportError:
        return None

    class Images(RasterDataset):  # type: ignore[misc]
        filename_glob = "*_image.tif"

    class Labels(RasterDataset):  # type: ignore[misc]
        filename_glob, is_image = "*_label.tif", False

    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (MEAN, STD))

    def normalized(sample: dict[str, Any]) -> dict[str, Any]:
        return sample | {"image": (sample["image"] - mean) / std}

    images = Images(folder, transforms=normalized)
    sampler = RandomBatchGeoSampler(images, size=SIDE, batch_size=BATCH, length=len(list(folder.glob("*_image.tif"))))
    return DataLoader(images & Labels(folder), batch_sampler=sampler, collate_fn=stack_samples)


def in_memory(folder: Path) -> DataLoader[Any]:
    """Return torch's loader of the chips as tensors that are normalised already: nothing is decoded or augmented."""
    loader = ours(folder, 0, augment=False, num_threads=1)
    dataset = loader.dataset
    count = len(dataset)  # type: ignore[arg-type]
    images, masks = torch.empty(count, BANDS, SIDE, SIDE), torch.empty(count, SIDE, SIDE, dtype=torch.int64)
    for number in range(count):
        images[number], masks[number] = dataset[number]["image"], dataset[number]["mask"]
    return DataLoader(TensorDataset(images, masks), BATCH, shuffle=True)


def small_model() -> nn.Module:
    """Three convolutions, which see a quarter of the resolution: about as light as a model on such images can be."""
    return nn.Sequential(
        nn.Conv2d(BANDS, 32, 4, 4), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, CLASSES, 1),
        nn.Upsample(scale_factor=4),
    )  # fmt: skip


class Spent(NamedTuple):
    """Seconds by the clock and of the processor."""

    clock: float
    processor: float


def computed() -> float:
    """Return the seconds that the processor has worked for this process and its children, ended or not."""
    ended = os.times()
    alive = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return time.process_time() + ended.children_user + ended.children_system + sum(t.user + t.system for t in alive)


def epoch(loader: DataLoader[Any], model: nn.Module | None) -> Spent:
    """Return the seconds of an epoch: of training the model, or of reading alone."""
    optimizer = None if model is None else torch.optim.SGD(model.parameters(), 1e-3)
    begun, before = time.perf_counter(), computed()
    for batch in loader:
        image, mask = batch if isinstance(batch, list) else (batch["image"], batch["mask"])
        if model is not None and optimizer is not None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(image), mask).backward()
            optimizer.step()
    return Spent(time.perf_counter() - begun, computed() - before)


def rounds_of(sides: dict[str, Callable[[], Spent]], rounds: int) -> dict[str, list[Spent]]:
    """Return the seconds of each side's epochs, in turns, after one that doesn't count."""
    for side in sides.values():
        side()
    seconds: dict[str, list[Spent]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            seconds[name].append(sides[name]())
    return seconds


def show(title: str, seconds: dict[str, list[Spent]], reference: str, chips: int) -> None:
    """Print a table: the ratios to the reference, their intervals, and each side's median speed by the clock."""
    print(f"\n{title}\n| clock | interval | processor | interval | Mpx/s | side |\n|---|---|---|---|---|---|")
    for name, own in seconds.items():
        cells = []
        for place in range(2):
            ratios = sorted(mine[place] / other[place] for mine, other in zip(own, seconds[reference], strict=True))
            inner = ratios[1:-1] if len(ratios) > 3 else ratios
            cells.append(f"{statistics.median(ratios):.3f} | {inner[0]:.3f} to {inner[-1]:.3f}")
        speed = chips * SIDE**2 / 1e6 / statistics.median(each.clock for each in own)
        print(f"| {cells[0]} | {cells[1]} | {speed:.1f} | {name} |")
    sys.stdout.flush()


class Earlier:
    """An earlier version's loader in a process of its own, which reads an epoch when it is asked for."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        environment = os.environ | {"PYTHONPATH": given.earlier}
        command = [sys.executable, __file__, "--serve", str(folder), "--threads", str(given.threads)]
        if given.earlier_cache_mb is not None:
            command += ["--earlier-cache-mb", str(given.earlier_cache_mb)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self) -> Spent:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("epoch\n")
        self.process.stdin.flush()
        return Spent(*json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        self.process.kill()  # worker processes hold its input open too, so that it sees no end of it
        self.process.wait()


def serve(folder: Path, num_threads: int, cache_mb: int | None) -> None:
    """Read an epoch for each line that comes. cache_mb: None is what this version is delivered with."""
    from geocompose.data.sources import GeoTiffSegmentation

    names = {"images": "*_image.tif", "labels": "*_label.tif", "class_names": ["low", "high"], "name": "chips"}
    if cache_mb is None:
        cache_mb = GeoTiffSegmentation(root=str(folder), **names).cache_bytes // 2**20
    loader = ours(folder, cache_mb, augment=True, num_threads=num_threads)
    for _ in sys.stdin:
        print(json.dumps(epoch(loader, None)), flush=True)


def tables(folder: Path, layout: str, given: argparse.Namespace) -> Iterator[tuple[str, dict[str, list[Spent]], str]]:
    """Yield title, seconds and reference of each table."""
    from geocompose.data.kept_pixels import memory_for_pixels

    cache_mb = memory_for_pixels() // 2**20
    if "loader" in given.tables:
        yield loaders_alone(folder, layout, cache_mb, given)
    if "epoch" in given.tables:
        yield epochs_of_training(folder, layout, cache_mb, given)


def loaders_alone(
    folder: Path, layout: str, cache_mb: int, given: argparse.Namespace
) -> tuple[str, dict[str, list[Spent]], str]:
    """Return title, seconds and reference of reading alone."""
    kept, decoded = (ours(folder, mb, augment=True, num_threads=given.threads) for mb in (cache_mb, 0))
    two = ours(folder, 0, augment=True, num_threads=0, num_workers=2)
    sides = {
        f"geocompose, pixels kept (data.cache_mb={cache_mb})": lambda: epoch(kept, None),
        "geocompose, decoded in each epoch": lambda: epoch(decoded, None),
        "geocompose, decoded in each epoch by 2 worker processes": lambda: epoch(two, None),
        "rasterio by hand": lambda: epoch(hand, None),
    }
    hand = DataLoader(ByHand(folder), BATCH, shuffle=True)
    theirs = by_torchgeo(folder)
    if theirs is not None:
        sides["torchgeo (not augmented)"] = lambda: epoch(theirs, None)
    reference, earlier = next(iter(sides)), None
    if given.earlier:
        earlier = Earlier(given, folder)
        kept_by_it = "as delivered" if given.earlier_cache_mb is None else f"data.cache_mb={given.earlier_cache_mb}"
        sides[f"geocompose, the earlier version, {kept_by_it}"] = earlier
    seconds = rounds_of(sides, given.rounds)
    if earlier is not None:
        earlier.end()
    return f"The loader alone: {layout}, batch {BATCH}", seconds, reference


def epochs_of_training(
    folder: Path, layout: str, cache_mb: int, given: argparse.Namespace
) -> tuple[str, dict[str, list[Spent]], str]:
    """Return title, seconds and reference of training a small model."""
    model, tensors = small_model(), in_memory(folder)
    plain, augmented = (ours(folder, cache_mb, augment=both, num_threads=given.threads) for both in (False, True))
    sides = {
        "tensors in memory": lambda: epoch(tensors, model),
        "geocompose, pixels kept": lambda: epoch(plain, model),
        "geocompose, pixels kept, augmented": lambda: epoch(augmented, model),
    }
    title = f"An epoch of a small model (three convolutions): {layout}"
    return title, rounds_of(sides, given.rounds), "tensors in memory"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (("--chips", 200), ("--rounds", 10), ("--threads", 2)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--layout", default="")
    parser.add_argument("--tables", nargs="+", choices=["loader", "epoch"], default=["loader", "epoch"])
    parser.add_argument("--earlier")
    parser.add_argument("--earlier-cache-mb", type=int)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    os.environ.setdefault("GDAL_CACHEMAX", "64")  # read when GDAL needs its first block
    if given.serve:
        serve(given.serve, given.threads, given.earlier_cache_mb)
        return
    print(
        f"{given.chips} chips of {SIDE} px in {BANDS} bands, uint16; {given.threads} threads, {os.cpu_count()} cores; "
        f"torch {torch.__version__}, rasterio {rasterio.__version__}; medians of {given.rounds} rounds"
    )
    for layout, profile in ((name, each) for name, each in LAYOUTS.items() if given.layout in name):
        with tempfile.TemporaryDirectory() as folder:
            write_chips(Path(folder) / "chips", given.chips, profile)
            for title, seconds, reference in tables(Path(folder) / "chips", layout, given):
                show(title, seconds, reference, given.chips)


if __name__ == "__main__":
    main()
