"""How a search judges runs that are fitted: which scores are better, and after which epochs there are some."""

from collections.abc import Mapping
from typing import Any, Literal

from geocompose.catalog.peft_methods import frozen_epochs, method_name
from geocompose.errors import UserError
from geocompose.launchers.runs import Judged

# By the target of the task; the tasks themselves say so beside their selection metric, and load torch.
BETTER: Mapping[str, Literal["higher", "lower"]] = {
    "geocompose.tasks.segmentation.SegmentationTask": "higher",
    "geocompose.tasks.classification.ClassificationTask": "higher",
    "geocompose.tasks.multilabel.MultilabelTask": "higher",
    "geocompose.tasks.regression.RegressionTask": "lower",
    "geocompose.tasks.scalar_regression.ScalarRegressionTask": "lower",
    "geocompose.tasks.reconstruction.ReconstructionTask": "lower",
}


def judged(config: Mapping[str, Any]) -> Judged:
    """Return how a search judges the runs of a configuration.

    Raises:
        UserError: its task is none of ours.
    """
    target = str(config["task"].get("_target_"))
    if target not in BETTER:
        raise UserError(f"A search does not know which scores of {target} are better: choose one of conf/task.")
    trainer, peft = config["trainer"], config["peft"]
    num_epochs = int(trainer["max_epochs"])
    frozen = 0
    if method_name(peft) == "lp_ft" and num_epochs > 1:
        frozen = frozen_epochs(float(peft["head_share"]), num_epochs)
    return Judged(BETTER[target], num_epochs, int(trainer["check_val_every_n_epoch"]), frozen)
