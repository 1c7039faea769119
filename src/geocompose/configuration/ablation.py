"""Ablations: a sweep's cells around a base, of which each changes one key. `ablate=all`, `ablate=[decoder,peft]`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra.core.override_parser.types import Override

from geocompose.errors import UserError, choices

KEY = "ablate"
# Repetitions of an experiment, and no part of it: without them no change could be told from chance.
ALWAYS_CROSSED = ("seed", "data.fold")
_EXAMPLE = "-m ablate=all decoder=upernet,unet peft=none,lora seed=0,1,2"


@dataclass(frozen=True)
class Ablation:
    """The command lines of an ablation, which together have all its cells.

    base: the first value of each key that is varied alone. lines: overrides in which these keys have one value each,
    those of the base first; what is crossed with all of them still has its several values.
    """

    base: dict[str, str] = field(default_factory=dict)
    lines: list[list[str]] = field(default_factory=list)


def ablation(overrides: Sequence[Override]) -> Ablation | None:
    """Return the ablation that a sweep's command line asks for, without its own key; None where it asks for none.

    overrides: of the command line, parsed, Hydra's own left out.

    Raises:
        UserError: nothing that it names has several values, or a name is none of the keys that have.
    """
    asked = [one for one in overrides if one.key_or_group == KEY]
    if not asked or asked[-1].value() is None:
        return None
    named = _named(asked[-1])
    rest = [one for one in overrides if one.key_or_group != KEY]
    last = {one.key_or_group: place for place, one in enumerate(rest)}  # of a key that is given twice, the last counts
    rest = [one for place, one in enumerate(rest) if last[one.key_or_group] == place]
    swept = [one.key_or_group for one in rest if one.is_discrete_sweep()]
    free = [key for key in swept if key not in ALWAYS_CROSSED]
    if not free:
        raise UserError(f"{asked[-1].input_line} needs keys with several values, the first being the base: {_EXAMPLE}.")
    for name in named or ():
        if name in ALWAYS_CROSSED:
            raise UserError(
                f"ablate names {name}, which repeats an experiment and is crossed with each of its cells. Leave it out."
            )
        if name not in free:
            raise UserError(f"ablate names {name!r}, which does not have several values here. {choices(name, free)}")
    varied = {one.key_or_group: _texts(one) for one in rest if one.key_or_group in (named or free)}
    if not all(varied.values()):
        return Ablation()  # a glob that matches nothing: no cells, as in any other sweep
    base = {key: texts[0] for key, texts in varied.items()}
    changes = [{}, *({key: text} for key, texts in varied.items() for text in texts[1:])]
    lines = [[(base | change).get(one.key_or_group, one.input_line or "") for one in rest] for change in changes]
    return Ablation({key: text.partition("=")[2] for key, text in base.items()}, lines)


def _named(asked: Override) -> list[str] | None:
    """Return the keys that are to be varied alone; None is all."""
    value = asked.value()
    if value == "all":
        return None
    if asked.is_sweep_override() or not isinstance(value, list) or not value:
        raise UserError(f"{asked.input_line} must be ablate=all, or a list of keys such as 'ablate=[decoder,peft]'.")
    return list(map(str, value))


def _texts(one: Override) -> list[str]:
    return [f"{one.get_key_element()}={text}" for text in one.sweep_string_iterator()]


def check_no_ablation(value: object) -> None:
    """Refuse an ablation in the configuration of one run: cells have none, since it says which cells there are.

    Raises:
        UserError: says how it is written.
    """
    if value is not None:
        shown = f"[{','.join(map(str, value))}]" if isinstance(value, list) else value
        raise UserError(
            f"ablate={shown} varies the keys of a sweep one at a time. Type it on the command line of a sweep, beside "
            f"keys with several values: {_EXAMPLE}."
        )
