"""The blocks of a backbone, in the order in which they run: found by how modules stand, tried without numbers.

A block is a member of a list (`ModuleList`, `Sequential`, ...) that has at least three layers with parameters of its
own, such as a transformer's block or a residual one; of lists within lists, the innermost count: Swin's blocks and not
its stages. Modules of one class side by side that hold no list are blocks too (RegNet's stages). What embeds patches
(DOFA's has a transformer in it) is no block. A network without any has the modules that it is made of for blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from geocompose.backbones.fusion.backbone import FusionBackbone
from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.contracts.backbone import contract_of
from geocompose.contracts.meta import meta_forward
from geocompose.contracts.probing import meta_coordinates, probe_image

LISTS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)
LEAST_LAYERS = 3  # a convolution with its norm is a layer, and not a block


@dataclass
class Call:
    """A module's first call in a forward: which of all it is, and the shapes of the first tensor in and out."""

    place: int
    given: tuple[int, ...] | None
    returned: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Blocks:
    """The blocks of one backbone. names: in the order of their calls. calls: of all modules that ran, by name."""

    names: list[str]
    calls: dict[str, Call] = field(repr=False)

    def layer_of(self, name: str) -> int:
        """Return in which of `num_layers` layers a parameter is, by its name: 0 is before the first block.

        A module between two blocks belongs to the later one, and one after the last block to the last layer.
        """
        owner = name.rpartition(".")[0]
        for number, block in enumerate(self.names, 1):
            if owner == block or owner.startswith(f"{block}."):
                return number
        while owner and owner not in self.calls:
            owner = owner.rpartition(".")[0]
        if owner not in self.calls:
            return 0
        place = self.calls[owner].place
        before = sum(self.calls[block].place < place for block in self.names)
        return before + 1 if before else 0

    @property
    def num_layers(self) -> int:
        """How many layers there are: what comes before the blocks, each block, and what comes after."""
        return len(self.names) + 2


def single_backbones(backbone: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the backbones that read images themselves, with the start of their names: several where they are joined."""
    for name, module in backbone.named_modules():
        start = f"{name}." if name else ""
        if isinstance(module, FusionBackbone):
            for part, inside in module.parts.items():
                for more, single in single_backbones(inside):
                    yield f"{start}parts.{part}.{more}", single
            return
        if isinstance(module, TemporalBackbone):
            for more, single in single_backbones(module.encoder):
                yield f"{start}encoder.{more}", single
            return
    yield "", backbone


def blocks_of(backbone: nn.Module) -> Blocks:
    """Return the blocks of a single backbone that an image goes through; none where it holds no modules side by side.

    Its forward is made on the meta device: nothing is computed.
    """
    calls = recorded_calls(backbone)
    found = [name for name in _nested(backbone, "", in_list=False) if name in calls and "embed" not in name]
    if len(found) < 2:
        found = [name for name in _members(backbone) if name in calls]
    return Blocks(sorted(found, key=lambda name: calls[name].place), calls)


def recorded_calls(backbone: nn.Module) -> dict[str, Call]:
    """Return the first call of each module that runs in a forward of one image, by the module's name."""
    names = {id(module): name for name, module in reversed(list(backbone.named_modules()))}
    calls: dict[str, Call] = {}

    def begins(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        calls.setdefault(names[id(module)], Call(len(calls), _first_shape([*args, *kwargs.values()])))

    def ends(module: nn.Module, args: tuple[object, ...], returned: object) -> None:
        call = calls[names[id(module)]]
        if call.returned is None:
            call.returned = _first_shape(returned)

    hooks = [module.register_forward_pre_hook(begins, with_kwargs=True) for module in backbone.modules()]
    hooks += [module.register_forward_hook(ends) for module in backbone.modules()]
    try:
        without_numbers(backbone)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def without_numbers(backbone: nn.Module) -> None:
    """Run a backbone on an image of its own size, on the meta device.

    Raises:
        FOREIGN_ERRORS: whatever it stops with.
    """
    contract = contract_of(backbone)
    coordinates: dict[str, Any] = dict(meta_coordinates(contract, contract.frames))
    meta_forward(backbone, probe_image(contract, contract.own_size), **coordinates)


def _nested(module: nn.Module, name: str, *, in_list: bool) -> Iterator[str]:
    """Yield the names of the blocks below a module. in_list: only those that are in lists."""
    children = [(f"{name}.{key}" if name else key, child) for key, child in module.named_children()]
    kinds = [type(child) for _, child in children if not isinstance(child, LISTS)]
    for place, child in children:
        if isinstance(module, LISTS) and name:  # timm's own feature modules are a ModuleDict as a whole
            beside = True
        else:
            beside = not in_list and not isinstance(child, LISTS) and kinds.count(type(child)) > 1
        if not _is_composite(child):
            continue
        inner = list(_nested(child, place, in_list=True if beside else in_list))
        if inner:
            yield from inner
        elif beside and not isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield place


def _members(module: nn.Module) -> list[str]:
    """Return the names of the modules that a network is made of: of a single one, those within."""
    start = ""
    while True:
        children = [
            (f"{start}{name}", child)
            for name, child in module.named_children()
            if next(child.parameters(), None) is not None
        ]
        if len(children) != 1:
            return [name for name, _ in children]
        start, module = f"{children[0][0]}.", children[0][1]


def _is_composite(module: nn.Module) -> bool:
    """Return whether a module has several layers with parameters. A layer with its adapter is one."""
    return not hasattr(module, "base_layer") and len(list(_layers(module))) >= LEAST_LAYERS


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    inside = [child for child in module.children() if next(child.parameters(), None) is not None]
    if hasattr(module, "base_layer") or not inside:
        yield module
        return
    for child in inside:
        yield from _layers(child)


def _first_shape(value: object) -> tuple[int, ...] | None:
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, list | tuple):
        return next((shape for item in value if (shape := _first_shape(item)) is not None), None)
    return None
