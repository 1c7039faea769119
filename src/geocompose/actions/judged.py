"""How a search judges runs that are fitted: by which metric, which values are better, after which epochs."""

from collections.abc import Mapping
from typing import Any

from geocompose.catalog.peft_methods import frozen_epochs, method_name
from geocompose.errors import UserError
from geocompose.launchers.runs import Judged
from geocompose.scores import better

# By the target of the task, unless task.select_by says otherwise; the tasks themselves say so, and load torch.
METRICS: Mapping[str, str] = {
    "geocompose.tasks.segmentation.SegmentationTask": "val/mIoU",
    "geocompose.tasks.classification.ClassificationTask": "val/F1_macro",
    "geocompose.tasks.multilabel.MultilabelTask": "val/F1_macro",
    "geocompose.tasks.regression.RegressionTask": "val/RMSE",
    "geocompose.tasks.scalar_regression.ScalarRegressionTask": "val/RMSE",
    "geocompose.tasks.reconstruction.ReconstructionTask": "val/loss",
}
LOSS = "val/loss"
# What a validation's loss is made of; auxiliary losses are not in it.
LOSS_SETTINGS = (
    "loss", "class_weights", "label_smoothing", "variable_weights", "mask_ratio", "mask_px", "norm_pix_loss",
)  # fmt: skip


def judged(config: Mapping[str, Any]) -> Judged:
    """Return how a search judges the runs of a configuration: by what their best epoch is chosen by.

    Raises:
        UserError: its task is none of ours, or task.select_by is not a metric.
    """
    task, trainer, peft = config["task"], config["trainer"], config["peft"]
    metric = _metric(task, config["data"])
    direction = better(metric)
    if direction is None:
        name = metric.removeprefix("val/")
        raise UserError(
            f"task.select_by has no {name!r}. The comment in the task's file in conf/task lists what it has."
        )
    num_epochs = int(trainer["max_epochs"])
    frozen = 0
    if method_name(peft) == "lp_ft" and num_epochs > 1:
        frozen = frozen_epochs(float(peft["head_share"]), num_epochs)
    depends_on = {f"task.{key}": task[key] for key in LOSS_SETTINGS if key in task} if metric == LOSS else {}
    return Judged(metric, direction, num_epochs, int(trainer["check_val_every_n_epoch"]), frozen, depends_on)


def _metric(task: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    target = str(task.get("_target_"))
    if target not in METRICS:
        raise UserError(f"A search does not know by what runs of {target} are judged: choose one of conf/task.")
    select_by = task.get("select_by")
    if select_by is not None:
        return f"val/{select_by}"
    # Several variables have a mean of their errors in deviations beside the one in their units.
    return "val/nRMSE" if METRICS[target] == "val/RMSE" and len(data.get("variables") or ()) > 1 else METRICS[target]
