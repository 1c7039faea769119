"""What a configuration leaves open (null, auto), and what the run has taken for it."""

from collections.abc import Mapping
from typing import Any

import lightning

from geocompose.runs import Record

_AUTO = "auto"
_BANDS = "the bands that the backbone declares where the data has them all, else all of the data's"


def decided(config: Mapping[str, Any], record: Record, trainer: lightning.Trainer) -> dict[str, dict[str, Any]]:
    """Return what the run decided of keys that are null or `auto`, by dotted key: the value, and where it is from.

    record: with the data's and the model's description in it.
    """
    found: dict[str, dict[str, Any]] = {}
    rate = record.training.get("lr") or {}
    if rate.get("from") == "default":
        found["optimizer.lr"] = {"value": rate["rate"], "from": rate["source"]}
    data, target = config["data"], record.data.get("target") or {}
    for key, value in record.data.items():
        if key in data and data[key] is None and value is not None:
            found[f"data.{key}"] = {"value": value, "from": _BANDS if key == "bands" else "the data"}
    if "class_names" in data and data["class_names"] is None and target.get("names"):
        found["data.class_names"] = {"value": target["names"], "from": "the data"}
    if "bands" in config["backbone"] and config["backbone"]["bands"] is None:
        found["backbone.bands"] = {"value": record.data["bands"], "from": "data.bands"}
    if config["trainer"].get("accelerator") == _AUTO:
        found["trainer.accelerator"] = {"value": trainer.strategy.root_device.type, "from": "what this machine has"}
    if record.choices.get("neck") == _AUTO and "necks" in record.model:
        found["neck.necks"] = {"value": record.model["necks"], "from": "planned between backbone and decoder"}
    return found
