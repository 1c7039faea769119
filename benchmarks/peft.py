"""Time and memory of a training step under each option of peft, against full fine-tuning of the same model.

    python benchmarks/peft.py [rounds] [backbone]

All sides take their steps in turn; printed are the ratios of paired steps first (they vary less than times on a noisy
machine), then median seconds, the memory that a step takes beside the libraries, and how much learns. Memory is, on a
processor, the growth of the resident set of a process of each side's own; on a GPU, the peak of allocated memory.
Where terratorch is installed, its LoRA on the same backbone is a side too.
"""

import gc
import importlib.util
import multiprocessing
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from geocompose.configuration.diagnosis import options
from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError, quiet
from geocompose.factory import EncoderDecoderFactory

HERE = Path(__file__).resolve().parent
CONF = HERE.parent / "conf"
# A script's folder stands first in the search path, and this script is called like the library PEFT.
sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != HERE]
GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
BATCH, BANDS, SIZE, CLASSES = (8, 6, 224, 4) if GPU else (4, 6, 96, 4)
BACKBONE = "prithvi_eo_v2_300" if GPU else "prithvi_eo_v2_tiny_tl"
BASE, TERRATORCH = "none", "terratorch's lora"
LORA = {"target_modules": ["q_linear", "v_linear", "mlp.fc1", "mlp.fc2"], "r": 16, "lora_alpha": 16}

Step = Callable[[], None]


def ours(method: str, backbone: str) -> nn.Module:
    """Return a model under an option of peft, with random weights."""
    torch.manual_seed(0)
    factory = EncoderDecoderFactory(image_size=(SIZE, SIZE), coordinates=())
    given = instantiate(yaml.safe_load((CONF / "peft" / f"{method}.yaml").read_text()))
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return factory.build_model(
            "segmentation", backbone, "FCNDecoder", backbone_pretrained=False, num_classes=CLASSES, necks="auto",
            decoder_channels=64, peft_config=given,
        )  # fmt: skip


def theirs(backbone: str) -> nn.Module:
    """Return the same model as TerraTorch makes it, with its LoRA."""
    from terratorch.models import EncoderDecoderFactory as TheirFactory

    torch.manual_seed(0)
    necks = [{"name": "SelectIndices", "indices": [-1]}, {"name": "ReshapeTokensToImage"}]
    model: nn.Module = TheirFactory().build_model(
        "segmentation", backbone, "FCNDecoder", backbone_kwargs={"pretrained": False}, necks=necks,
        num_classes=CLASSES, decoder_kwargs={"channels": 64},
        peft_config={"method": "LORA", "replace_qkv": "qkv", "peft_config_kwargs": LORA},
    )  # fmt: skip
    return model


def built(side: str, backbone: str) -> nn.Module:
    """Return a side's model, on the device and in training mode."""
    model = theirs(backbone) if side == TERRATORCH else ours(side, backbone)
    return model.to(DEVICE).train()


def step_of(model: nn.Module) -> Step:
    """Return a training step: forward, backward and AdamW over what learns."""
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])
    image = torch.randn(BATCH, BANDS, SIZE, SIZE, device=DEVICE)
    mask = torch.randint(0, CLASSES, (BATCH, SIZE, SIZE), device=DEVICE)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=GPU):
            output: Tensor = model(image).output
        nn.functional.cross_entropy(output.float(), mask).backward()
        optimizer.step()
        if GPU:
            torch.cuda.synchronize()

    return step


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak_mb(side: str, backbone: str) -> float:
    """Return by how much building a model and three steps raise the peak of memory."""
    if GPU:
        gc.collect()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step = step_of(built(side, backbone))
        for _ in range(3):
            step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    context = multiprocessing.get_context("fork")  # a child begins with the libraries, and with nothing else
    queue: Any = context.Queue()
    child = context.Process(target=_measured, args=(side, backbone, queue))
    child.start()
    grown: float = queue.get(timeout=600)
    child.join()
    return grown


def _measured(side: str, backbone: str, queue: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = step_of(built(side, backbone))
    for _ in range(3):
        step()
    queue.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def fitting(backbone: str) -> list[str]:
    """Return the options that can adapt the backbone, full fine-tuning first; say which can't."""
    sides = [BASE]
    for name in options(CONF, "peft"):
        if name in (BASE, "other"):  # `other` is any method by its name
            continue
        try:
            ours(name, backbone)
            sides.append(name)
        except UserError as error:
            print(f"{name}: refused. {error}")
    if importlib.util.find_spec("terratorch") is None:
        print("terratorch is not installed: its LoRA is left out.")
    else:
        sides.append(TERRATORCH)
    return sides


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    backbone = sys.argv[2] if len(sys.argv) > 2 else BACKBONE
    where = torch.cuda.get_device_name() if GPU else f"{torch.get_num_threads()} threads"
    precision = "bf16-mixed" if GPU else "32-true"
    print(f"torch {torch.__version__}, {where}, {precision}, {backbone}, batch {BATCH} of {BANDS} x {SIZE} x {SIZE}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # no threads before the processes of `peak_mb` are made
    sides = fitting(backbone)
    memory = {side: peak_mb(side, backbone) for side in sides}
    torch.set_num_threads(threads)
    models = {side: built(side, backbone) for side in sides}
    steps = {side: step_of(model) for side, model in models.items()}
    for step in steps.values():
        step()  # warm-up
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for place in range(rounds):
        for side in sides if place % 2 else reversed(sides):
            taken[side].append(seconds(steps[side]))
    print(f"medians of {rounds} rounds; ratios to full fine-tuning, below 1 is less")
    print(f"{'peft':20} {'time ratio':>10} {'memory ratio':>12} {'s/step':>8} {'MB':>7} {'learns':>11} {'share':>8}")
    for side in sides:
        ratio = statistics.median(one / base for one, base in zip(taken[side], taken[BASE], strict=True))
        sizes = [(each.numel(), each.requires_grad) for each in models[side].parameters()]
        learns, every = sum(size for size, free in sizes if free), sum(size for size, _ in sizes)
        print(
            f"{side:20} {ratio:10.2f} {memory[side] / memory[BASE]:12.2f} {statistics.median(taken[side]):8.3f} "
            f"{memory[side]:7.0f} {learns:11,} {learns / every:8.2%}"
        )


if __name__ == "__main__":
    main()
