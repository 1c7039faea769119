"""What a model of timm is like, learnt on the meta device: no memory, no weights, the shapes and the graph only."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import timm
import torch
from timm.layers import Format
from torch import Tensor, nn

from geocompose.backbones.foreign.probe import follows
from geocompose.contracts.features import FeatureSpec, Layout
from geocompose.contracts.meta import unused
from geocompose.errors import FOREIGN_ERRORS, UserError

LAYOUTS: dict[Format, Layout] = {Format.NCHW: "NCHW", Format.NHWC: "NHWC", Format.NLC: "tokens"}


@dataclass(frozen=True)
class Architecture:
    """What timm's definition of a model says.

    class_name, arguments: its class and what that takes; open_ended: the class passes others on, to a config.
    reductions: stride of each level it can return, by timm's number of the level.
    input_size, input_channels: of the images it was made for.
    """

    class_name: str
    arguments: tuple[str, ...]
    open_ended: bool
    reductions: dict[int, int]
    input_size: tuple[int, int]
    input_channels: int


@dataclass(frozen=True)
class Probe:
    """What one forward on the meta device shows.

    module: the features module there; specs: its maps.
    num_blocks: how many of the module's `blocks` its maps need; None where it has none, or needs all.
    idle_parameters: names of those that the maps don't depend on.
    fixed_size: images of another size are refused.
    """

    module: nn.Module
    specs: list[FeatureSpec]
    num_blocks: int | None
    idle_parameters: list[str]
    fixed_size: bool

    def apply_to(self, module: nn.Module) -> None:
        """Fit a module that was built with the same arguments to what the probe shows."""
        if self.specs[0].layout == "tokens":
            _return_tokens(module)
        if self.num_blocks is not None:
            _cut_blocks(module, self.num_blocks)
        for name in self.idle_parameters:
            # Left to be trained, these would stop distributed training at its second step.
            module.get_parameter(name).requires_grad_(False)


@contextmanager
def on_meta() -> Iterator[None]:
    """Build without memory, and without taking from the random numbers of the model that is built after it."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        yield


@lru_cache(maxsize=64)
def architecture_of(name: str) -> Architecture:
    """Return what timm's definition of the model `name` says."""
    with on_meta():
        model = timm.create_model(name)
    arguments: dict[str, None] = {}
    open_ended = False
    for base in type(model).__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        arguments |= dict.fromkeys(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
        # A class that hands the rest to its parent is described by both.
        if not open_ended or base.__mro__[1] is nn.Module:
            break
    config: Any = model.pretrained_cfg
    channels, height, width = config["input_size"]
    return Architecture(
        type(model).__name__, tuple(arguments), open_ended, _reductions(model), (height, width), channels
    )


def _reductions(model: nn.Module) -> dict[int, int]:
    levels: Any = getattr(model, "feature_info", None) or []
    # A level without a module is one that the model only counts, such as the first of TResNet.
    return {number: level["reduction"] for number, level in enumerate(levels) if level["module"]}


def reductions_of(name: str, architecture: Architecture, arguments: dict[str, object]) -> dict[int, int]:
    """Return the stride of each level that the model has with these arguments."""
    with on_meta():
        return _reductions(create(name, architecture, arguments, features_only=False))


def create(
    name: str, architecture: Architecture, arguments: dict[str, Any], *, features_only: bool = True
) -> nn.Module:
    """Have timm build the features module, or the whole model; what it refuses is told with its own reason."""
    try:
        return timm.create_model(name, features_only=features_only, **arguments)
    except FOREIGN_ERRORS as error:
        shown = ", ".join(f"{key}={value}" for key, value in arguments.items() if key != "pretrained_cfg_overlay")
        raise UserError(
            f"timm can't build {name} with {shown}: {_reason(error)} "
            f"{architecture.class_name} takes: {', '.join(architecture.arguments)}."
        ) from error


def _reason(error: BaseException) -> str:
    """Return an error's text as one sentence of readable length, or its kind where it has no text."""
    text = " ".join(str(error).split())[:300]
    return (text.rstrip(".") or type(error).__name__) + "."


def probe(
    name: str, architecture: Architecture, arguments: dict[str, object], channels: int, size: tuple[int, int]
) -> Probe:
    """Build the features module on the meta device and return what a forward of one image shows.

    Raises:
        UserError: timm can't build it, or it can't take images of this size or number of channels.
    """
    # The graph tells idle parameters, also where the caller has switched gradients off.
    with on_meta(), torch.inference_mode(False), torch.enable_grad():
        module = create(name, architecture, arguments).eval()
        try:
            features = _features(module, torch.empty(1, channels, *size))
        except FOREIGN_ERRORS as error:
            raise UserError(_unfit(name, architecture, channels, size, error)) from error
        specs = _specs(module, features)
        idle = unused(features, dict(module.named_parameters()))
        num_blocks = _num_blocks(module, idle)
        if num_blocks is not None:
            _cut_blocks(module, num_blocks)
            remaining = dict(module.named_parameters())
            idle = [each for each in idle if each in remaining]
        stride = _coarsest(module)
        fixed = not follows(module, torch.empty(1, channels, size[0] + stride, size[1] + 2 * stride), features)
    # Some models keep attention biases from a forward; training mode lets go of them.
    module.train()
    return Probe(module, specs, num_blocks, idle, fixed)


def _features(module: nn.Module, image: Tensor) -> list[Tensor]:
    """Return the features of one image; from a model that reads its maps' size off values, as tokens."""
    try:
        return module(image)
    except RuntimeError as error:
        if "meta tensors" not in str(error):
            raise
        _return_tokens(module)
        return module(image)


def _return_tokens(module: nn.Module) -> None:
    """Have timm's feature getter leave the tokens as they are, instead of laying them out as maps."""
    getter: Any = module
    getter.output_fmt = Format.NLC


def _unfit(name: str, architecture: Architecture, channels: int, size: tuple[int, int], error: BaseException) -> str:
    """Return the text of an error about images that the model can't take."""
    stride = max(architecture.reductions.values())
    own = architecture.input_size
    if size != own:
        near = ",".join(str(max(1, round(side / stride)) * stride) for side in size)
        advice = (
            f"Multiples of {stride} fit most models: try backbone.img_size=[{near}], or null for {own[0]}x{own[1]}."
        )
    elif channels != architecture.input_channels:
        advice = f"It was made for {architecture.input_channels} channels; try that, or another model."
    else:
        advice = "It can be no backbone here: choose another model."
    return (
        f"backbone.name={name} can't take images of {size[0]}x{size[1]} pixels with {channels} channels: "
        f"{_reason(error)} {advice}"
    )


def _specs(module: nn.Module, features: list[Tensor]) -> list[FeatureSpec]:
    """Describe each returned map as timm declares it, and hold the declaration against the maps."""
    info: Any = module.feature_info
    layout = LAYOUTS[Format(getattr(module, "output_fmt", Format.NCHW))]
    widths = [int(width) for width in info.channels()]
    axis = 1 if layout == "NCHW" else -1
    assert [feature.shape[axis] for feature in features] == widths, f"{layout} with {widths} channels is declared"
    return [FeatureSpec(width, int(stride), layout) for width, stride in zip(widths, info.reduction(), strict=True)]


def _coarsest(module: nn.Module) -> int:
    """Return the stride of the coarsest level, returned or not: an image has to be made of whole cells of it."""
    info: Any = module.feature_info
    return max(info.reduction(list(range(len(info)))))


def _blocks(module: nn.Module) -> nn.Sequential | None:
    """Return the chain of blocks of a module that goes through all of them whatever it returns, as EfficientNet's."""
    blocks = getattr(module, "blocks", None)
    return blocks if isinstance(blocks, nn.Sequential) else None


def _cut_blocks(module: nn.Module, count: int) -> None:
    blocks = _blocks(module)
    assert blocks is not None
    module.blocks = blocks[:count]


def _num_blocks(module: nn.Module, idle: list[str]) -> int | None:
    """Return how many of the module's blocks its maps depend on; None where that is no question, or all."""
    blocks = _blocks(module)
    if blocks is None:
        return None
    without = set(idle)
    needed = [
        number
        for number, (block_name, block) in enumerate(blocks.named_children(), start=1)
        if any(f"blocks.{block_name}.{name}" not in without for name, _ in block.named_parameters())
    ]
    count = max(needed, default=0)
    return None if count == len(blocks) else count
