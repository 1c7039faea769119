"""A user's own classes on the command line: `backbone._target_=my_module.Net backbone.width=16`."""

from collections.abc import Sequence

GROUPS = ("backbone", "decoder", "head", "logger")  # with an option `own`, whose keys are those that a user gives it
TASK = "task"  # whose option says what data and head go with it, and stays beside a class derived from ours
VALUES = ("task.loss", "data.module")  # values in whose place a class of one's own stands, as one mapping


def opened(arguments: Sequence[str]) -> list[str]:
    """Return the command line's arguments as Hydra takes them: keys that no option has are new ones.

    They are those of a user's own classes (see `open_own_parts`) and of `kwargs`, a foreign constructor's arguments.
    """
    return [_open_mapping(text) for text in open_own_parts(arguments)]


def open_own_parts(arguments: Sequence[str]) -> list[str]:
    """Return the command line's arguments with keys of a user's own classes in Hydra's form for new keys.

    A group whose `_target_` is given without an option is that of `GROUP=own`: another option's keys are not
    arguments of the class. `task.loss._target_=my_lab.Loss task.loss.gamma=2` is `task.loss={_target_: my_lab.Loss,
    gamma: 2}`.
    """
    keys = [text.lstrip("+").partition("=")[0] for text in arguments]
    opened = list(arguments)
    for key in VALUES:
        opened = _as_one_mapping(opened, key) if f"{key}._target_" in keys else opened
    for group in GROUPS:
        if f"{group}._target_" in keys and group not in keys:
            opened.append(f"{group}=own")
        if f"{group}=own" in opened:
            opened = [_as_new_key(text, group) for text in opened]
    return [_as_new_key(text, TASK) for text in opened] if f"{TASK}._target_" in keys else opened


def closed(overrides: Sequence[str]) -> list[str]:
    """Return overrides as they are typed: the reverse of `opened`, for what to type next."""
    chosen = [text.partition("=")[0].removesuffix("._target_") for text in overrides if "._target_=" in text]
    return [text.removeprefix("++") for text in overrides if text not in {f"{group}=own" for group in chosen}]


def _open_mapping(text: str) -> str:
    """Return an override of `kwargs`, the arguments of a foreign constructor, in Hydra's form for new keys."""
    key = text.partition("=")[0]
    return f"++{text}" if "=" in text and "kwargs" in key.split(".")[1:] and key[0].isalpha() else text


def _as_new_key(text: str, group: str) -> str:
    return f"++{text}" if text.startswith(f"{group}.") and not text.startswith(f"{group}._target_=") else text


def _as_one_mapping(arguments: Sequence[str], key: str) -> list[str]:
    prefix = f"{key}."
    own = [text for text in arguments if text.lstrip("+").startswith(prefix) and "=" in text]
    inner = (text.lstrip("+").removeprefix(prefix).partition("=") for text in own)
    mapping = ", ".join(f"{name}: {value}" for name, _, value in inner)
    return [*(text for text in arguments if text not in own), f"{key}={{{mapping}}}"]
