"""Time a training step and a forward against TerraTorch, or a loop of timm and smp written by hand, in turn.

    python benchmarks/step.py [--composition prithvi|small|resnet] [--rounds 10] [--batch 4] [--size 224] [--bf16]
                              [--compiled] [--medium]

prithvi: Prithvi-100M (v1) with UPerNet of 256 channels; small: the same with Prithvi-tiny. resnet: ResNet50 with smp's
U-Net. Where TerraTorch is installed it is the other side, and where smp has the composition a loop of its own as well;
ours stands beside them as it was before the settings that docs/speed.md explains (`before`), and with --compiled as
trainer.compile=true has it; the steps that compile are not counted. With --bf16 all sides compute under autocast to
bfloat16, as trainer.precision=bf16-mixed does, and ours stands beside them in float32 once more. With --medium ours
stands beside them at trainer.matmul_precision=medium once more, which is to be seen at delivered settings.

Two settings. equal: float32 products of the highest precision on all sides, gradients clipped on all sides. delivered:
what each side sets by itself; importing TerraTorch sets the precision of the whole process to medium.

All sides are in one process and take their steps in turn, in an order that is turned round each time. The ratio is the
median of the ratios of neighbouring steps, with the interval in which the middle eight tenths of them lie. It is given
for the clock and, on a processor, for the time that the process computed: on a machine with other work the latter is
the one to read.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

BANDS = ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"]
CLASSES = 6
OURS = "geocompose"
PRITHVI = {"prithvi": "prithvi_eo_v1_100", "small": "prithvi_eo_v2_tiny_tl"}


@dataclass
class Side:
    """A model with its optimizer and what it sets by itself; `seconds` are (clock, processor) of each step."""

    model: nn.Module
    output: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    precision: str
    clips: bool
    bf16: bool = False
    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def ours(composition: str, size: int, device: str, *, before: bool = False, compiled: bool = False) -> Side:
    from geocompose.factory import EncoderDecoderFactory
    from geocompose.training.compiling import compile_parts

    factory = EncoderDecoderFactory(image_size=(size, size))
    if composition in PRITHVI:
        model = factory.build_model(
            "segmentation", PRITHVI[composition], "UperNetDecoder", num_classes=CLASSES, necks="auto",
            decoder_channels=256, decoder_joining="enlarged" if before else "small",
        )  # fmt: skip
    else:
        model = factory.build_model(
            "segmentation", "timm_resnet50", "smp_Unet", num_classes=CLASSES, necks="auto", backbone_in_chans=len(BANDS)
        )
    model.to(device)
    if compiled:
        compile_parts(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=None if before else True)
    return Side(model, lambda image: model(image).output, optimizer, "high", clips=True)


def terratorch(composition: str, device: str) -> Side:
    from terratorch.models import EncoderDecoderFactory

    if composition in PRITHVI:
        necks = [
            {"name": "SelectIndices", "indices": [2, 5, 8, 11]},
            {"name": "ReshapeTokensToImage"},
            {"name": "LearnedInterpolateToPyramidal"},
        ]
        model = EncoderDecoderFactory().build_model(
            task="segmentation", backbone=PRITHVI[composition], decoder="UperNetDecoder", decoder_channels=256,
            num_classes=CLASSES, necks=necks, backbone_pretrained=False, backbone_bands=BANDS,
        )  # fmt: skip
    else:
        model = EncoderDecoderFactory().build_model(
            task="segmentation", backbone="timm_resnet50", decoder="UNetDecoder", num_classes=CLASSES,
            decoder_channels=[256, 128, 64, 32, 16], backbone_pretrained=False, backbone_in_chans=len(BANDS),
        )  # fmt: skip
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    return Side(model, lambda image: model(image).output, optimizer, "medium", clips=False)


def by_hand(device: str) -> Side:
    import segmentation_models_pytorch as smp

    model = smp.Unet("tu-resnet50", encoder_weights=None, in_channels=len(BANDS), classes=CLASSES).to(device)
    return Side(model, model, torch.optim.AdamW(model.parameters(), lr=1e-4), "highest", clips=False)


def sides_of(composition: str, size: int, device: str, *, compiled: bool, bf16: bool, medium: bool) -> dict[str, Side]:
    """Return the sides by name, ours first."""
    found = {OURS: ours(composition, size, device), "before": ours(composition, size, device, before=True)}
    if compiled:
        found["compiled"] = ours(composition, size, device, compiled=True)
    if medium:
        found["ours at medium"] = ours(composition, size, device)
        found["ours at medium"].precision = "medium"
    if importlib.util.find_spec("terratorch") is not None:
        found["TerraTorch"] = terratorch(composition, device)
    if composition == "resnet":
        found["timm and smp by hand"] = by_hand(device)
    for side in found.values():
        side.bf16 = bf16
    if bf16:
        found["ours in float32"] = ours(composition, size, device)
    return found


def timed(work: Callable[[], None], device: str) -> tuple[float, float]:
    """Return the seconds of some work, by the clock and as the processor computed them."""
    began, computed = time.perf_counter(), time.process_time()
    work()
    if device != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - began, time.process_time() - computed


def take_turn(side: Side, image: Tensor, mask: Tensor, setting: str) -> None:
    """Time one training step and one forward."""
    device = image.device.type
    torch.set_float32_matmul_precision("highest" if setting == "equal" else side.precision)
    clips = side.clips or setting == "equal"

    def step() -> None:
        side.optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=side.bf16):
            loss = nn.functional.cross_entropy(side.output(image), mask)
        loss.backward()
        if clips:
            nn.utils.clip_grad_norm_(side.model.parameters(), 1.0)
        side.optimizer.step()

    def forward() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=side.bf16):
            side.output(image)

    side.model.train()
    side.seconds.setdefault(f"step, {setting}", []).append(timed(step, device))
    side.model.eval()
    side.seconds.setdefault(f"forward, {setting}", []).append(timed(forward, device))


def peak(device: str, *, bf16: bool) -> float:
    """Return the GFLOP/s of a product of random matrices (2048 x 2048), the best of five, at the present precision."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = (torch.randn(2048, 2048, device=device, dtype=dtype) for _ in range(2))
    a @ b
    return 2 * 2048**3 / min(timed(lambda: a @ b, device)[0] for _ in range(5)) / 1e9


def in_words(one: list[tuple[float, float]], other: list[tuple[float, float]], place: int) -> str:
    """Return the median ratio of neighbouring times and where the middle eight tenths lie."""
    ratios = sorted(a[place] / b[place] for a, b in zip(one, other, strict=True))
    cut = len(ratios) // 10
    return f"{statistics.median(ratios):.2f} [{ratios[cut]:.2f}, {ratios[-1 - cut]:.2f}]"


def compare(composition: str, arguments: argparse.Namespace) -> None:
    """Print the table of a composition."""
    torch.manual_seed(0)
    device = arguments.device
    sides = sides_of(
        composition, arguments.size, device, compiled=arguments.compiled, bf16=arguments.bf16, medium=arguments.medium
    )
    image = torch.randn(arguments.batch, len(BANDS), arguments.size, arguments.size, device=device)
    mask = torch.randint(0, CLASSES, (arguments.batch, arguments.size, arguments.size), device=device)
    for setting in arguments.settings:
        for side in sides.values():
            take_turn(side, image, mask, setting)  # a first step is slower than the others
        for side in sides.values():
            side.seconds = {what: times for what, times in side.seconds.items() if not what.endswith(setting)}
        for round_ in range(arguments.rounds):
            for side in list(sides.values())[:: -1 if round_ % 2 else 1]:
                take_turn(side, image, mask, setting)
    print(f"\n{composition}, {arguments.size} px, batch {arguments.batch}")
    print(f"{'ours / other: clock':<22} {'processor':<20} {'what':<20} {'other side':<22} {'ours s':>7} {'other s':>7}")
    own = sides.pop(OURS)
    for what, times in own.seconds.items():
        for name, side in sides.items():
            theirs = side.seconds[what]
            middle = [statistics.median(pair[0] for pair in each) for each in (times, theirs)]
            print(
                f"{in_words(times, theirs, 0):<22} {in_words(times, theirs, 1):<20} {what:<20} {name:<22} "
                f"{middle[0]:7.3f} {middle[1]:7.3f}"
            )
    for name, side in {OURS: own, **sides}.items():
        print(f"  {name}: {sum(p.numel() for p in side.model.parameters()):,} parameters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--composition", choices=[*PRITHVI, "resnet"], action="append")
    parser.add_argument("--settings", choices=["equal", "delivered"], nargs="+", default=["equal", "delivered"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--medium", action="store_true")
    arguments = parser.parse_args()
    torch.set_float32_matmul_precision("highest")
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.device}, {arguments.rounds} rounds"
        f"{', bf16 autocast' if arguments.bf16 else ''}; product of 2048 x 2048: "
        f"{peak(arguments.device, bf16=arguments.bf16):.0f} GFLOP/s at the highest precision before"
    )
    for composition in arguments.composition or ["prithvi", "resnet"]:
        compare(composition, arguments)
    torch.set_float32_matmul_precision("highest")
    print(f"\nthe product again, at the end: {peak(arguments.device, bf16=arguments.bf16):.0f} GFLOP/s")


if __name__ == "__main__":
    main()
