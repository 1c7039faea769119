"""Which kind of task a TerraTorch configuration is, and what is said of those that have no counterpart here."""

from collections.abc import Mapping
from typing import Any

from geocompose.errors import SLIP, UserError, choices
from geocompose.migration.ledger import Ledger
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.translation import MODEL

KINDS = {
    "SemanticSegmentationTask": "segmentation",
    "PixelwiseRegressionTask": "regression",
    "ClassificationTask": "classification",
    "MultiLabelClassificationTask": "multilabel",
    "ScalarRegressionTask": "scalar_regression",
    "ReconstructionTask": "reconstruction",
}
# What a task says of itself in a checkpoint; two kinds of image-level tasks can't be told from their parents.
_OF_TASK = {"segmentation": "segmentation", "regression": "regression", "classification": "classification"}
_OTHERS: Mapping[str, str] = {
    "ObjectDetectionTask": "object detection",
    "WxCTask": "weather forecasting",
    "WxCDownscalingTask": "weather downscaling",
    "ECCCTask": "weather downscaling",
    "EmbeddingGenerationTask": "the writing of embeddings",
    "InferenceTask": "prediction alone",
    "PreTrainTask": "a pretraining that TerraTorch 1.2 has no more",
    "EncoderDecoderPreTrainingTask": "a pretraining that TerraTorch 1.2 has no more",
}
_PRETRAINS = (
    "can't be imported. task=reconstruction pretrains here; of TerraTorch's tasks, ReconstructionTask is imported."
)
_INSTEAD: Mapping[str, str] = {
    "InferenceTask": "can't be imported. Import the run that trained the model; action=predict applies it.",
    **dict.fromkeys(("PreTrainTask", "EncoderDecoderPreTrainingTask"), _PRETRAINS),
}
# Keys by which the configurations of weather models, which name no class, are known.
_OF_WEATHER = ("n_blocks_encoder", "mlp_multiplier", "downscaling_patch_size", "encoder_decoder_type", "token_size")


def kind_of(ledger: Ledger) -> str:
    """Return the kind of task: by its class, or by what a checkpoint says.

    Raises:
        UserError: it has no counterpart here, or can't be told.
    """
    node = ledger.get(("model",))
    named = class_name(node)
    if named is not None:
        return KINDS[named] if named in KINDS else _refused(named)
    recorded = ledger.get((*MODEL, "task"))
    if recorded in _OF_TASK:
        return _OF_TASK[recorded]
    if isinstance(node, Mapping) and "init_args" not in node:  # of a YAML: what a checkpoint says stands there
        raise UserError(_without_class(node))
    raise UserError(
        f"The checkpoint does not say which task it is for ({recorded!r}); say it with action.task, one of "
        f"{', '.join(KINDS.values())}."
    )


def _refused(name: str) -> Any:
    imported = f"Tasks that are imported: {', '.join(KINDS)}."
    if name in _OTHERS:
        raise UserError(
            f"The TerraTorch task {name} is {_OTHERS[name]}, which "
            f"{_INSTEAD.get(name, 'has no counterpart here.')} {imported}"
        )
    raise UserError(f"The TerraTorch task {name} can't be imported. {choices(name, KINDS, cutoff=SLIP)}")


def _without_class(node: Mapping[str, Any]) -> str:
    found = [key for key in _OF_WEATHER if key in node]
    what = (
        f"a weather model's ({', '.join(found)}), and weather has no counterpart here"
        if found
        else "not one that `terratorch fit --config` takes"
    )
    return (
        f"The configuration names no task: its `model` has no class_path, and is {what}. Tasks that are imported: "
        f"{', '.join(KINDS)}."
    )
