"""The command line: Hydra composes, the configuration is checked, and an action takes over. Free of torch."""

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import diagnose, groups
from geocompose.errors import UserError

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class Experiment:
    """What an action is given.

    config: plain, resolved and typed. choices: the option chosen in each group. overrides: the command line's.
    conf_dir: where the configuration lies.
    """

    config: dict[str, Any]
    choices: dict[str, str | None]
    overrides: list[str]
    conf_dir: Path


def main(conf_dir: Path) -> None:
    """Run what the command line says; exit with 0 only if all of it succeeded."""
    log.addHandler(logging.StreamHandler(sys.stderr))
    log.setLevel(logging.INFO)
    log.propagate = False
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on to us instead of printing them
    failures: list[str] = []
    sweeping = False

    def job(composed: DictConfig) -> None:
        nonlocal sweeping
        sweeping = HydraConfig.get().mode is RunMode.MULTIRUN
        try:
            run_action(composed, conf_dir)
        except Exception as error:  # noqa: BLE001 - the top of a run: everything becomes one message; a sweep goes on
            failures.append(f"{' '.join(HydraConfig.get().overrides.task)}: {_first_line(error)}")
            _report(error)

    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir), config_name="config")(job)()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone
        sys.exit(1)
    except (HydraException, OmegaConfBaseException) as error:
        _report(diagnose(get_args_parser().parse_args().overrides, conf_dir) or error)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the top of the program: everything becomes one message and an exit code
        _report(error)
        sys.exit(1)
    if failures:
        if sweeping:
            print(f"\n{len(failures)} of the sweep's runs failed:", *failures, sep="\n  ", file=sys.stderr)
        sys.exit(1)


def run_action(composed: DictConfig, conf_dir: Path) -> None:
    """Check a composed configuration and call its action."""
    config = check(composed, groups(conf_dir))
    arguments = dict(config["action"])
    module, _, name = arguments.pop("_target_").rpartition(".")
    action: Callable[..., None] = getattr(importlib.import_module(module), name)
    chosen = HydraConfig.get()
    action(Experiment(config, dict(chosen.runtime.choices), list(chosen.overrides.task), conf_dir), **arguments)


def refuse_other_overrides(experiment: Experiment, groups: Sequence[str]) -> None:
    """Refuse overrides of groups that an action on a recorded run does not look at.

    groups: those that it looks at, beside its own arguments.

    Raises:
        UserError: names the override, which would change nothing.
    """
    allowed = ("action", "debug", "hydra", *groups)
    for text in experiment.overrides:
        key = text.lstrip("+~").partition("=")[0]
        if key.partition(".")[0].partition("@")[0].partition("/")[0] not in allowed:
            raise UserError(
                f"{text} would change nothing: the recorded run in action.run brings its own {key.partition('.')[0]}. Leave it out."
            )


def _is_misconfiguration(error: BaseException) -> bool:
    return type(error).__name__ == "MisconfigurationException"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _report(error: BaseException) -> None:
    """Print one clear message; the traceback only where it was asked for."""
    if any(text.lstrip("+").lower() in ("debug=true", "debug=1") for text in sys.argv[1:]):
        traceback.print_exception(error)
        return
    notes = "".join(f"\n  ({note})" for note in getattr(error, "__notes__", []))
    # A ValueError is about a value that somebody gave, whoever raises it; so is what Lightning calls misconfiguration.
    if isinstance(error, ValueError | HydraException | OmegaConfBaseException) or _is_misconfiguration(error):
        print(f"error: {str(error).strip()}", file=sys.stderr)
    else:
        what = f"{type(error).__name__}: {error}".strip()
        print(f"error: {what}{notes}\n  (unexpected: add debug=true for the traceback)", file=sys.stderr)
