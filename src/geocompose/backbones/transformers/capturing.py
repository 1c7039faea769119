"""The hooks by which transformers' models keep the outputs of their layers, in a form that can be pickled."""

import importlib
from typing import Any

from torch import nn

INSTALL = "install_output_capuring_hook"  # as transformers 5.23 spells it


class CapturingHook:
    """A forward hook of transformers' own, known by the arguments that it is made of."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        """Have transformers make the hook. `arguments`: those of its function that installs it, but the module."""
        self.arguments = arguments
        module = nn.Module()
        getattr(importlib.import_module("transformers.utils.output_capturing"), INSTALL)(module, **arguments)
        (self._hook,) = module._forward_hooks.values()

    def __call__(self, module: nn.Module, given: Any, output: Any) -> Any:
        """Do as transformers' hook does."""
        return self._hook(module, given, output)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments: the hook itself is a function within a function, which can't be pickled."""
        return CapturingHook, (self.arguments,)


def make_picklable(model: nn.Module) -> None:
    """Put such hooks in place of a model's own, which does the same and can be pickled."""
    for module in model.modules():
        for place, hook in module._forward_hooks.items():
            if INSTALL in getattr(hook, "__qualname__", ""):
                cells = zip(hook.__code__.co_freevars, hook.__closure__ or (), strict=True)
                arguments = {name: cell.cell_contents for name, cell in cells if not callable(cell.cell_contents)}
                module._forward_hooks[place] = CapturingHook(arguments)
