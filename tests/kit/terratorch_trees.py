"""Trees of configurations as TerraTorch's factories and data modules take them, made up for tests."""

from typing import Any

HLS = ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"]
MIXED = [0, *HLS, 1, 2, 3, 4]
INTERVALS = {"dataset_bands": [[0, 11]], "output_bands": [[1, 3], [4, 6]]}
NUMBERED = [str(place) for place in range(6)]
UPERNET = {"decoder": "UperNetDecoder", "decoder_channels": 16}
UNET = {"decoder": "UNetDecoder", "decoder_channels": [64, 32, 16, 8]}
ASPP = {"decoder_dilations": [1, 6], "decoder_channels": 8}
OF_NUMBERS = {"head_dropout": 0.5, "head_final_act": "torch.nn.ReLU", "head_learned_upscale_layers": 2}
FROM_SCRATCH = {"pretrained": False, "in_channels": 6, "bands": HLS, "num_frames": 1}
FLIPPED = [
    {"class_path": "albumentations.HorizontalFlip", "init_args": {"p": 0.5}},
    {"class_path": "ToTensorV2"},
]
PYRAMID = [
    {"name": "SelectIndices", "indices": [2, 5, 8, 11]},
    {"name": "ReshapeTokensToImage"},
    {"name": "LearnedInterpolateToPyramidal"},
]


def a_run_of(task: str, module: str, model_args: dict[str, Any], data: dict[str, Any], **task_arguments: Any) -> Any:
    return {
        "seed_everything": 42,
        "trainer": {
            "accelerator": "auto",
            "precision": "16-mixed",
            "max_epochs": 2,
            "default_root_dir": "logs",
            "callbacks": [
                {"class_path": "RichProgressBar"},
                {"class_path": "EarlyStopping", "init_args": {"patience": 9}},
            ],
        },
        "data": {"class_path": module, "init_args": data},
        "model": {"class_path": f"terratorch.tasks.{task}", "init_args": {"model_args": model_args, **task_arguments}},
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-4, "weight_decay": 0.05}},
        "lr_scheduler": {"class_path": "ReduceLROnPlateau", "init_args": {"monitor": "val/loss"}},
    }


def data_of(**changes: Any) -> dict[str, Any]:
    one = {f"{split}{part}_data_root": "chips" for split in ("train", "val", "test") for part in ("", "_label")}
    data = {
        "batch_size": 2,
        "num_workers": 0,
        "dataset_bands": MIXED,
        "output_bands": HLS,
        "rgb_indices": [2, 1, 0],
        **one,
        "img_grep": "*_image.tif",
        "label_grep": "*_label.tif",
        "means": [500.0 + 100 * band for band in range(6)],
        "stds": [400.0] * 6,
        "no_label_replace": -1,
        "no_data_replace": 0,
        "train_transform": FLIPPED,
    }
    return {**data, **changes}


def of_regression(
    model_args: dict[str, Any], *, factory: str = "PrithviModelFactory", **changes: Any
) -> dict[str, Any]:
    module = "GenericNonGeoPixelwiseRegressionDataModule"
    arguments = {**(FROM_SCRATCH if factory == "PrithviModelFactory" else {}), **OF_NUMBERS, **model_args}
    told = {"model_factory": factory, "ignore_index": -1, "freeze_backbone": False, "loss": "rmse"}
    return a_run_of("PixelwiseRegressionTask", module, arguments, data_of(**changes), **told)


def of_segmentation(
    model_args: dict[str, Any],
    *,
    factory: str = "EncoderDecoderFactory",
    data: dict[str, Any] | None = None,
    module: str = "GenericNonGeoSegmentationDataModule",
    **told: Any,
) -> dict[str, Any]:
    arguments = {"num_classes": 2, "head_dropout": 0.1, **model_args}
    told = {"model_factory": factory, "ignore_index": -1, "loss": "ce", **told}
    return a_run_of("SemanticSegmentationTask", module, arguments, data_of(num_classes=2, **(data or {})), **told)


def of_classification(model_args: dict[str, Any], factory: str, data: dict[str, Any], **told: Any) -> dict[str, Any]:
    folders = {f"{split}_data_root": f"images/{split}" for split in ("train", "val", "test")}
    kept = {key: value for key, value in data_of(num_classes=10).items() if not key.endswith(("_root", "_grep"))}
    module = "terratorch.datamodules.GenericNonGeoClassificationDataModule"
    arguments = {"num_classes": 10, **model_args}
    return a_run_of(
        "ClassificationTask", module, arguments, {**kept, **folders, **data}, model_factory=factory, loss="ce", **told
    )


def of_smp(**changes: Any) -> dict[str, Any]:
    rgb = {"dataset_bands": ["0", "1", "2"], "output_bands": ["0", "1", "2"], "means": [1.0] * 3, "stds": [2.0] * 3}
    model_args = {"model": "Unet", "backbone": "resnet34", "pretrained": True, "bands": ["RED", "GREEN", "BLUE"]}
    arguments = {"num_classes": 2, **model_args, **changes}
    tree = of_segmentation({}, factory="SMPModelFactory", data=rgb)
    tree["model"]["init_args"]["model_args"] = arguments
    return tree


def of_scratch_unet(model_args: dict[str, Any]) -> dict[str, Any]:
    unused = {"in_channels": 6, "bands": HLS, "head_dropout": 0.5, "num_classes": 2, "channels": 2}
    return of_segmentation({**unused, **model_args}, factory="GenericUnetModelFactory")
