"""Stopping a part from learning, but for the adapters in it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from geocompose.catalog.peft_methods import frozen_epochs
from geocompose.contracts import attributes
from geocompose.errors import UserError, choices

CHOSEN = "chosen_to_learn"  # the attribute of a backbone that holds its `Chosen`


@dataclass(frozen=True)
class Chosen:
    """What of its own a backbone goes on learning when it is frozen, as a PEFT method chose.

    parameters: their names. trains: names of modules that behave as in training, batch-norm statistics included, while
    the rest stands still; None where all keep their dropout, and all statistics stand still.
    """

    parameters: tuple[str, ...]
    trains: tuple[str, ...] | None = None


THAWS = "thaws"  # the attribute of a backbone that holds its `Thaw`


@dataclass(frozen=True)
class Thaw:
    """A frozen backbone that is to learn later: linear probing first, then fine-tuning.

    parameters: names of those that learn then. head_share: share of the epochs in which they don't, above 0 and below
    1. factor: what all learning rates are multiplied by afterwards.
    """

    parameters: tuple[str, ...]
    head_share: float
    factor: float

    def first_epoch(self, num_epochs: int) -> int:
        """Return the first epoch, counted from 0, in which the backbone learns: each phase has one at least.

        Raises:
            UserError: there are fewer than two.
        """
        if num_epochs < 2:
            raise UserError(
                f"peft=lp_ft has two phases, so that trainer.max_epochs must be 2 or more; got {num_epochs}."
            )
        return frozen_epochs(self.head_share, num_epochs)


def thaw_of(backbone: nn.Module) -> Thaw | None:
    """Return what a backbone says of when it learns; None where it doesn't change in a run."""
    return getattr(backbone, THAWS, None)


def never_thaws(backbone: nn.Module, names: Iterable[str]) -> None:
    """Take parameters out of what a backbone will let learn later: no output depends on them."""
    thaw, left_out = thaw_of(backbone), set(names)
    if thaw is not None:
        kept = tuple(name for name in thaw.parameters if name not in left_out)
        setattr(backbone, THAWS, replace(thaw, parameters=kept))


def ever_learns(backbone: nn.Module) -> set[int]:
    """Return the ids of the parameters that learn at some time of a run."""
    thaw = thaw_of(backbone)
    later = set() if thaw is None else {id(backbone.get_parameter(name)) for name in thaw.parameters}
    return later | {id(parameter) for parameter in backbone.parameters() if parameter.requires_grad}


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

    Free is what PEFT left free, what `random_inputs` names, and what a method has `Chosen`.
    """
    kept: set[int] = set()
    if hasattr(module, "peft_config"):  # PEFT has frozen it already, and frees biases or norms where it is asked to
        kept = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    else:
        kept = {id(parameter) for parameter in random_inputs(module)}
    kept |= {id(parameter) for parameter in adapter_parameters(module)}
    chosen: Chosen | None = getattr(module, CHOSEN, None)
    if chosen is not None:
        kept |= {id(module.get_parameter(name)) for name in chosen.parameters}
    for parameter in module.parameters():
        if id(parameter) not in kept:
            parameter.requires_grad_(False)


def keep_still(module: nn.Module) -> None:
    """Put a frozen module into evaluation mode; one with adapters keeps dropout, but its statistics stand still too.

    So do those of norms of which only scale and shift learn (bitfit, norm_tuning): moving statistics would change the
    backbone beside what the method trains. Where whole blocks learn (`Chosen.trains`), theirs move as in full
    fine-tuning. In a module that is in evaluation mode nothing is changed.
    """
    if not module.training:
        return
    chosen: Chosen | None = getattr(module, CHOSEN, None)
    if chosen is not None and chosen.trains is not None:
        module.eval()
        for name in chosen.trains:
            module.get_submodule(name).train()
        for adapter in adapters(module):
            if isinstance(adapter, nn.Module):
                adapter.train()
        return
    if chosen is None and next(adapters(module), None) is None:
        module.eval()
        return
    for name, part in module.named_modules():
        if isinstance(part, _NormBase) and (chosen is not None or _COPIED in name or _is_frozen(part)):
            part.eval()


# Where PEFT's LN_TUNING keeps the copies of norms that it trains.
_COPIED = ".ln_tuning_layers."


def _is_frozen(norm: _NormBase) -> bool:
    """Return whether a norm's own scale is frozen, whatever a method has put beside it."""
    return norm.weight is None or not norm.weight.requires_grad
