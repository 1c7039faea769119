"""A part on its way into a composition: a finished module, or a constructor with arguments that are checked first."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from geocompose.arguments import check_kinds
from geocompose.catalog.origin import is_ours
from geocompose.contracts.needs import FROM_NEIGHBOURS
from geocompose.errors import UserError, building, choices
from geocompose.imagery.bands import refuse_modalities

PREFIXES = ("backbone", "decoder", "head")
# The argument that says which of the many models that a constructor makes is meant, and so what people call it.
NAMED_BY = ("variant", "name", "arch")
# How many arguments a constructor is given by the factory, before its own: widths, or a width and a number of outputs.
_FIRST = {"neck": 1, "decoder": 1, "head": 2}


@dataclass
class Part:
    """A part of a composition: a finished module, or a constructor and its arguments.

    includes_head: a decoder that returns what a head would.
    """

    kind: str
    name: str
    module: nn.Module | None = None
    constructor: Callable[..., nn.Module] | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    includes_head: bool = False

    @property
    def target(self) -> Any:
        """The class or function behind partials, which carries `needs` and `includes_head`; or the module."""
        if self.module is not None:
            return self.module
        target: Any = self.constructor
        while isinstance(target, partial):
            target = target.func
        return target

    @property
    def reconstructs(self) -> bool:
        """Whether a decoder predicts hidden patches, so that its composition is a masked autoencoder."""
        return bool(getattr(self.target, "reconstructs", False))

    def __post_init__(self) -> None:
        """Gather what a foreign constructor knows into the mapping that its adapter hands on and checks."""
        if self.constructor is None:
            return
        names = inspect.signature(self.constructor).parameters
        if "kwargs" in names and names["kwargs"].kind is not inspect.Parameter.VAR_KEYWORD:
            foreign = {name: value for name, value in self.arguments.items() if name not in names}
            if foreign:
                own = {name: value for name, value in self.arguments.items() if name in names}
                self.arguments = {**own, "kwargs": {**foreign, **(own.get("kwargs") or {})}}

    def takes(self, argument: str) -> bool:
        """Return whether the constructor has an argument of this name."""
        return self.constructor is not None and argument in inspect.signature(self.constructor).parameters

    @property
    def given(self) -> dict[str, Any]:
        """The arguments that were given: to the factory, or in a partial."""
        return {**getattr(self.constructor, "keywords", {}), **self.arguments}

    def changed(self) -> list[str]:
        """Return the arguments that were given another value than the constructor's default; null asks for nothing."""
        assert self.constructor is not None
        defaults = inspect.signature(self.target).parameters
        return [
            name
            for name, value in self.given.items()
            if name not in defaults or (value is not None and value != defaults[name].default)
        ]

    def build(self, *args: Any, **more: Any) -> nn.Module:
        """Build the part; `more` are arguments that follow from its neighbours, a given one wins.

        Raises:
            UserError: the arguments don't fit the constructor's signature.
        """
        if self.module is not None:
            return self.module
        assert self.constructor is not None
        arguments = {**more, **self.arguments}
        with building(self.kind, self.name):
            self._check(len(args), arguments)
            built: Any = self._constructed(args, arguments)
            if not isinstance(built, nn.Module):
                instead = (
                    f"Let the class {type(built).__name__} derive from it (and call super().__init__() first)"
                    if isinstance(self.target, type)
                    else "Let it return one"
                )
                raise UserError(
                    f"The {self.kind} {self.name} gives a {type(built).__name__}, not a torch.nn.Module. {instead}."
                )
            return built

    def _constructed(self, args: tuple[Any, ...], arguments: dict[str, Any]) -> Any:
        """Return what the constructor makes; a fault inside a user's own is told as theirs, ours come through."""
        assert self.constructor is not None
        try:
            return self.constructor(*args, **arguments)
        except UserError:
            raise
        except Exception as error:
            if is_ours(self.target):
                raise
            said = f"{type(error).__name__}: {error}".rstrip(". :")
            raise UserError(
                f"The {self.kind} {self.name} can't be built: its constructor stopped with {said}. Fix it, or give it "
                "other arguments; debug=true shows where."
            ) from error

    def _check(self, num_positional: int, arguments: dict[str, Any]) -> None:
        assert self.constructor is not None
        if self.kind == "backbone":
            refuse_modalities("backbone_bands", arguments.get("bands"))
        signature = inspect.signature(self.constructor)
        parameters = signature.parameters.values()
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            names = [parameter.name for parameter in parameters][num_positional:]
            for name in arguments:
                if name not in names:
                    raise self._takes_no(name, names)
        if num_positional and getattr(self.target, "__init__", None) is nn.Module.__init__:
            raise self._takes_no_widths()  # torch's own constructor takes anything, and stops
        try:
            signature.bind(*[None] * num_positional, **arguments)
        except TypeError as error:
            if "too many positional" in str(error):
                raise self._takes_no_widths() from error
            named = re.findall(r"'(\w+)'", str(error))
            name = named[0] if named else "NAME"
            place = (
                f"as {self.kind}.{name}=VALUE (of the factory, as {self.kind}_{name})"
                if self.kind in PREFIXES
                else f"beside the {self.kind}'s name"
            )
            raise UserError(f"{self.name}: {error}. Give it {place}.") from error
        if is_ours(self.target):  # others may be more liberal than they say
            check_kinds(self.target, arguments, part=self.name, prefix=f"{self.kind}_")

    def _takes_no(self, name: str, names: list[str]) -> UserError:
        """Return what to say of an argument that the constructor has not; names: those that it has."""
        prefix = f"{self.kind}_" if self.kind in PREFIXES else ""
        said = (
            f"{self.name} takes no argument {prefix}{name}." if prefix else f"{self.name} takes no argument {name!r}."
        )
        if self.kind == "backbone" and name == "bands":
            number = next((each for each in ("in_chans", "in_channels", "num_channels") if each in names), None)
            advice = f"Give it their number, {prefix}{number}," if number else "Give it one of that name, or in_chans,"
            return UserError(f"{said} Its constructor has no such argument. {advice} or leave them out.")
        if self.kind == "decoder" and name in FROM_NEIGHBOURS:
            return UserError(f"{said} {FROM_NEIGHBOURS[name]} Leave it out.")
        if not names:
            return UserError(f"{said} Its constructor has none to give. Leave it out.")
        return UserError(f"{said} {choices(prefix + name, [prefix + each for each in names])}")

    def _takes_no_widths(self) -> UserError:
        of_head = self.kind == "head"
        first = "the decoder's width and the number of outputs" if of_head else "the list of its features' widths"
        example = "in_channels, num_outputs" if of_head else "channel_list"
        return UserError(
            f"The constructor of the {self.kind} {self.name} has to take {first} first, such as __init__(self, "
            f"{example}, ...)."
        )


def route(
    kwargs: Mapping[str, Any], given: Mapping[str, Mapping[str, Any] | None], own: list[str]
) -> dict[str, dict[str, Any]]:
    """Return the arguments of each part: those `given` by part, and those of `kwargs` by prefix; nothing is changed.

    own: the caller's own arguments, for the message.

    Raises:
        UserError: an argument has no part's prefix, or is given twice; or arguments are not a mapping of names.
    """
    routed = {prefix: _named(f"{prefix}_kwargs", given[prefix]) for prefix in PREFIXES}
    for key, value in kwargs.items():
        prefix, _, name = key.partition("_")
        if prefix not in routed or not name:
            raise UserError(
                f"build_model takes no argument {key!r}. Arguments of parts have the prefix backbone_, decoder_ or "
                "head_. " + (choices(key, own) if own else "")
            )
        if name in routed[prefix]:
            raise UserError(f"{key} is given twice: by itself and in {prefix}_kwargs.")
        routed[prefix][name] = _plain(value)
    return routed


def _named(argument: str, given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise UserError(
            f"{argument} must be a mapping of names to values, such as {{channels: 64}}, or null; got {given!r}."
        )
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value  # constructors ask for Python's own numbers


def resolve(kind: str, given: Any, find: Callable[[str], Callable[..., nn.Module]], arguments: dict[str, Any]) -> Part:
    """Return the part that `given` means: a name that `find` knows, a finished module, or a constructor.

    Raises:
        UserError: it is something else, or a finished module gets arguments.
    """
    if isinstance(given, nn.Module):
        if arguments:
            raise UserError(
                f"The {kind} is a finished module, so {kind}_{next(iter(arguments))} would have no effect; leave it "
                "out."
            )
        return Part(kind, type(given).__name__, module=given)
    if isinstance(given, str):
        return Part(kind, given, constructor=find(given), arguments=arguments)
    if callable(given):
        _check_partial(kind, given)
        part = Part(kind, "", constructor=given, arguments=arguments)
        named = [part.given[key] for key in NAMED_BY if part.given.get(key)]
        part.name = str(named[0]) if named else getattr(part.target, "__name__", str(given))
        return part
    raise UserError(f"A {kind} must be a name, a module or a constructor; got {type(given).__name__}.")


def _check_partial(kind: str, given: Callable[..., nn.Module]) -> None:
    """Refuse a partial of arguments that its constructor has not.

    Raises:
        UserError: names the argument, and those that there are.
    """
    if not isinstance(given, partial):
        return
    try:
        inspect.signature(given)
    except ValueError:
        names = list(inspect.signature(given.func).parameters)
        part = Part(kind, getattr(given.func, "__name__", str(given.func)), constructor=given.func)
        with building(kind, part.name):
            for name in given.keywords:
                if name not in names:
                    raise part._takes_no(name, names[_FIRST.get(kind, 0) :]) from None
            raise UserError(f"{part.name} can't take the arguments {given.args} in these places.") from None
