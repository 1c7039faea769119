"""Say what share of the matrix peak a forward reaches, and which operations miss it.

    python benchmarks/peak.py [--composition prithvi|small|resnet] [--rounds 5] [--batch 4] [--size 224]

The peak is what a product of 2048 x 2048 matrices reaches in the same process; products and forwards take turns, and
both are measured in seconds of the processor, for one thread. The compositions are those of step.py. Operations are
counted as torch does (2 a multiply-add), so that a forward which needs fewer has no advantage here.

The table has an operation per line: its share of the forward's seconds, what it reaches, and the share of the seconds
that would be saved if it reached the peak (all of them, where it has no products). The table is of forwards of its own;
there the last column adds up to what the share of the peak lacks of 1.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from step import BANDS, PRITHVI, ours, timed
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

LEAST_SHARE = 0.005  # of the seconds, to be named in the table


class Operations(TorchDispatchMode):
    """Seconds of the processor and operations of each of torch's operators within it."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: Counter[str] = Counter()
        self.flops: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        began = time.process_time()
        returned = func(*args, **(kwargs or {}))
        name = str(func._overloadpacket)
        self.seconds[name] += time.process_time() - began  # type: ignore[assignment]
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops[name] += count(*args, **(kwargs or {}), out_val=returned)
        return returned


def product_flops_s(a: Tensor, b: Tensor) -> float:
    """Return the operations per second of a product of square matrices, the best of five."""
    return 2 * len(a) ** 3 / min(timed(lambda: a @ b, "cpu")[1] for _ in range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--composition", choices=[*PRITHVI, "resnet"], default="prithvi")
    for name, default in (("--rounds", 5), ("--batch", 4), ("--size", 224)):
        parser.add_argument(name, type=int, default=default)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")
    model = ours(arguments.composition, arguments.size, "cpu", before=False).model.eval()
    image = torch.randn(arguments.batch, len(BANDS), arguments.size, arguments.size)
    a, b = torch.randn(2, 2048, 2048)
    peaks, seconds, seen = [], [], Operations()
    with torch.no_grad():
        model(image), a @ b  # the first of each is slower than the others
        for _ in range(arguments.rounds):
            before = product_flops_s(a, b)
            seconds.append(timed(lambda: model(image), "cpu")[1])
            with seen:
                model(image)
            peaks.append(statistics.mean((before, product_flops_s(a, b))))
    flops, peak, whole = (
        sum(seen.flops.values()) / arguments.rounds,
        statistics.median(peaks),
        sum(seen.seconds.values()),
    )
    shares = sorted(flops / took / each for took, each in zip(seconds, peaks, strict=True))
    print(
        f"{arguments.composition}, {arguments.size} px, batch {arguments.batch}; torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads: {flops / 1e9:.0f} GFLOP in {statistics.median(seconds):.2f} s of the "
        f"processor, {statistics.median(shares):.2f} [{shares[0]:.2f}, {shares[-1]:.2f}] of the peak of "
        f"{peak / 1e9:.0f} GFLOP/s\n"
    )
    print("| share of seconds | GFLOP/s | of the peak | misses, of all seconds | operator |\n|---:|---:|---:|---:|---|")
    for name, took in seen.seconds.most_common():
        if took / whole >= LEAST_SHARE:
            reached = seen.flops[name] / took
            print(
                f"| {took / whole:.3f} | {reached / 1e9:.0f} | {reached / peak:.2f} | "
                f"{(1 - reached / peak) * took / whole:.3f} | {name} |"
            )
    left = sum(took for took in seen.seconds.values() if took / whole < LEAST_SHARE)
    print(f"| {left / whole:.3f} | | | {left / whole:.3f} | all others |")


if __name__ == "__main__":
    main()
