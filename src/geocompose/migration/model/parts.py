"""Arguments of a part as keys of its group's option, and which option stands for a registered part."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from geocompose.errors import UserError
from geocompose.migration.model.arguments import ModelArguments
from geocompose.migration.translation import Translation

# Options that take any name of their library, where several options build by one function.
_GENERAL = ("timm", "smp", "torchgeo", "transformers", "terratorch", "mmseg")


def translate_arguments(
    to: Translation,
    part: str,
    arguments: ModelArguments,
    keys: set[str],
    lost: str | None = None,
    apart: Sequence[str] = (),
) -> None:
    """Carry the arguments of a part that the option of its group has; list the others.

    keys: the option's. lost: why none can be carried. apart: names that are not looked at.
    """
    foreign = to.options.content(part, to.choices[part]).get("kwargs")
    for name, argument in arguments.of_part(part):
        place = argument.place
        if name in apart or argument.value is None or (place is not None and to.ledger.has_verdict(place)):
            continue
        if lost is not None or (name not in keys and foreign is None):
            if place is not None:
                to.ledger.lost(place, lost or f"{part}={to.choices[part]} has no argument {name!r}")
        elif name in keys:
            to.carry(place, f"{part}.{name}", argument.value)
        elif foreign is not None and (name in foreign or not foreign):
            to.carry(place, f"{part}.kwargs.{name}", argument.value)
        elif place is not None:
            to.ledger.lost(place, f"{part}={to.choices[part]} has no argument {name!r}")


def built_by(registry: Any, name: str) -> Any:
    """Return the class or function behind a registered name.

    Raises:
        UserError: its source is not installed; says which part asked for it.
    """
    try:
        target = registry.find(name)
    except UserError as error:
        raise UserError(f"model_args.{registry.kind}={name}: {error}") from error
    while isinstance(target, partial):
        target = target.func
    return target


def own_name(registry: Any, name: str) -> str | None:
    """Return which of several parts of one builder a registered name is; None where the builder makes one part."""
    target = registry.find(name)
    given: dict[str, Any] = {}
    texts: list[str] = []
    while isinstance(target, partial):
        given |= target.keywords
        texts += [text for text in target.args if isinstance(text, str)]
        target = target.func
    found = [given[key] for key in ("arch", "name") if isinstance(given.get(key), str)] + texts
    return found[0] if found else None


def option_for(to: Translation, group: str, registry: Any, name: str) -> str | None:
    """Return the option of a group that builds a registered part; None where there is none."""
    found = to.options.by_target(group, built_by(registry, name).__name__)
    own = own_name(registry, name)
    exactly = [option for option in found if own in _names_of(to, group, option)] if own is not None else []
    if exactly and group == "decoder":
        return exactly[0]
    general = [option for option in _GENERAL if option in found]
    return next(iter([*general, *found]), None)


def _names_of(to: Translation, group: str, option: str) -> tuple[Any, Any]:
    content = to.options.content(group, option)
    return content.get("arch"), content.get("name")
