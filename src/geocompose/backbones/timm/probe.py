"""What a features module of timm returns: as timm declares it, held against one forward on the meta device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from timm.layers import Format
from torch import Tensor, nn, ops
from torch.utils._python_dispatch import TorchDispatchMode

from geocompose.backbones.foreign.probe import Probe, Seen, probe
from geocompose.contracts.features import FeatureSpec, Layout
from geocompose.errors import FOREIGN_ERRORS, UserError

LAYOUTS: dict[Format, Layout] = {Format.NCHW: "NCHW", Format.NHWC: "NHWC", Format.NLC: "tokens"}


@dataclass(frozen=True)
class TimmProbe:
    """What a forward shows of timm's features modules that are built alike.

    shown: what it shows of any backbone. num_blocks: how many of the module's `blocks` its maps need; None where it has
    none, or needs all.
    """

    shown: Probe
    num_blocks: int | None

    def fit(self, module: nn.Module) -> None:
        """Let a module that was built with the same arguments compute what the probed one returned, and no more."""
        if self.shown.specs[0].layout == "tokens":
            _return_tokens(module)
        if self.num_blocks is not None:
            _cut_blocks(module, self.num_blocks)


def probed(
    module: nn.Module, channels: int, size: tuple[int, int], refusal: Callable[[BaseException], UserError]
) -> TimmProbe:
    """Return what a shell of a features module does with an image of this size.

    refusal: says what to do about images that it can't take.

    Raises:
        UserError: it can't take images of this size or number of channels.
    """

    def run(features: nn.Module, image: Tensor) -> list[Tensor]:
        try:
            return _features(features, image)
        except FOREIGN_ERRORS as error:
            raise refusal(error) from error

    shown = probe(module, channels, size, _declared, run)
    num_blocks = _num_blocks(module, shown.idle_parameters)
    if num_blocks is not None:
        _cut_blocks(module, num_blocks)
        kept = dict(module.named_parameters())
        shown = replace(shown, idle_parameters=[name for name in shown.idle_parameters if name in kept])
    return TimmProbe(shown, num_blocks)


class _ReadsValues(TorchDispatchMode):
    """Notes whether a forward asks for a tensor's value, which a tensor on the meta device doesn't have."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found = self.found or function is ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def _features(module: nn.Module, image: Tensor) -> list[Tensor]:
    """Return the features of one image; from a model that reads its maps' size off values, as tokens."""
    reads = _ReadsValues()
    try:
        with reads:
            return module(image)
    except RuntimeError:
        # Laying tokens out as maps is all that such a model needs the values for.
        if not reads.found or not hasattr(module, "output_fmt"):
            raise
    _return_tokens(module)
    return module(image)


def _return_tokens(module: nn.Module) -> None:
    """Have timm's feature getter leave the tokens as they are, instead of laying them out as maps."""
    getter: Any = module
    getter.output_fmt = Format.NLC


def _declared(module: nn.Module, features: list[Tensor]) -> Seen:
    """Describe each returned map as timm declares it, and hold the declaration against the maps."""
    info: Any = module.feature_info
    layout = LAYOUTS[Format(getattr(module, "output_fmt", Format.NCHW))]
    widths = [int(width) for width in info.channels()]
    axis = 1 if layout == "NCHW" else -1
    assert [feature.shape[axis] for feature in features] == widths, f"{layout} with {widths} channels is declared"
    specs = [FeatureSpec(width, int(stride), layout) for width, stride in zip(widths, info.reduction(), strict=True)]
    # An image has to be made of whole cells of the coarsest level, returned or not.
    return Seen(specs, max(info.reduction(list(range(len(info))))))


def _blocks(module: nn.Module) -> nn.Sequential | None:
    """Return the chain of blocks of a module that goes through all of them whatever it returns, as EfficientNet's."""
    blocks = getattr(module, "blocks", None)
    return blocks if isinstance(blocks, nn.Sequential) else None


def _cut_blocks(module: nn.Module, count: int) -> None:
    blocks = _blocks(module)
    assert blocks is not None
    module.blocks = blocks[:count]


def _num_blocks(module: nn.Module, idle: list[str]) -> int | None:
    """Return how many of the module's blocks its maps depend on; None where it has none, or all are needed."""
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
