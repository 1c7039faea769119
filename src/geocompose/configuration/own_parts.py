"""A user's own classes on the command line: `backbone._target_=my_module.Net backbone.width=16`."""

from collections.abc import Sequence

GROUPS = ("backbone", "decoder", "logger")  # those with an option `own`, whose keys are those that a user gives it


def open_own_parts(arguments: Sequence[str]) -> list[str]:
    """Return the command line's arguments with keys of a user's own classes in Hydra's form for new keys.

    A group whose `_target_` is given without an option is that of `GROUP=own`: another option's keys are not
    arguments of the class.
    """
    keys = [text.lstrip("+").partition("=")[0] for text in arguments]
    opened = list(arguments)
    for group in GROUPS:
        if f"{group}._target_" in keys and group not in keys:
            opened.append(f"{group}=own")
        if f"{group}=own" in opened:
            opened = [
                f"++{text}" if text.startswith(f"{group}.") and not text.startswith(f"{group}._target_=") else text
                for text in opened
            ]
    return opened
