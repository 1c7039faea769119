"""The command line: Hydra composes, the configuration is checked, and an action takes over. Free of torch."""

import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from geocompose.configuration.diagnosis import check_config_dir, diagnose, groups
from geocompose.configuration.hydra_plugins import check_hydra_plugins
from geocompose.configuration.overrides import check_hydra_keys, check_no_sweep, flags_first, own_overrides
from geocompose.configuration.typed import as_hydra_takes_it
from geocompose.errors import TRACEBACK, UserError, raised_in, visible
from geocompose.experiment import Experiment, perform, told, understood
from geocompose.launchers.computing import show_messages
from geocompose.launchers.in_turn import Jobs
from geocompose.launchers.stopping import Stopped
from geocompose.lean_torchmetrics import import_core_first
from geocompose.search.settings import NEEDS_SWEEP

log = logging.getLogger("geocompose")

FOR_TRACEBACK = "\n  (unexpected: add debug=true for the traceback)"


def main(conf_dir: Path) -> None:
    """Run what the command line says; exit with 0 only if all of it succeeded."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be any bytes
    show_messages()
    import_core_first()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on to us instead of printing them
    os.environ["PYTHONSAFEPATH"] = "1"  # processes that we start don't take modules from the current folder either
    if "--version" in sys.argv:
        print(f"geocompose {sys.modules['geocompose'].__version__} (Hydra {hydra.__version__})")
        return
    sys.argv[1:] = flags_first(sys.argv[1:])
    typed = list(sys.argv)
    report = partial(_report, debug=any(text.lstrip("+").lower() in ("debug=true", "debug=1") for text in typed))
    _refuse_foreign_habits(typed[1:], groups(conf_dir))
    given = get_args_parser().parse_args()
    try:
        arguments = as_hydra_takes_it(typed[1:], [conf_dir, *([Path(given.config_dir)] if given.config_dir else [])])
    except UserError as error:
        report(error)
        sys.exit(1)
    sys.argv[1:] = arguments
    given = get_args_parser().parse_args()

    def act(composed: DictConfig) -> object:
        sys.argv[:] = typed  # records quote the command
        # Told before what a search requires, which is of no use to a single run.
        search = composed.get("search")
        if not given.multirun and isinstance(search, DictConfig) and OmegaConf.is_missing(search, "trials"):
            raise UserError(NEEDS_SWEEP)
        return run_action(composed, conf_dir)

    for line in told(given.overrides):
        log.warning("%s", line)
    jobs = Jobs(act, report, conf_dir=conf_dir, command=typed)
    if given.multirun:
        jobs.overrides = given.overrides
        own = own_overrides(given.overrides, groups(conf_dir))
        sys.argv[1:] = [text for text in arguments if text in own or text not in given.overrides]
    try:
        check_config_dir(given.config_dir, conf_dir, to_be_filled="action=import_terratorch" in given.overrides)
        check_hydra_keys(given.overrides)
        check_hydra_plugins(given.overrides)
        if not given.multirun:
            check_no_sweep(given.overrides)
        hydra.main(version_base="1.3", config_path=str(conf_dir), config_name="config")(jobs)()
    except KeyboardInterrupt as stop:
        _show(jobs, report)
        print("Interrupted.", file=sys.stderr)
        sys.exit(128 + (stop.signal if isinstance(stop, Stopped) else signal.SIGINT))
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone
        sys.exit(1)
    except (HydraException, OmegaConfBaseException) as error:
        diagnosed = partial(diagnose, conf_dir=conf_dir, added=given.config_dir)
        report(_of_cell(jobs, diagnosed) or diagnosed(given.overrides) or error)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the top of the program: everything becomes one message and an exit code
        if jobs.sweep is not None and jobs.sweep.began:  # what was computed until then
            _show(jobs, report)
        report(error)
        sys.exit(1)
    if not _show(jobs, report) or jobs.failed:
        sys.exit(1)


def _show(jobs: Jobs, report: Callable[[BaseException], None]) -> bool:
    """Show how a sweep ended, and return whether that was possible."""
    try:
        jobs.show()
    except Exception as error:  # noqa: BLE001 - the top of the program, as above
        report(error)
        return False
    return True


def _refuse_foreign_habits(arguments: Sequence[str], known: Sequence[str]) -> None:
    """Say what to type here instead of TerraTorch's command line, or of flags. known: the config groups."""
    for text, value in zip(arguments, [*arguments[1:], "NAME"], strict=True):
        if text.removeprefix("--").partition("=")[0] in known and text.startswith("--"):
            group, _, given = text.removeprefix("--").partition("=")
            print(
                f"error: {text} is not a flag. Settings are overrides here: {group}={given or value}.", file=sys.stderr
            )
            sys.exit(1)
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
    return perform(*understood(composed, conf_dir))


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
        what = f"{type(error).__name__}: {str(error).strip() or raised_in(error)}"
        told = any(TRACEBACK in note for note in notes)
        message = f"error: {what}{''.join(notes)}{'' if told else FOR_TRACEBACK}"
        print(visible(message), file=sys.stderr)
