"""Time a training step of a composed model against the same model from segmentation_models.pytorch, alternating.

    python benchmarks/step.py [rounds]

Prints the median seconds of each, and the median of the ratios of paired steps: ratios vary less than times on a noisy
machine.
"""

import statistics
import sys
import time
from collections.abc import Callable

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from geocompose.factory import EncoderDecoderFactory

BATCH, BANDS, SIZE, CLASSES = 8, 6, 128, 4


def step_of(model: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters())
    image = torch.randn(BATCH, BANDS, SIZE, SIZE)
    mask = torch.randint(0, CLASSES, (BATCH, SIZE, SIZE))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(forward(image), mask).backward()
        optimizer.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    ours = EncoderDecoderFactory(image_size=(SIZE, SIZE)).build_model(
        "segmentation", "timm_resnet18", "smp_Unet", backbone_in_chans=BANDS, num_classes=CLASSES, necks="auto"
    )
    theirs = smp.Unet("tu-resnet18", encoder_weights=None, in_channels=BANDS, classes=CLASSES)
    counts = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    a, b = step_of(ours, lambda image: ours(image).output), step_of(theirs, theirs)
    for step in (a, b):
        step()  # warm-up
    pairs = [(seconds(a), seconds(b)) for _ in range(rounds)]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH} of {BANDS} x {SIZE} x {SIZE}")
    print(f"composed: {statistics.median(x for x, _ in pairs):.3f} s, {counts[0]:,} parameters")
    print(f"smp.Unet: {statistics.median(y for _, y in pairs):.3f} s, {counts[1]:,} parameters")
    print(f"ratio, pair by pair: {statistics.median(x / y for x, y in pairs):.2f}")


if __name__ == "__main__":
    main()
