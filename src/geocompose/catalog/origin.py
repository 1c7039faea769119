"""Whose a part is: this package's own, or another's."""

from collections.abc import Callable
from typing import Any

PACKAGE = "geocompose"


def is_ours(part: str | type | Callable[..., Any]) -> bool:
    """Return whether a `_target_`, or the class or function behind it, is this package's own.

    Ours read nothing on the meta device, name all their arguments, and stop with errors that are ours to explain. For
    others none of this is known.
    """
    module = part if isinstance(part, str) else str(getattr(part, "__module__", ""))
    return module.partition(".")[0] == PACKAGE
