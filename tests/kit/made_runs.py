"""Run folders without a training: a model of random weights, and no file that evaluate and predict can do without."""

from pathlib import Path
from typing import Any

import torch
import yaml
from hydra import compose, initialize_config_dir

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.from_config import build_model
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.samples import Inputs, Target
from geocompose.inference.trained import TrainedModel, load_trained
from geocompose.runs import Record, Trust, load_rules, open_run
from tests.kit.places import CONF

TINY = ("backbone=timm", "backbone.name=test_resnet", "decoder=fcn", "decoder.channels=8", "decoder.num_convs=1")

TARGETS = {
    "segmentation": Target("segmentation", ("water", "vegetation", "bare", "built")),
    "regression": Target("regression", ("biomass",), mean=(150.0,), std=(40.0,)),
    "classification": Target("classification", ("water", "vegetation", "bare", "built")),
    "multilabel": Target("multilabel", ("water", "vegetation", "bare", "built")),
    "scalar_regression": Target("scalar_regression", ("share",), mean=(0.4,), std=(0.1,)),
}


def make_run(
    folder: Path,
    target: Target,
    *overrides: str,
    data: dict[str, Any] | None = None,
    bands: tuple[str, ...] = HLS_BANDS,
    tile_px: int = 32,
    composition: tuple[str, ...] = TINY,
) -> Path:
    """Write a completed run's folder and return it: config.yaml, record.json and checkpoints/best.ckpt alone.

    composition, overrides: what is composed. data: the run's data configuration; None leaves it out, as an import may.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", overrides=[*composition, f"task={target.kind}", *overrides])
    config = check(composed, groups(CONF))
    torch.manual_seed(0)
    model = build_model(config, inputs=Inputs(tuple(bands), tile_px), target=target).model
    del config["data"]
    if data is not None:
        config["data"] = data
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state}, folder / "checkpoints" / "best.ckpt")
    described = {
        "bands": list(bands),
        "target": target.as_record(),
        "tile_px": tile_px,
        "normalization": {"mean": [1500.0] * len(bands), "std": [800.0] * len(bands)},
    }
    Record(run_id="0123456789", status="completed", data=described).write(folder / "record.json")
    return folder


def trained(folder: Path) -> TrainedModel:
    """Return the model of the run in a folder, as evaluate and predict load it."""
    return load_trained(open_run(folder, load_rules(CONF), Trust([CONF])))
