"""Metrics of a recorded run's best checkpoint, on its own data or on other data."""

import hashlib
import json
from typing import Any, Literal

from geocompose.cli import Experiment
from geocompose.console import console, show_result
from geocompose.errors import UserError
from geocompose.runs import find_run
from geocompose.runs.atomic import write_json


def evaluate(experiment: Experiment, run: str, split: Literal["train", "val", "test"] = "test") -> None:
    """Score the run in the folder `run` on a split, of other data where the command line chooses data.

    Raises:
        UserError: the run is not there or not completed, or the data has other classes or lacks the run's bands.
    """
    folder = find_run(run)
    from geocompose.assembly import instantiate, load_trained
    from geocompose.inference.scoring import score

    trained = load_trained(folder)
    other = any(text.lstrip("+").startswith(("data=", "data.")) for text in experiment.overrides)
    chosen = experiment.config["data"] if other else trained.config["data"]
    data = instantiate(chosen)
    recorded = trained.data
    if data.class_names != recorded["class_names"]:
        raise UserError(f"The run knows the classes {recorded['class_names']}; this data has {data.class_names}.")
    data.use_bands(recorded["bands"])
    data.set_normalization(recorded["normalization"]["mean"], recorded["normalization"]["std"])
    data.setup()
    metrics = score(trained.model, data, split)
    result: dict[str, Any] = {
        "split": split,
        "data": chosen,
        "described": data.describe(),
        "metrics": metrics,
    }
    name = hashlib.sha256(json.dumps([split, chosen], sort_keys=True).encode()).hexdigest()[:10]
    target = folder.path / "evaluations" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    write_json(target, result)
    show_result(metrics, [], title=f"{split} split of {data.name}", prefix="")
    console().print(f"written: {target}")
