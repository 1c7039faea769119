"""Hydra's own launchers and sweepers, which are not used here: said with what to write instead, installed or not."""

import importlib.util
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from geocompose.errors import UserError

_ENGINES = "launcher=local launcher.workers=N, launcher=slurm or launcher=ray"
_WORK = "for anything else, action=work study=NAME action.slice=1/N computes a part of a study's plan"
# What to write instead of a launcher; `submitit_` is the beginning of several.
_INSTEAD = {
    "joblib": "launcher=local launcher.workers=N computes N cells at a time on this machine",
    "rq": f"{_ENGINES} compute cells; {_WORK}",
    "submitit_local": "launcher=slurm launcher.cluster=local tries a Slurm sweep on this machine",
    "submitit_slurm": "launcher=slurm hands a sweep to Slurm, by the same submitit",
    "ray": "launcher=ray computes cells on a Ray cluster, launcher.address=ADDRESS joins one",
    "ray_aws": "launcher=ray launcher.address=ADDRESS joins a Ray cluster, wherever it runs",
}
# The packages that bring options of Hydra's own groups, by the beginning of the option's name.
_PACKAGES = {
    "hydra/launcher": {
        "joblib": "hydra-joblib-launcher",
        "ray": "hydra-ray-launcher",
        "rq": "hydra-rq-launcher",
        "submitit": "hydra-submitit-launcher",
    },
    "hydra/sweeper": {
        "ax": "hydra-ax-sweeper",
        "nevergrad": "hydra-nevergrad-sweeper",
        "optuna": "hydra-optuna-sweeper",
    },
    "hydra/job_logging": {"colorlog": "hydra-colorlog"},
    "hydra/hydra_logging": {"colorlog": "hydra-colorlog"},
}
_MODULES = {"hydra-colorlog": "hydra_plugins.hydra_colorlog"}


def check_hydra_plugins(overrides: Sequence[str]) -> None:
    """Refuse launchers and sweepers of Hydra's, and name the package of an option of Hydra's groups that is missing.

    Raises:
        UserError: says what to write instead.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return  # Hydra says what is wrong with them
    for override in parsed:
        group, text = override.key_or_group, override.input_line or ""
        value = "" if override.is_sweep_override() else str(override.value())
        if group == "hydra/launcher" and value != "basic":
            _refuse_launcher(text, value)
        elif group.startswith(("hydra.launcher.", "hydra.sweeper.")):
            kind = group.split(".")[1]
            raise UserError(f"{text} would change nothing: Hydra's {kind}s are not used here. Instead: {_ENGINES}.")
        elif group == "hydra/sweeper" and value != "geocompose":
            package = _package(group, value)
            raise UserError(
                f"{text}: sweeps are planned by geocompose's own sweeper, which knows what is finished; other sweepers"
                f"{f' ({package})' if package else ''} are not used here. Leave it out."
            )
        elif group in _PACKAGES and (package := _package(group, value)) and not _is_installed(package):
            raise UserError(f"{text}: this option comes with a package that is not installed: pip install {package}.")


def _refuse_launcher(text: str, value: str) -> None:
    package = _package("hydra/launcher", value)
    instead = _INSTEAD.get(value, f"{_ENGINES} compute cells; {_WORK}")
    raise UserError(
        f"{text}: Hydra's launchers{f' ({package})' if package else ''} are not used here: they can neither go on "
        f"with a sweep nor keep one cell's crash from the others. Instead: {instead}."
    )


def _package(group: str, option: str) -> str | None:
    found = _PACKAGES[group]
    return next(
        (package for start, package in found.items() if option == start or option.startswith(f"{start}_")), None
    )


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(_MODULES[package]) is not None
    except ModuleNotFoundError:
        return False
