"""TerraTorch configurations and checkpoints made up for tests, and what became of them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import yaml
from hydra import compose, initialize_config_dir

from geocompose.actions.import_terratorch import import_terratorch
from geocompose.cli import Experiment
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.factory import EncoderDecoderFactory
from geocompose.migration.translate import translate
from geocompose.migration.translation import Options, Translation
from geocompose.runs import RunFolder
from tests.kit.places import CONF

# A composition that builds in a moment; the names are TerraTorch's.
MODEL_ARGS: dict[str, Any] = {
    "backbone": "timm_test_resnet",
    "backbone_pretrained": False,
    "backbone_in_chans": 3,
    "backbone_bands": ["BLUE", "GREEN", "RED"],
    "decoder": "FCNDecoder",
    "decoder_channels": 8,
    "decoder_num_convs": 1,
    "head_dropout": 0.1,
    "num_classes": 2,
}


FOLDERS = {
    **{f"{split}_data_root": f"chips/{split}/images" for split in ("train", "val", "test")},
    **{f"{split}_label_data_root": f"chips/{split}/labels" for split in ("train", "val", "test")},
    "img_grep": "*_S2.tif",
    "label_grep": "*_L.tif",
}


def a_run(sections: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the content of a TerraTorch YAML.

    sections: beside model and data. changes: the task's arguments; `model_args` and `data` are changed key by key,
    `task` and `module` are their classes.
    """
    model_args = {**MODEL_ARGS, **changes.pop("model_args", {})}
    data = {
        "batch_size": 4,
        "num_workers": 0,
        "num_classes": 2,
        "means": [1.0, 2.0, 3.0],
        "stds": [4.0, 5.0, 6.0],
        "output_bands": ["BLUE", "GREEN", "RED"],
        **changes.pop("data", {}),
    }
    task = changes.pop("task", "SemanticSegmentationTask")
    module = changes.pop("module", "GenericNonGeoSegmentationDataModule")
    return {
        "data": {"class_path": module, "init_args": data},
        "model": {"class_path": task, "init_args": {"model_args": model_args, "ignore_index": -1, **changes}},
        **(sections or {}),
    }


def translated(tree: dict[str, Any], **more: Any) -> Translation:
    return translate(tree, Options(CONF), **more)


def fate(to: Translation, key: str) -> str:
    """Return what became of a setting, by the end of its name."""
    entries = to.ledger.entries()
    (found,) = [entry for name, entry in entries.items() if name.endswith(key)]
    return f"{found.verdict}: {found.note}"


def decided(to: Translation) -> str:
    """Return what an import says that it decided, in lines."""
    return "\n".join(to.ledger.remarks)


@pytest.fixture
def conf(tmp_path, monkeypatch) -> Path:
    """Return a copy of conf/ that may be written to, with an empty folder beside it as the working directory."""
    shutil.copytree(CONF, tmp_path / "conf", ignore=shutil.ignore_patterns("imported"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "conf"


def call(conf: Path, **arguments: Any) -> None:
    import_terratorch(Experiment({"study": "default"}, {}, ["action=import_terratorch"], conf), **arguments)


def written(tree: dict[str, Any], name: str = "flood.yaml") -> str:
    Path(name).write_text(yaml.safe_dump(tree))
    return name


def a_checkpoint(
    tree: dict[str, Any], task: str = "segmentation", name: str = "flood.ckpt", **build: Any
) -> tuple[str, torch.nn.Module]:
    """Write what TerraTorch's task would, and return the file and the model."""
    arguments = tree["model"]["init_args"]
    torch.manual_seed(0)
    model = EncoderDecoderFactory(image_size=(32, 32)).build_model(task, **{**arguments["model_args"], **build})
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    state["criterion.weight"] = torch.ones(2)
    hyper = {"task": task, **arguments}
    torch.save({"epoch": 3, "global_step": 9, "state_dict": state, "hyper_parameters": hyper}, name)
    return name, model.eval()


def only_run() -> RunFolder:
    (record,) = Path("outputs").glob("*/*/record.json")
    return RunFolder(record.parent)


def composed(conf: Path, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(conf), version_base="1.3"):
        return check(compose("config", overrides=list(overrides)), groups(conf))


def a_raster(path: Path, values: np.ndarray, names: list[str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "int16" if names is None else "float32"
    size = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(
        path, "w", driver="GTiff", dtype=kind, crs="EPSG:32630", transform=rasterio.Affine(10, 0, 0, 0, -10, 0), **size
    ) as raster:
        raster.write(values.astype(kind))
        for index, name in enumerate(names or [], 1):
            raster.set_band_description(index, name)
