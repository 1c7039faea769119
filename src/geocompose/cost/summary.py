"""What a model consists of and costs: parts with shapes in and out, parameters, and operations of one forward."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from geocompose.contracts.backbone import contract_of
from geocompose.contracts.meta import meta_forward, meta_image
from geocompose.cost.ledger import Flops
from geocompose.models.freezing import ever_learns


@dataclass(frozen=True)
class PartSummary:
    """One part: shapes are without the batch. modalities: names of the images that it takes, where it takes several."""

    part: str
    names: list[str]
    modalities: list[str]
    shapes_in: list[tuple[int, ...]]
    shapes_out: list[tuple[int, ...]]
    parameters: int
    trainable: int


@dataclass(frozen=True)
class Summary:
    """A model's parts, parameters and GFLOPs (per image, forward pass, 2 per multiply-add).

    trainable: parameters that learn at some time of a run.
    """

    parts: list[PartSummary]
    parameters: int
    trainable: int
    gflops: float

    def part(self, name: str) -> PartSummary:
        """Return the part of that name."""
        return next(row for row in self.parts if row.part == name)

    def as_record(self) -> dict[str, Any]:
        """Return what a run's record keeps."""
        return {"parameters": self.parameters, "trainable": self.trainable, "gflops": round(self.gflops, 4)}


def summarize(model: nn.Module, *, image_size: tuple[int, int], num_frames: int = 1) -> Summary:
    """Return the summary of a model of backbone, neck, decoder, head and auxiliary heads, for one image of this size.

    Nothing is computed: the forward runs on the meta device.
    """
    shapes: dict[str, tuple[list[str], list[tuple[int, ...]], list[tuple[int, ...]]]] = {}
    parts = {"backbone": model.encoder} | {name: getattr(model, name) for name in ("neck", "decoder", "head")}
    parts |= {f"auxiliary {name}": part for name, part in model.aux_heads.items()}  # type: ignore[union-attr,operator]
    hooks = [
        part.register_forward_hook(
            lambda _, given, returned, name=name: shapes.update(
                {name: (_modalities(given), _shapes(given), _shapes(returned))}
            )
        )
        for name, part in parts.items()
    ]
    flops = Flops()
    try:
        image = meta_image(contract_of(parts["backbone"]).channels, num_frames, image_size)
        meta_forward(model, image, listening=flops)
    finally:
        for hook in hooks:
            hook.remove()
    later = ever_learns(parts["backbone"])
    rows = [PartSummary(name, _names(part), *shapes[name], *_count(part, later)) for name, part in parts.items()]
    return Summary(rows, *_count(model, later), flops.total / 1e9)


def resolution(summary: Summary) -> str | None:
    """Return in words how fine a map the model answers beside the image that it sees; None where both have one size."""
    (given, *_), (answered, *_) = summary.parts[0].shapes_in, summary.part("head").shapes_out
    image_size = given[-2:]
    if len(answered) < 3 or answered[-2:] == image_size:
        return None
    rows, columns = answered[-2:]
    times = rows * columns / math.prod(image_size)
    told = f"the head answers at {rows} x {columns} pixels"
    if times > 1:
        return (
            f"{told}, {times:.3g} times as many as the image has: they are computed, and then shrunk to it. A decoder "
            "that enlarges less, or coarser features (neck.necks), would save that"
        )
    return f"{told}, one for {1 / times:.3g} of the image's, and is stretched to it"


def _modalities(given: Any) -> list[str]:
    image = given[0] if given else None
    return list(image) if isinstance(image, Mapping) else []


def _shapes(value: Any) -> list[tuple[int, ...]]:
    if isinstance(value, Tensor):
        return [tuple(value.shape[1:])]
    if isinstance(value, Mapping):  # an image of each modality
        value = list(value.values())
    return [shape for item in value for shape in _shapes(item)] if isinstance(value, list | tuple) else []


def _names(part: nn.Module) -> list[str]:
    if isinstance(part, nn.Sequential):
        return [type(step).__name__ for step in part]
    adapters = getattr(part, "peft_config", None)  # a backbone within PEFT's model
    if adapters:
        methods = ", ".join(str(config.peft_type.value) for config in adapters.values())
        return [f"{type(part.get_base_model()).__name__}, {methods}"]  # type: ignore[operator]
    return [type(part).__name__]


def _count(module: nn.Module, later: set[int]) -> tuple[int, int]:
    sizes = [
        (parameter.numel(), parameter.requires_grad or id(parameter) in later) for parameter in module.parameters()
    ]
    return sum(size for size, _ in sizes), sum(size for size, trains in sizes if trains)
