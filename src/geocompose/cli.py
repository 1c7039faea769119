"""The command line: Hydra composes, the configuration is checked, and an action takes over. Free of torch."""

import importlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from geocompose.catalog.checks import check_source_names
from geocompose.catalog.learning_rates import Rate
from geocompose.configuration.checking import check, default_learning_rate
from geocompose.configuration.diagnosis import check_config_dir, diagnose, groups
from geocompose.configuration.overrides import check_hydra_keys, check_no_sweep, own_overrides, repeated
from geocompose.configuration.own_parts import open_own_parts
from geocompose.configuration.working_folder import search_working_folder, targets_in
from geocompose.errors import UserError, visible
from geocompose.launchers.in_turn import Jobs
from geocompose.runs.atomic import refusals_told
from geocompose.runs.trust import Trust

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class Experiment:
    """What an action is given.

    config: plain, resolved and typed. choices: the option chosen in each group. overrides: the command line's.
    conf_dir: where the configuration lies. config_dirs: all folders of config groups that were composed, it and those
        that were typed (--config-dir). in_sweep: whether other configurations run before and after this one.
    default_rate: where optimizer.lr comes from, if it was not given.
    """

    config: dict[str, Any]
    choices: dict[str, str | None]
    overrides: list[str]
    conf_dir: Path
    config_dirs: tuple[Path, ...] = ()
    in_sweep: bool = False
    default_rate: Rate | None = None

    @property
    def told(self) -> list[str]:
        """What the terminal was told of the command line before the action began, a line each."""
        return _told(self.overrides)

    def trust(self, typed: Sequence[str] | None) -> Trust:
        """Return whom to believe of what files say: the composed folders, and the targets that the user has typed."""
        return Trust((self.conf_dir, *self.config_dirs), tuple(typed or ()))


def main(conf_dir: Path) -> None:
    """Run what the command line says; exit with 0 only if all of it succeeded."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be any bytes
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Visible())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on to us instead of printing them
    os.environ["PYTHONSAFEPATH"] = "1"  # processes that we start don't take modules from the current folder either
    typed = list(sys.argv)
    opened = [_open_mapping(text) for text in open_own_parts(typed[1:])]
    sys.argv[1:] = opened
    _refuse_foreign_habits(typed[1:])
    given = get_args_parser().parse_args()
    report = partial(_report, debug=any(text.lstrip("+").lower() in ("debug=true", "debug=1") for text in typed))

    def act(composed: DictConfig) -> object:
        sys.argv[:] = typed  # records quote the command
        return run_action(composed, conf_dir)

    for line in _told(given.overrides):
        log.warning("%s", line)
    jobs = Jobs(act, report)
    if given.multirun:
        jobs.overrides = given.overrides
        own = own_overrides(given.overrides, groups(conf_dir))
        sys.argv[1:] = [text for text in opened if text in own or text not in given.overrides]
    try:
        check_config_dir(given.config_dir, conf_dir)
        check_hydra_keys(given.overrides)
        if not given.multirun:
            check_no_sweep(given.overrides)
        hydra.main(version_base="1.3", config_path=str(conf_dir), config_name="config")(jobs)()
    except KeyboardInterrupt:
        jobs.show()
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone
        sys.exit(1)
    except (HydraException, OmegaConfBaseException) as error:
        diagnosed = partial(diagnose, conf_dir=conf_dir, added=given.config_dir)
        report(_of_cell(jobs, diagnosed) or diagnosed(given.overrides) or error)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the top of the program: everything becomes one message and an exit code
        report(error)
        sys.exit(1)
    jobs.show()
    if jobs.failed:
        sys.exit(1)


def _told(overrides: Sequence[str]) -> list[str]:
    """Return a line for each key that is given more than once."""
    return [
        f"{key} is given more than once; the last one counts: {key}={value}"
        for key, value in repeated(overrides).items()
    ]


def _open_mapping(text: str) -> str:
    """Return an override of `kwargs`, the arguments of a foreign constructor, in Hydra's form for new keys."""
    key = text.partition("=")[0]
    return f"++{text}" if "=" in text and "kwargs" in key.split(".")[1:] and key[0].isalpha() else text


def _refuse_foreign_habits(arguments: Sequence[str]) -> None:
    """Say what to type here instead of TerraTorch's command line."""
    for text in arguments:
        if text == "--config" or text.startswith("--config="):
            print(
                "error: Settings are overrides here, such as backbone=prithvi decoder=upernet; experiment=NAME takes "
                "a whole file of conf/experiment. A TerraTorch YAML becomes one by action=import_terratorch "
                "action.config=FILE.yaml.",
                file=sys.stderr,
            )
            sys.exit(1)


def _of_cell(jobs: Jobs, diagnosed: Callable[[Iterable[str]], UserError | None]) -> UserError | None:
    """Return what is wrong with the cell that a sweep could not compose, or None where that is not known."""
    fault = diagnosed(jobs.composing) if jobs.composing else None
    varied = jobs.varied(jobs.composing)
    return UserError(f"{fault} This is the cell {varied}.") if fault and varied else fault


def run_action(composed: DictConfig, conf_dir: Path) -> object:
    """Check a composed configuration, call its action and return what that returns (an Outcome, of a run)."""
    search_working_folder(targets_in(OmegaConf.to_container(composed, resolve=False)))
    config = check(composed, groups(conf_dir))
    given = dict(OmegaConf.to_container(composed, resolve=True))  # type: ignore[arg-type]
    arguments = dict(config["action"])
    module, _, name = arguments.pop("_target_").rpartition(".")
    action: Callable[..., object] = getattr(importlib.import_module(module), name)
    hydra_config = HydraConfig.get()
    experiment = Experiment(
        config,
        dict(hydra_config.runtime.choices),
        list(hydra_config.overrides.task),
        conf_dir,
        tuple(Path(source.path) for source in hydra_config.runtime.config_sources if source.schema == "file"),
        in_sweep=hydra_config.mode is RunMode.MULTIRUN,
        default_rate=default_learning_rate(given),
    )
    try:
        check_source_names(config)
        with refusals_told():
            return action(experiment, **arguments)
    except UserError as error:
        if error.part in experiment.choices:
            error.add_note(f"at {error.part}={experiment.choices[error.part]}")
        raise


def refuse_other_overrides(experiment: Experiment, groups: Sequence[str], reason: str | None = None) -> None:
    """Refuse overrides of groups that an action does not look at.

    groups: those that it looks at, beside its own arguments. reason: why it ignores the others; null is the reason of
        an action on a recorded run.

    Raises:
        UserError: names the override, which would change nothing.
    """
    allowed = ("action", "debug", "hydra", *groups)
    for text in experiment.overrides:
        key = text.lstrip("+~").partition("=")[0]
        if key.partition(".")[0].partition("@")[0].partition("/")[0] not in allowed:
            own = key.partition(".")[0]
            why = reason or f"the recorded run in action.run brings its own {own}"
            raise UserError(f"{text} would change nothing: {why}. Leave it out.")


class _Visible(logging.Formatter):
    """Writes what a name out of a file would do to the terminal as text."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _is_misconfiguration(error: BaseException) -> bool:
    return type(error).__name__ == "MisconfigurationException"


def _report(error: BaseException, *, debug: bool) -> None:
    """Print one clear message; the traceback only where it was asked for."""
    if debug:
        traceback.print_exception(error)
        return
    notes = [f"\n  ({note})" for note in getattr(error, "__notes__", [])]
    # A ValueError is about a value that the user gave, whoever raises it; so is what Lightning calls misconfiguration.
    if isinstance(error, ValueError | HydraException | OmegaConfBaseException) or _is_misconfiguration(error):
        place = notes[-1] if isinstance(error, UserError) and error.part and notes else ""
        print(visible(f"error: {str(error).strip()}{place}"), file=sys.stderr)
    else:
        what = f"{type(error).__name__}: {error}".strip()
        message = f"error: {what}{''.join(notes)}\n  (unexpected: add debug=true for the traceback)"
        print(visible(message), file=sys.stderr)
