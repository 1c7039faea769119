"""Stopping a part from learning, but for the adapters in it."""

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from geocompose.contracts import attributes
from geocompose.errors import UserError, choices


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


def random_inputs(backbone: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters whose filters are in part of bands that pretrained weights lack, as the backbone says.

    Frozen, these filters would stay random for ever.

    Raises:
        UserError: the backbone has no parameter of such a name.
    """
    name = type(backbone).__name__
    own = dict(backbone.named_parameters())
    for each in attributes.parameters(name, getattr(backbone, "random_inputs", None)):
        if each not in own:
            raise UserError(f"The backbone {name} has random_inputs with {each!r}. {choices(each, own)}")
        yield own[each]


def freeze(module: nn.Module) -> None:
    """Let no parameter of `module` require a gradient but its adapters', and what is free beside them.

    Free is what PEFT left free, and what `random_inputs` names.
    """
    kept: set[int] = set()
    if hasattr(module, "peft_config"):  # PEFT has frozen it already, and frees biases or norms where it is asked to
        kept = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    else:
        kept = {id(parameter) for parameter in random_inputs(module)}
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
