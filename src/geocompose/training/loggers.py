"""Where metrics go beside metrics.csv: the options of conf/logger."""

import inspect
import netrc
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from lightning.pytorch.loggers import Logger

from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError
from geocompose.training.lightning_loggers import TRACKING_URI, MlflowRun, TensorBoardRun, WandbRun

MakeLogger = Callable[["LoggedRun"], list[Logger]]


@dataclass(frozen=True)
class LoggedRun:
    """What a logger is told of a run.

    path: its folder. study: its study. key: names this computation of it: another one after rerun=true. step: the
    optimizer step from which it goes on, 0 for a new one. earlier: what the record says of its loggers
    (`Record.loggers`), empty for a new run.
    """

    path: Path
    study: str
    key: str
    step: int
    earlier: Mapping[str, Any]


def tensorboard(run: LoggedRun) -> list[Logger]:
    """Return a TensorBoard logger into the run's folder."""
    # Points that an interrupted part wrote after its last checkpoint are computed again, and then shown once.
    again: dict[str, Any] = {"purge_step": run.step} if run.step else {}
    return [TensorBoardRun(save_dir=run.path, name="", version="tensorboard", default_hp_metric=False, **again)]


def csv_only(run: LoggedRun) -> list[Logger]:
    """Return no logger: metrics.csv is always written."""
    return []


def mlflow(run: LoggedRun, tracking_uri: str | None = None, experiment_name: str | None = None) -> list[Logger]:
    """Return a logger into MLflow.

    tracking_uri: an address, a database (sqlite:///FILE) or a folder; None is the environment's MLFLOW_TRACKING_URI, or
        the folder outputs/mlruns. experiment_name: None is the study's name.
    """
    uri = tracking_uri or os.environ.get(TRACKING_URI) or str(run.path.parent.parent / "mlruns")
    if "://" not in uri and not uri.startswith(("file:", "databricks")):
        uri = Path(uri).resolve().as_uri()
    return [
        MlflowRun(
            experiment_name=experiment_name or run.study,
            run_name=run.path.name,
            tracking_uri=uri,
            tags={"geocompose.run": run.key},
            run_id=run.earlier.get("mlflow", {}).get("version"),
        )
    ]


def wandb(
    run: LoggedRun,
    project: str | None = None,
    entity: str | None = None,
    mode: Literal["online", "offline"] | None = None,
) -> list[Logger]:
    """Return a logger into Weights & Biases, whose files lie in the run's folder.

    project: None is the study's name. entity: None is the account's own. mode: None is the environment's WANDB_MODE, or
        online where a key is found, else offline (`wandb sync` uploads such runs later).
    """
    mode = mode or (None if os.environ.get("WANDB_MODE") else "online" if _has_key() else "offline")
    how: dict[str, Any] = {} if mode is None else {"mode": mode}
    return [
        WandbRun(
            project=project or run.study,
            entity=entity,
            name=run.path.name,
            id=run.key,
            save_dir=str(run.path.resolve()),  # its service may have another working folder
            **how,
        )
    ]


def logger_maker(config: Mapping[str, Any]) -> MakeLogger:
    """Return what builds a configuration's loggers once there is a run.

    config: the section `logger`. Its target is one of the functions above, or a logger class of Lightning's or the
        user's own, which is given the run's folder and key where it takes save_dir and version and the configuration
        does not say.

    Raises:
        UserError: the target is not a logger.
    """
    partial = instantiate(config)
    target = getattr(partial, "func", partial)
    if not isinstance(target, type):
        if not callable(partial) or not str(config["_target_"]).startswith(f"{__name__}."):
            raise _not_a_logger(config)
        return partial
    if not issubclass(target, Logger):
        raise _not_a_logger(config)
    takes, given = inspect.signature(target).parameters, partial.keywords

    def make(run: LoggedRun) -> list[Logger]:
        told = {"save_dir": str(run.path), "version": run.key}
        return [partial(**{name: value for name, value in told.items() if name in takes and name not in given})]

    return make


def _not_a_logger(config: Mapping[str, Any]) -> UserError:
    return UserError(
        f"logger._target_ must be a logger class of Lightning, such as lightning.pytorch.loggers.CSVLogger, or one "
        f"derived from lightning.pytorch.loggers.Logger; got {config['_target_']}."
    )


def _has_key() -> bool:
    """Return whether a key for Weights & Biases is in the environment or in the user's netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    from wandb import Settings

    hosts = {"api.wandb.ai", urlsplit(str(Settings().base_url)).hostname or ""}
    file = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    with suppress(OSError, netrc.NetrcParseError):
        return bool(hosts & netrc.netrc(str(file)).hosts.keys())
    return False
