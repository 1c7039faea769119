"""How this program was started, and where its configuration lies: in a checkout, or in the installed package."""

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """Return the folder of the configuration: `conf` in the installed package, or that of the checkout."""
    return _PACKAGE / "conf" if is_installed() else _PACKAGE.parents[1] / "conf"


def is_installed() -> bool:
    """Return whether this is an installed package, which has its configuration within and is not to be written to."""
    return (_PACKAGE / "conf").is_dir()


def words() -> list[str]:
    """Return how a person starts this program: `geocompose`, or `python run.py`."""
    started = Path(sys.argv[0])
    if started.stem == "geocompose":
        return ["geocompose"]
    if started.name == "__main__.py" and started.parent.name == "geocompose":
        return ["python", "-m", "geocompose"]
    return ["python", "run.py"]


def typed_words() -> list[str]:
    """Return how this very process was started; of a script its path as it was typed."""
    return ["python", sys.argv[0]] if words()[-1] == "run.py" else words()
