"""Metrics of a recorded run's best checkpoint, on its own data or on other data."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.configuration.checking import check_node
from geocompose.console import console, show_result
from geocompose.data.files import input_files
from geocompose.errors import UserError
from geocompose.runs import Record, find_run
from geocompose.runs.atomic import write_json
from geocompose.runs.fingerprint import fingerprint

log = logging.getLogger("geocompose")


def evaluate(
    experiment: Experiment,
    run: str,
    split: Literal["train", "val", "test"] = "test",
    data: dict[str, object] | None = None,
) -> None:
    """Score the run in the folder `run` on a split.

    data: arguments to lay over the run's own data, such as {root: NEW, batch_size: 4}; a data option on the command
    line (`data=sen1floods11 data.root=DIR`) is other data instead.

    Raises:
        UserError: the run is not there or not completed, or the data has other classes or lacks the run's bands.
    """
    refuse_other_overrides(experiment, ["data", "experiment"])
    folder = find_run(run)
    config = yaml.safe_load(folder.config.read_text())
    record = folder.read()
    chosen = _data(experiment, config, record, data)
    from geocompose.assembly import instantiate, load_trained
    from geocompose.inference.scoring import score

    trained = load_trained(folder)
    data_module = instantiate(chosen)
    recorded = trained.data
    if data_module.class_names != recorded["class_names"]:
        raise UserError(
            f"The run knows the classes {recorded['class_names']}; this data has {data_module.class_names}."
        )
    data_module.use_bands(recorded["bands"])
    data_module.set_normalization(recorded["normalization"]["mean"], recorded["normalization"]["std"])
    data_module.setup()
    metrics = score(trained.model, data_module, split)
    result: dict[str, Any] = {
        "split": split,
        "data": chosen,
        "described": data_module.describe(),
        "metrics": metrics,
    }
    name = hashlib.sha256(json.dumps([split, chosen], sort_keys=True).encode()).hexdigest()[:10]
    target = folder.path / "evaluations" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    write_json(target, result)
    show_result(metrics, [], title=f"{split} split of {data_module.name}", prefix="")
    console().print(f"written: {target}")


def _data(
    experiment: Experiment, config: Mapping[str, Any], record: Record, changes: Mapping[str, object] | None
) -> dict[str, Any]:
    """Return the data configuration to score on: the run's with changes, or another one, cut as the run's was."""
    overrides = [text.lstrip("+") for text in experiment.overrides]
    keys = [text.partition("=")[0] for text in overrides]
    if not {"data", "experiment"} & set(keys):
        for text, key in zip(overrides, keys, strict=True):
            if key.startswith("data."):
                raise UserError(
                    f"{text}: evaluate takes the run's own data. Write action.data={{{key.removeprefix('data.')}: "
                    f"{text.partition('=')[2]}}} to change it, or choose other data with data=OPTION."
                )
        own = check_node("action.data", {**config["data"], **(changes or {})})
        if own.get("root") is not None and _fingerprint(own) != record.data.get("fingerprint"):
            log.warning("The files in %s are not those that the run was trained with.", own["root"])
        return own
    if changes:
        raise UserError("action.data changes the run's own data, and data=OPTION chooses other data; give one of them.")
    other = dict(experiment.config["data"])
    if "data.tile_px" not in keys:
        other["tile_px"] = record.data["tile_px"]
    return other


def _fingerprint(data: Mapping[str, Any]) -> str:
    return fingerprint(input_files(data), Path(data["root"]).expanduser())
