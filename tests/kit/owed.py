"""What every module owes whoever trains, copies, averages, stores or exports it."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Run = Callable[[nn.Module], list[Tensor]]


def shake(module: nn.Module) -> None:
    """Change every weight as another training step would."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw), alpha=0.1)


def same(some: list[Tensor], others: list[Tensor]) -> bool:
    """Return whether the tensors are equal, number by number."""
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


def check_gradients(module: nn.Module, run: Run) -> None:
    """A gradient reaches every parameter that learns in training, and no other; the module has seen none yet."""
    module.train()
    if not any(parameter.requires_grad for parameter in module.parameters()):
        assert not any(tensor.requires_grad for tensor in run(module))
        return
    sum(tensor.float().square().mean() for tensor in run(module)).backward()  # type: ignore[union-attr]
    learning = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    reached = {name for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert learning - reached == set()
    assert reached - learning == set()
    assert any(parameter.grad.any() for parameter in module.parameters() if parameter.grad is not None)


def check_copies(module: nn.Module, run: Run, *, average: bool = False) -> None:
    """Copies give the same numbers and have weights of their own; so does a moving average, which can be updated.

    The module's weights are other ones afterwards.
    """
    module.eval()
    with torch.no_grad():
        before = run(module)
        for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert same(run(copied), before)
            if any(True for _ in module.parameters()):
                shake(copied)
                assert not same(run(copied), before)
                assert same(run(module), before)
        if average:
            averaged = AveragedModel(module, avg_fn=lambda _, new, __: new, use_buffers=True).eval()
            shake(module)
            assert same(run(averaged), before)
            averaged.update_parameters(module)  # the first only copies
            assert same(run(averaged), run(module))


def check_state(module: nn.Module, other: nn.Module, run: Run) -> None:
    """A state dict carries a module over to another one built in the same way. Both change."""
    shake(module)
    state = module.state_dict()
    other.load_state_dict({name: value.clone() for name, value in state.items()}, strict=True)
    with torch.no_grad():
        assert same(run(other.eval()), run(module.eval()))


def check_export(module: nn.Module, given: tuple[Any, ...], run: Callable[[Any], list[Tensor]] | None = None) -> None:
    """torch.export takes the module as it is in evaluation, and what it makes of it gives the same numbers."""
    module.eval()
    with torch.no_grad():
        exported = torch.export.export(module, given).module()
        wanted, got = module(*given), exported(*given)
    listed = run or list
    for one, other in zip(listed(got), listed(wanted), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
