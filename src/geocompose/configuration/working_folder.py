"""The current folder as a place of modules: only for the targets that a user has typed, and only where it has them."""

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder


def targets_in(config: object) -> set[str]:
    """Return all targets that a composed configuration names, and those that `trust` lists in it."""
    if isinstance(config, list | tuple):
        return {target for value in config for target in targets_in(value)}
    if not isinstance(config, Mapping):
        return set()
    found = {target for value in config.values() for target in targets_in(value)}
    trusted = config.get("trust")
    named = [config.get("_target_"), *(trusted if isinstance(trusted, list) else ())]
    return found | {target for target in named if isinstance(target, str)}


def search_working_folder(targets: Iterable[str]) -> None:
    """Have modules be found in the current folder, last of all places, if one of `targets` is there and nowhere else.

    Without that, nothing of the current folder is imported: neither modules, nor plugins, nor entry points.
    """
    here = os.getcwd()
    if here in sys.path:
        return
    for module in {target.partition(".")[0] for target in targets}:
        if _spec(module) is None and PathFinder.find_spec(module, [here]) is not None:
            sys.path.append(here)
            return


def _spec(module: str) -> object:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: a module without a spec, such as __main__
        return None
