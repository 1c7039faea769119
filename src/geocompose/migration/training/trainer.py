"""Lightning's trainer and callbacks, as a TerraTorch run has them, as arguments of our trainer."""

from typing import Any

from geocompose.errors import UserError
from geocompose.migration.ledger import Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.training.selection import BY_SELECTION, CHECKPOINTS, callbacks
from geocompose.migration.translation import TRAINER, Translation

_PRECISIONS = {
    **dict.fromkeys(("32", "32-true", "full"), "32-true"),
    **dict.fromkeys(("16", "16-mixed", "half"), "16-mixed"),
    **dict.fromkeys(("bf16", "bf16-mixed"), "bf16-mixed"),
    **{name: name for name in ("16-true", "bf16-true", "64-true")},
    "64": "64-true",
}
_TRAINER_NOT_NEEDED = {
    **dict.fromkeys(("default_root_dir", "enable_checkpointing", "logger"), "every run has its folder"),
    **dict.fromkeys(("log_every_n_steps",), "metrics are written each epoch"),
    **dict.fromkeys(("enable_progress_bar", "enable_model_summary"), "only the display"),
    **dict.fromkeys(("strategy", "num_nodes", "devices"), "a run is one process on one device; others are trainer=ddp"),
    "accelerator": "trainer.accelerator is chosen on the command line; auto where it is not",
    "num_sanity_val_steps": "all settings are tried before a run starts",
}
_CALLBACKS_NOT_NEEDED = {
    "RichProgressBar": "trainer.progress_bar",
    "TQDMProgressBar": "trainer.progress_bar",
    "LearningRateMonitor": "rates are in metrics.csv",
    **dict.fromkeys(CHECKPOINTS, "the best epoch and the last are always kept"),
    "RichModelSummary": "the summary is always printed",
    "ModelSummary": "the summary is always printed",
}


def translate_trainer(to: Translation) -> None:
    """Translate precision, epochs, gradients and callbacks."""
    ledger = to.ledger
    keys = to.choose("trainer", "default")
    to.set("trainer.max_epochs", 1000)  # Lightning's own default, and below: ours are others
    to.set("trainer.gradient_clip_val", None)
    precision = ledger.get((*TRAINER, "precision"))
    if precision is not None:
        known = _PRECISIONS.get(str(precision))
        if known is None:
            why = f"trainer.precision has {', '.join(sorted(set(_PRECISIONS.values())))}"
            to.lose((*TRAINER, "precision"), why, "trainer.precision")
        else:
            to.carry((*TRAINER, "precision"), "trainer.precision", known)
    if ledger.get((*TRAINER, "max_epochs")) is None:
        ledger.remark("trainer.max_epochs=1000, as Lightning has where the file says nothing.")
    for key in ("max_epochs", "check_val_every_n_epoch", "accumulate_grad_batches", "gradient_clip_val"):
        value = ledger.get((*TRAINER, key))
        if value == -1:
            to.lose((*TRAINER, key), "a run here has a last epoch", f"trainer.{key}")
        elif key == "gradient_clip_val" and value == 0:
            ledger.carried((*TRAINER, key), f"trainer.{key}=null")  # Lightning's 0 is none
        elif value is not None:
            to.carry((*TRAINER, key), f"trainer.{key}", value)
    if ledger.get((*TRAINER, "max_steps")) == -1:
        ledger.needless((*TRAINER, "max_steps"), "no limit")
    to.lose((*TRAINER, "max_steps"), "a run ends with an epoch here", "trainer.max_epochs")
    deterministic = ledger.get((*TRAINER, "deterministic"))
    if deterministic is not None and "deterministic" in keys:
        to.carry((*TRAINER, "deterministic"), "trainer.deterministic", deterministic)
    if ledger.get((*TRAINER, "gradient_clip_algorithm"), "norm") == "norm":
        ledger.needless((*TRAINER, "gradient_clip_algorithm"), "always the norm")
    for place, callback in callbacks(ledger):
        _callback(to, place, callback)
    if not ledger.get((*TRAINER, "callbacks")):
        ledger.needless((*TRAINER, "callbacks"), "none")
    for key in ("devices", "num_nodes"):
        number = ledger.get((*TRAINER, key))
        if isinstance(number, int) and not isinstance(number, bool) and number > 1:
            why = "a run is one process; trainer=ddp makes it several, with data.batch_size for all of them together"
            ledger.lost((*TRAINER, key), why)
    for key, why in _TRAINER_NOT_NEEDED.items():
        ledger.needless((*TRAINER, key), why)


def _callback(to: Translation, place: Place, callback: Any) -> None:
    name = class_name(callback) or "?"
    if name == "EarlyStopping":
        inner = (*place, "init_args")
        patience = to.ledger.get((*inner, "patience"), 3)
        if not isinstance(patience, int):
            raise UserError(f"EarlyStopping in trainer.callbacks has patience={patience!r}; it is a whole number.")
        to.carry((*inner, "patience"), "trainer.early_stopping_patience", patience)
        to.ledger.carried((*place, "class_path"), "trainer.early_stopping_patience")
        for key in ("monitor", "mode"):
            to.ledger.needless((*inner, key), BY_SELECTION)
        to.ledger.lost(inner, "early stopping here has patience alone")
    elif name in _CALLBACKS_NOT_NEEDED:
        to.ledger.needless(place, _CALLBACKS_NOT_NEEDED[name])
    else:
        to.ledger.lost(place, f"the trainer takes no callback {name}")
