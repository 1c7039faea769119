"""The activation of a head's outputs, as a user names it."""

import importlib
import inspect

from torch import nn
from torch.nn import Module

from geocompose.errors import UserError, choices


def activation(given: str | type | Module | None) -> nn.Module:
    """Return the activation that is meant: a module as it is, a class or its dotted path built without arguments.

    Nothing but the class's constructor is called. null is the identity.

    Raises:
        UserError: there is no such class, it is not a torch module, or it needs arguments.
    """
    if given is None:
        return nn.Identity()
    if isinstance(given, nn.Module):
        return given
    found = _find(given) if isinstance(given, str) else given
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise UserError(f"head.final_act is the class of a torch module, such as torch.nn.Sigmoid; {given!r} is not.")
    needed = [
        parameter.name
        for parameter in inspect.signature(found).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise UserError(
            f"head.final_act is built without arguments; {found.__name__} needs {', '.join(needed)}. "
            "Give an activation that needs none, or a finished module."
        )
    return found()


def _find(path: str) -> object:
    module_name, _, name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        guess = f" Did you mean 'torch.nn.{path}'?" if hasattr(nn, path) else ""
        raise UserError(f"head.final_act must be a dotted path such as torch.nn.Sigmoid; got {path!r}.{guess}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses one that it imports itself
        raise UserError(
            f"head.final_act={path}: there is no module {error.name}. Write a path such as torch.nn.Sigmoid."
        ) from error
    if not hasattr(module, name):
        classes = [
            key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, nn.Module)
        ]
        raise UserError(f"head.final_act={path}: {module_name} has no {name!r}. {choices(name, classes)}")
    return getattr(module, name)
