"""What an import prints is run as it is printed: data as the YAML expects them, one epoch, exit code 0."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from geocompose.backbones.prithvi.builder import build_prithvi
from tests.kit.command import record_of, typed
from tests.kit.terratorch_runs import FOLDERS as UNSEEN
from tests.kit.terratorch_runs import a_checkpoint, a_raster, a_run, call, conf, written
from tests.kit.terratorch_trees import FROM_SCRATCH, HLS, data_of, of_classification, of_regression, of_segmentation

__all__ = ["conf"]

SPLITS = ("train", "val", "test")
FOLDERS = {f"{split}{part}_data_root": f"chips/{split}" for split in SPLITS for part in ("", "_label")}
SMALL = {"decoder": "FCNDecoder", "decoder_channels": 8, "decoder_num_convs": 1}
TINY = {"backbone": "prithvi_eo_tiny", "backbone_depth": 2, **SMALL}


def rasters(folder: str, count: int, bands: int, labels: np.ndarray, *, start: int = 0) -> None:
    """Write images of so many bands without names, as TerraTorch reads them, and labels beside them."""
    random = np.random.default_rng(start)
    for index in range(start, start + count):
        a_raster(Path(folder) / f"c{index}_image.tif", random.integers(200, 3000, (bands, 32, 32)))
        a_raster(Path(folder) / f"c{index}_label.tif", random.choice(labels, (1, 32, 32)))


def in_folders(bands: int, labels: np.ndarray) -> None:
    for place, split in enumerate(SPLITS):
        rasters(f"chips/{split}", 3, bands, labels, start=10 * place)


def segmentation():
    in_folders(11, np.array([0, 1]))
    return of_segmentation({**TINY, "backbone_bands": HLS}, data={**FOLDERS, "train_transform": None})


def one_folder_for_val_and_test():
    tree = segmentation()
    rasters("chips/val", 2, 11, np.array([0, 1]), start=30)
    tree["data"]["init_args"] |= {"test_data_root": "chips/val", "test_label_data_root": "chips/val"}
    return tree


def one_grep_of_images_and_labels():
    """Images and labels of one name, which only their folders tell apart, and the images of several splits."""
    random = np.random.default_rng(0)
    for split in SPLITS:
        for name in ("a.tif", "b.tif"):
            a_raster(Path(f"chips/{split}_images") / name, random.integers(200, 3000, (11, 32, 32)))
            a_raster(Path(f"chips/{split}_labels") / name, random.choice([0, 1], (1, 32, 32)))
    folders = {
        f"{split}{part}_data_root": f"chips/{split}_{of}"
        for split in SPLITS
        for part, of in (("", "images"), ("_label", "labels"))
    }
    one = {**folders, "img_grep": "*.tif", "label_grep": "*.tif"}
    return of_segmentation({**TINY, "backbone_bands": HLS}, data=one)


def one_list_for_val_and_test():
    tree = segmentation()
    rasters("chips/val", 3, 11, np.array([0, 1]), start=30)
    Path("train.txt").write_text("c0\nc1\nc2\n")
    Path("both.txt").write_text("c10\nc11\nc12\nc30\nc31\n")
    lists = {f"{split}_split": "train.txt" if split == "train" else "both.txt" for split in SPLITS}
    of_val = {f"{split}{part}_data_root": "chips/val" for split in ("val", "test") for part in ("", "_label")}
    tree["data"]["init_args"] |= lists | of_val
    return tree


def weights_of_a_file():
    """Pretrained weights, about whose unit, level and bands TerraTorch does not ask."""
    tree = segmentation()
    small = build_prithvi("prithvi_eo_tiny", depth=2)
    torch.save(small.state_dict(), "weights.pt")
    weights = {"backbone_pretrained": True, "backbone_ckpt_path": "weights.pt"}
    tree["model"]["init_args"]["model_args"] |= weights | {"backbone_bands": [0, 1, 2, 3, 4, 5]}
    tree["data"]["init_args"] |= {"dataset_bands": list(range(11)), "output_bands": list(range(6))}
    return tree


def regression():
    rasters("chips", 6, 11, np.arange(1, 9))
    return of_regression({**TINY, "head_learned_upscale_layers": 0})


def frames():
    in_folders(18, np.array([0, 1, 2]))
    data = {**FOLDERS, "dataset_bands": HLS, "expand_temporal_dimension": True, "reduce_zero_label": True}
    model_args = {**FROM_SCRATCH, **TINY, "num_frames": 3}
    return of_segmentation(model_args, factory="PrithviModelFactory", data=data, class_names=["forest", "corn/maize"])


def auxiliary():
    in_folders(11, np.array([0, 1]))
    head = {"name": "aux", "decoder": "FCNDecoder", "decoder_args": {"decoder_channels": 8, "head_dropout": 0.3}}
    return of_segmentation(
        {**TINY, "backbone_bands": HLS}, data=FOLDERS, aux_heads=[head], aux_loss={"aux": 0.4}, class_weights=[0.3, 0.7]
    )


def another_number_of_classes():
    in_folders(11, np.array([0, 1]))
    model_args = {"backbone": "timm_test_resnet", "backbone_pretrained": False, **SMALL, "num_classes": 3}
    return of_segmentation(model_args, data=FOLDERS)


def statistics_of_each_frame():
    in_folders(18, np.array([0, 1]))
    numbers = {"means": [[500.0, 600.0, 700.0]] * 6, "stds": [[400.0] * 3] * 6}
    data = {**FOLDERS, "dataset_bands": HLS, "expand_temporal_dimension": True, **numbers}
    return of_segmentation({**TINY, "backbone_bands": HLS, "backbone_num_frames": 3}, data=data)


def images():
    random = np.random.default_rng(0)
    for split in SPLITS:
        for name in ("forest", "water"):
            for index in range(2):
                a_raster(
                    Path("images") / split / name / f"{split}_{name}{index}.tif", random.integers(1, 999, (11, 32, 32))
                )
    model_args = {"backbone": "test_resnet", "pretrained": False, "in_channels": 6, "num_classes": 2}
    return of_classification(model_args, "TimmModelFactory", {"num_classes": 2}, class_names=["forest", "water"])


def smp():
    in_folders(3, np.array([0, 1]))
    rgb = {"dataset_bands": ["0", "1", "2"], "output_bands": ["0", "1", "2"], "means": [9.0] * 3, "stds": [2.0] * 3}
    tree = of_segmentation({}, factory="SMPModelFactory", data={**FOLDERS, **rgb})
    tree["model"]["init_args"]["model_args"] = {
        "model": "Unet", "backbone": "resnet18", "pretrained": False, "bands": ["RED", "GREEN", "BLUE"],
        "num_classes": 2, "smp_encoder_depth": 3, "smp_decoder_channels": [16, 8, 4],
    }  # fmt: skip
    return tree


def unet():
    in_folders(11, np.array([0, 1]))
    model_args = {
        "backbone": "UNet", "backbone_base_channels": 4, "decoder": "ASPPSegmentationHead", "decoder_channels": 8,
        "decoder_dilations": [1, 2], "bands": HLS,
    }  # fmt: skip
    return of_segmentation(model_args, factory="GenericUnetModelFactory", data=FOLDERS)


def autoencoder():
    rasters("chips", 6, 11, np.array([0, 1]))
    tree = of_regression({})
    tree["model"] = {
        "class_path": "terratorch.tasks.ReconstructionTask",
        "init_args": {
            "model_factory": "FullModelFactory", "loss": "mse",
            "model_args": {"model": "prithvi_eo_v2_tiny_tl_mae", "pretrained": False, "depth": 2, "decoder_depth": 1},
        },
    }  # fmt: skip
    return tree


MAKERS = (
    segmentation, one_grep_of_images_and_labels, one_folder_for_val_and_test, one_list_for_val_and_test,
    weights_of_a_file, regression, frames, auxiliary, another_number_of_classes, statistics_of_each_frame, images,
    smp, unet, autoencoder,
)  # fmt: skip


# A training each; the others' settings are looked at in test_import_data.py and test_import_settings.py too.
FIRST = (
    segmentation,
    one_grep_of_images_and_labels,
    one_list_for_val_and_test,
    frames,
    auxiliary,
    images,
    unet,
    autoencoder,
)


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=make.__name__, marks=[] if make in FIRST else [pytest.mark.slow]) for make in MAKERS],
)
def test_a_printed_command_runs_as_it_is_printed(make, conf, monkeypatch, capfd):
    assert data_of()["means"]
    config = written(make(), "run.yaml")
    do = typed(conf, monkeypatch, capfd)
    code, out, err = do("action=import_terratorch", f"action.config={config}", "action.tile_px=32")
    assert code == 0, err
    assert ("here: there is no accelerator" in out) is not torch.cuda.is_available()
    (line,) = [line.strip() for line in out.splitlines() if line.strip().startswith("python run.py experiment=")]
    command = shlex.split(line)[2:]
    assert command == [
        "experiment=imported/run",
        *([] if torch.cuda.is_available() else ["trainer.precision=bf16-mixed"]),
    ]
    code, out, err = do(*command, "trainer.max_epochs=1", "trainer.accelerator=cpu")
    assert code == 0, err
    (folder,) = Path("outputs/run").iterdir()
    record = record_of(folder)
    assert any(name.startswith("test/") for name in record["metrics"])
    assert record["data"]["normalization"]["source"] == "given"


def test_one_list_of_val_and_test_that_is_not_here_is_asked_for_and_the_filled_in_command_runs(
    conf, monkeypatch, capfd
):
    config = written(one_list_for_val_and_test(), "run.yaml")
    Path("both.txt").unlink()
    do = typed(conf, monkeypatch, capfd)
    code, out, err = do("action=import_terratorch", f"action.config={config}", "action.tile_px=32")
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if line.strip().startswith("python run.py experiment=")]
    command = shlex.split(line)[2:]
    assert command[-2:] == ["data.split_files.test=FILE", "data.split_files.val=FILE"]
    Path("val.txt").write_text("c10\nc30\n")
    Path("test.txt").write_text("c11\nc31\n")
    filled = [f"data.split_files.{split}={split}.txt" for split in ("val", "test")]
    code, _, err = do(*command[:-2], *filled, "trainer.max_epochs=1", "trainer.accelerator=cpu")
    assert code == 0, err


def test_a_run_whose_lists_are_not_all_known_asks_for_them(conf, capsys):
    lists = {f"{split}_split": f"{'train' if split == 'train' else 'rest'}.txt" for split in ("train", "val", "test")}
    tree = a_run(data={**UNSEEN, **lists})
    file, _ = a_checkpoint(tree)
    call(conf, config=written(tree), ckpt=file)
    files = "split_files: {train: FILE, val: FILE, test: FILE}"
    assert f"'action.data={{root: DIR, {files}}}'\n" in capsys.readouterr().out
