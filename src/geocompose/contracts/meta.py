"""Finding out what modules return without computing anything: forwards on the meta device, shapes only."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from geocompose.contracts.backbone import contract_of
from geocompose.contracts.one_piece import in_one_piece
from geocompose.errors import UserError


@contextmanager
def _mode(module: nn.Module, training: bool) -> Iterator[None]:
    # A forward without numbers must leave every submodule's mode as it was.
    modes = [(child, child.training) for child in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for child, mode in modes:
            child.training = mode


def meta_forward(
    module: nn.Module,
    *args: Any,
    training: bool = False,
    listening: AbstractContextManager[Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Return what `module` returns for meta tensors; its own weights are neither read nor copied nor changed.

    listening: a mode that is to see all operations, such as one that counts them.
    """
    with (
        torch.no_grad(),
        torch.device("meta"),
        in_one_piece(),
        listening or nullcontext(),
        _mode(module, training),
    ):
        return torch.func.functional_call(module, _shells(module), args, kwargs, tie_weights=False)


def _shells(module: nn.Module) -> dict[str, Tensor]:
    """Return a shape-only tensor for each parameter and buffer; those of tied ones are tied.

    A module that stands in two places is named once: `functional_call` gives back what it replaced name by name, and
    would leave such a module with shapes for weights.
    """
    shells: dict[int, Tensor] = {}
    named = {}
    for place, part in module.named_modules():
        for name, value in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
            shell = shells.setdefault(id(value), torch.empty_like(value, device="meta"))
            named[f"{place}.{name}" if place else name] = shell
    return named


def on_meta(module: nn.Module) -> nn.Module:
    """Return a copy of `module` without its numbers, on the meta device; the module itself is left alone."""
    shells: dict[int, Any] = {}
    for parameter in module.parameters():
        shells[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    for buffer in module.buffers():
        shells[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, shells)


def meta_image(channels: int, num_frames: int, size: tuple[int, int]) -> Tensor:
    """Return a shape-only image (1, C, H, W), or (1, C, T, H, W) for several frames."""
    shape = (1, channels, *size) if num_frames == 1 else (1, channels, num_frames, *size)
    return torch.empty(shape, device="meta")


def unreached_parameters(module: nn.Module, *args: Any, **kwargs: Any) -> list[str]:
    """Return the names of the parameters on which the module's output does not depend, by a forward on meta.

    The module returns a `ModelOutput`; widths are checked at every convolution, since torch checks few on that device.

    Raises:
        RuntimeError: shapes don't fit.
    """
    shells = _shells(module)
    weights = {name: shells[name] for name, _ in module.named_parameters()}
    for value in weights.values():
        value.requires_grad_(value.is_floating_point())
    hooks = [part.register_forward_pre_hook(_check_width) for part in module.modules() if isinstance(part, _ConvNd)]
    try:
        with torch.enable_grad(), torch.device("meta"), in_one_piece(), _mode(module, False):
            returned = torch.func.functional_call(module, shells, args, kwargs, tie_weights=False)
    finally:
        for hook in hooks:
            hook.remove()
    return unused([returned.output, *returned.auxiliary_heads.values()], weights)


def check_training_batch(model: nn.Module, *, image_size: tuple[int, int], num_frames: int) -> None:
    """Refuse batches of one image where the model's batch norm then has a single value per channel.

    Raises:
        UserError: says which settings help.
    """
    image = meta_image(contract_of(model.encoder).channels, num_frames, image_size)  # type: ignore[arg-type]
    try:
        meta_forward(model, image, training=True)
    except ValueError as error:
        raise UserError(
            f"Batches of one image of {image_size[0]} x {image_size[1]} pixels leave batch norm a single value per "
            f"channel, which has no variance ({error}). Use data.batch_size=2 or more, or a larger data.tile_px."
        ) from error


def _check_width(module: nn.Module, args: tuple[Any, ...]) -> None:
    assert isinstance(module, _ConvNd)
    given = args[0].shape[1]
    if given != module.in_channels:
        raise RuntimeError(f"{type(module).__name__} takes {module.in_channels} channels and gets {given}.")


def unused(outputs: Iterable[Tensor], parameters: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the parameters that the outputs' autograd graph does not reach."""
    reached: set[int] = set()
    seen: set[Any] = set()
    waiting: list[Any] = [output.grad_fn for output in outputs]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            reached.add(id(node.variable))
        waiting.extend(before for before, _ in node.next_functions)
    return [name for name, parameter in parameters.items() if id(parameter) not in reached]
