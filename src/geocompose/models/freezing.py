"""Stopping a part from learning, but for the adapters in it."""

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


def adapters(module: nn.Module) -> Iterator[nn.Module | nn.Parameter]:
    """Yield what goes on learning when its module is frozen: prompts, and the layers that PEFT adds.

    A module that holds such names them in `adapter_layer_names`; PEFT's own layers do.
    """
    for part in module.modules():
        for name in getattr(part, "adapter_layer_names", ()):
            adapter = getattr(part, name, None)
            if adapter is not None:
                yield adapter


def adapter_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters of all adapters in `module`."""
    for adapter in adapters(module):
        if isinstance(adapter, nn.Parameter):
            yield adapter
        else:
            yield from adapter.parameters()


def freeze(module: nn.Module) -> None:
    """Let no parameter of `module` require a gradient but its adapters' and what PEFT left free beside them."""
    kept: set[int] = set()
    if hasattr(module, "peft_config"):  # PEFT has frozen it already, and frees biases or norms where it is asked to
        kept = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    kept |= {id(parameter) for parameter in adapter_parameters(module)}
    for parameter in module.parameters():
        if id(parameter) not in kept:
            parameter.requires_grad_(False)


def keep_still(module: nn.Module) -> None:
    """Put a frozen module into evaluation mode; one with adapters keeps dropout, but its statistics stand still too."""
    if next(adapters(module), None) is None:
        module.eval()
        return
    for part in module.modules():
        frozen = not any(parameter.requires_grad for parameter in part.parameters(recurse=False))
        if isinstance(part, _NormBase) and frozen:
            part.eval()
