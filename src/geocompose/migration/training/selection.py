"""By which number of validation a run is stopped, slowed and chosen from: TerraTorch's is named in several places."""

from collections.abc import Mapping
from typing import Any

from geocompose.migration.ledger import Ledger, Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.translation import TRAINER, Translation

BY_SELECTION = "runs go by the selection metric"
CHECKPOINTS = ("ModelCheckpoint", "StateDictAwareModelCheckpoint")
_USUAL = "val/loss"
_METRICS = {
    "segmentation": "val/mIoU",
    **dict.fromkeys(("classification", "multilabel"), "val/F1_macro"),
    **dict.fromkeys(("regression", "scalar_regression"), "val/RMSE"),
    "reconstruction": _USUAL,
}
# Of several variables, whose errors have units of their own.
_OF_SEVERAL = {"val/RMSE": "val/nRMSE"}


def selection_of(to: Translation) -> str:
    """Return the metric that chooses the best epoch of the imported run."""
    metric = _METRICS[to.kind]
    return _OF_SEVERAL.get(metric, metric) if len(to.names) > 1 else metric


def callbacks(ledger: Ledger) -> list[tuple[Place, Any]]:
    """Return the trainer's callbacks and where they stand; Lightning takes a lone one without a list."""
    place = (*TRAINER, "callbacks")
    given = ledger.get(place)
    if isinstance(given, Mapping):
        return [(place, given)]
    return [((*place, str(index)), callback) for index, callback in enumerate(given or [])]


def tell_selection(to: Translation) -> None:
    """Say what goes by another number than in the configuration."""
    ours = selection_of(to)
    monitors: dict[str, Any] = {"the best epoch": _USUAL}
    for place, callback in callbacks(to.ledger):
        monitor = to.ledger.get((*place, "init_args", "monitor"), _USUAL)
        if class_name(callback) in CHECKPOINTS:
            monitors["the best epoch"] = monitor
        elif class_name(callback) == "EarlyStopping":
            monitors["early stopping"] = monitor
    if to.choices["scheduler"] == "plateau":
        monitors["the rate"] = _monitor_of_plateau(to)
    others = {what: monitor for what, monitor in monitors.items() if monitor != ours}
    if not others:
        return
    theirs = ", ".join(dict.fromkeys(map(str, others.values())))
    keeps = "; task.select_by=loss keeps val/loss" if "select_by" in to.options.content("task", to.kind) else ""
    to.ledger.remark(f"By {ours} here, by {theirs} in TerraTorch: {', '.join(others)}{keeps}.")


def _monitor_of_plateau(to: Translation) -> Any:
    if to.ledger.get(("optimizer",)) is None:
        return _USUAL  # of the task's own scheduler
    inner = to.ledger.get(("lr_scheduler", "init_args", "monitor"))
    return inner or to.ledger.get(("lr_scheduler", "monitor")) or _USUAL
