"""Map a scene from disk to disk, beside the model's own throughput and TerraTorch's tiled inference in memory.

    python benchmarks/scene.py [side px] [--rounds 10] [--sizes 2500 10000] [--light] [--bf16]

The scene is made: 6 bands of uint16, blocks of 256 px, deflate. The model is a tiny Prithvi with an FCN of 64 channels,
not trained; windows of 224 px, a stride of 192, 16 at a time. In each round the sides take their turns; ratios are
formed within a round, and medians and ranges are over rounds. "What the overlap leaves" is the model's own throughput
times the share of its pixels that are written. `--sizes` maps scenes of other sides, each once in a process of its own,
and prints the peak of its memory, and by the processor's time its rate and the share of what the overlap leaves;
`--light` does so with a small convolutional model, whose own memory hides less. With `--bf16` ours computes as
`action.precision=bf16` does, and TerraTorch's tiled inference once in float32 and once under autocast to bfloat16.
Where TerraTorch is not installed, its rows are left out. On a machine with other work, the processor's time tells more
than the clock.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402 - found by the lines above
import rasterio  # noqa: E402
import torch  # noqa: E402
from rasterio.transform import Affine  # noqa: E402
from rasterio.windows import Window  # noqa: E402
from torch import Tensor  # noqa: E402

from geocompose.imagery.bands import HLS_BANDS  # noqa: E402
from geocompose.inference.raster import predict_raster  # noqa: E402
from geocompose.inference.reading import Reading  # noqa: E402
from geocompose.inference.windows import plan_windows  # noqa: E402
from tests.kit.made_runs import TARGETS, TINY, make_run, trained  # noqa: E402

TILE_PX, STRIDE_PX, BATCH = 224, 192, 16
TARGET = TARGETS["segmentation"]
MEAN, STD = 1500.0, 800.0
PRITHVI = ("backbone=prithvi", "decoder=fcn", "decoder.channels=64")


class Spent(NamedTuple):
    """Seconds by the clock and of the processor."""

    wall: float
    computed: float


def made_scene(path: Path, side: int) -> Path:
    """Write noise over smooth waves, strip by strip."""
    rng = np.random.default_rng(0)
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=len(HLS_BANDS), dtype="uint16", tiled=True,
        blockxsize=256, blockysize=256, compress="deflate", predictor=2, BIGTIFF="IF_SAFER", crs="EPSG:32633",
        transform=Affine(30, 0, 4e5, 0, -30, 5e6), nodata=0,
    ) as file:  # fmt: skip
        file.descriptions = HLS_BANDS
        for row in range(0, side, 256):
            rows, columns = np.mgrid[row : min(row + 256, side), 0:side]
            waves = 1500 + 800 * np.sin(rows / 97) * np.cos(columns / 131)
            strip = rng.integers(0, 200, (len(HLS_BANDS), *rows.shape)) + waves
            file.write(strip.astype("uint16"), window=Window(0, row, side, len(rows)))
    return path


def mapped(model: Callable[..., Tensor], scene: Path, out: Path) -> None:
    """Make the map of a scene, as `action=predict` does."""
    bands = len(HLS_BANDS)
    reading = Reading(bands=HLS_BANDS, mean=[MEAN] * bands, std=[STD] * bands)
    predict_raster(
        model, scene, out, target=TARGET, content="classes", reading=reading, tile_px=TILE_PX,
        overlap_px=TILE_PX - STRIDE_PX, batch_size=BATCH,
    )  # fmt: skip


def terratorch_model() -> Callable[[Tensor], Tensor] | None:
    """Return the same composition of TerraTorch's parts; None where it is not installed."""
    try:
        from terratorch.models import EncoderDecoderFactory
    except ImportError:
        return None
    necks: list[dict[str, Any]] = [{"name": "SelectIndices", "indices": [-1]}, {"name": "ReshapeTokensToImage"}]
    model = EncoderDecoderFactory().build_model(
        task="segmentation", backbone="prithvi_eo_v2_tiny_tl", backbone_pretrained=False, decoder="FCNDecoder",
        backbone_bands=list(HLS_BANDS), necks=necks, decoder_channels=64, num_classes=len(TARGET.names),
    )  # fmt: skip
    model.eval()
    return lambda images: model(images).output


def terratorch_map(model: Callable[[Tensor], Tensor], image: Tensor) -> None:
    """Run TerraTorch's tiled inference over an image in memory, normalised already; nothing is read or written."""
    from terratorch.tasks.tiled_inference import tiled_inference

    tiled_inference(model, image, crop=TILE_PX, stride=STRIDE_PX, batch_size=BATCH).argmax(dim=1)


def spent(work: Callable[[], object]) -> Spent:
    """Return the seconds that something takes."""
    wall, computed = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - computed)


def peak_gflops() -> float:
    """Return what a product of two large matrices reaches in this process."""
    one, other = torch.randn(2048, 2048), torch.randn(2048, 2048)
    one @ other
    return 2 * 2048**3 / min(spent(lambda: one @ other).wall for _ in range(5)) / 1e9


def own_throughput(model: Callable[..., Tensor], batches: int = 3) -> Callable[[], object]:
    """Return what runs a model over batches in memory."""
    images = torch.randn(BATCH, len(HLS_BANDS), TILE_PX, TILE_PX)

    def work() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                model(images)

    return work


def in_bf16(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a model that computes under autocast to bfloat16."""

    def run(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(images).float()

    return run


def compare(side: int, rounds: int, folder: Path, *, bf16: bool) -> None:
    """Print the ratios of the sides, which take their turns in each round."""
    scene, out = made_scene(folder / "scene.tif", side), folder / "map.tif"
    run = make_run(folder / "run", TARGET, tile_px=TILE_PX, composition=PRITHVI)
    ours = trained(run).on_best_device("bf16" if bf16 else "fp32")
    model = terratorch_model()
    theirs = {} if model is None else {"float32": model, **({"bf16": in_bf16(model)} if bf16 else {})}
    torch.set_float32_matmul_precision("highest")  # TerraTorch's import sets "medium" for the whole process
    with rasterio.open(scene) as file:
        image = (torch.from_numpy(file.read().astype("float32"))[None] - MEAN) / STD if theirs else None
    windows = len(plan_windows(side, side, TILE_PX, TILE_PX - STRIDE_PX))
    left = side**2 / (windows * TILE_PX**2)
    raw, batches = own_throughput(ours), 3
    raw(), mapped(ours, scene, out)  # warm-up
    own, disk = [], []
    tiled: dict[str, list[Spent]] = {precision: [] for precision in theirs}
    for number in range(rounds):
        own.append(spent(raw))
        disk.append(spent(lambda: mapped(ours, scene, out)))
        own.append(spent(raw))  # before and after, so that a slow minute of the machine is in both
        for precision, other in theirs.items():
            tiled[precision].append(spent(partial(terratorch_map, other, image)))
        seconds = (f"{one[-1].wall:.1f} s" for one in (own, disk, *tiled.values()))
        print(f"round {number + 1} of {rounds}", *seconds, file=sys.stderr)
    print(
        f"{side} x {side} px, {windows} windows of {TILE_PX} px, stride {STRIDE_PX}, batch {BATCH}; torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads, ours in {'bf16' if bf16 else 'float32'}, float32 "
        f"products at {torch.get_float32_matmul_precision()}, {peak_gflops():.0f} GFLOP/s in one of 2048² matrices"
    )
    pixels = side**2 / 1e6
    leaves = left * batches * BATCH * TILE_PX**2 / 1e6  # what would be written of the batches
    for field, by in enumerate(("by the clock", "by the processor's time")):
        both = [statistics.mean((own[2 * place][field], own[2 * place + 1][field])) for place in range(rounds)]
        rates = [[pixels / one[field] for one in disk], [leaves / seconds for seconds in both]]
        _row(f"disk to disk, of what the overlap leaves of the model's own, {by}", *rates)
        for precision, times in tiled.items():
            _row(f"disk to disk, of TerraTorch's tiled inference in memory in {precision}, {by}", rates[0],
                 [pixels / one[field] for one in times])  # fmt: skip
    if not theirs:
        print("TerraTorch is not installed: no comparison")


def _row(what: str, ours: list[float], others: list[float]) -> None:
    """Print a ratio of rates in Mpx/s, round by round: its median and range, and the medians of both."""
    ratios = [one / other for one, other in zip(ours, others, strict=True)]
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{ratio:<22} {what:<92} {statistics.median(ours):.3f} / {statistics.median(others):.3f} Mpx/s")


def memory(sides: list[int], folder: Path, *, light: bool) -> None:
    """Print the peak memory of a map of each size, each in its own process."""
    first = None
    for side in sides:
        scene = made_scene(folder / f"scene_{side}.tif", side)
        command = [sys.executable, __file__, "--alone", str(scene), *(["--light"] if light else [])]
        said = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout.split()
        megabytes, seconds, own_s = map(float, said)
        first = first or megabytes
        print(f"{megabytes / first:.2f} of the first size's memory: {side} x {side} px, at most {megabytes:,.0f} MB, "
              f"{side**2 / 1e6 / seconds:.3f} Mpx per second of the processor net of the start, {own_s / seconds:.2f} "
              "of what the overlap leaves of the model's own", flush=True)  # fmt: skip
        scene.unlink()


def alone(scene: Path, *, light: bool) -> None:
    """Map one scene; print the peak memory in MB, the processor's seconds, and the model's own for as many windows."""
    with tempfile.TemporaryDirectory() as name:
        run = make_run(Path(name) / "run", TARGET, tile_px=TILE_PX, composition=TINY if light else PRITHVI)
        model = trained(run).on_best_device()
        took = spent(lambda: mapped(model, scene, Path(name) / "map.tif"))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before the model runs over batches in memory
    with rasterio.open(scene) as file:
        windows = len(plan_windows(file.height, file.width, TILE_PX, TILE_PX - STRIDE_PX))
    raw, batches = own_throughput(model), 3
    raw()
    own = statistics.median(spent(raw).computed for _ in range(5)) / (batches * BATCH)
    print(peak_mb, took.computed, own * windows)


def main() -> None:
    """Compare, then measure memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", nargs="?", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=10, help="0: memory alone")
    parser.add_argument("--sizes", nargs="*", type=int, default=[])
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.alone is not None:
        alone(arguments.alone, light=arguments.light)
        return
    with tempfile.TemporaryDirectory() as name:
        if arguments.rounds:
            compare(arguments.side, arguments.rounds, Path(name), bf16=arguments.bf16)
        memory(arguments.sizes, Path(name), light=arguments.light)


if __name__ == "__main__":
    main()
