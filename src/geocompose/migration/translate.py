"""From the configuration of a TerraTorch run to one of ours, with an account of every setting."""

from collections.abc import Mapping
from typing import Any

from geocompose.errors import UserError, at_least, choices
from geocompose.migration.data import GENERIC, translate_data
from geocompose.migration.ledger import Ledger
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.model import KINDS, translate_model
from geocompose.migration.shapes import check_shapes
from geocompose.migration.training import translate_training
from geocompose.migration.translation import MODEL, MODEL_ARGS, Options, Translation

# What a task says of itself in a checkpoint; two kinds of image-level tasks can't be told from their parents.
OF_TASK = {"segmentation": "segmentation", "regression": "regression", "classification": "classification"}


def translate(
    tree: Mapping[str, Any], options: Options, *, kind: str | None = None, tile_px: int | None = None
) -> Translation:
    """Return what a configuration becomes.

    tree: the plain content of its YAML, or as much of it as a checkpoint knows. kind: of task, where given; else that
    of the task's class, or of what a checkpoint says. tile_px: size of the data's tiles; else that of crops, of tiled
    inference or of the backbone's images, or 224.

    Raises:
        UserError: a setting has another shape than TerraTorch takes; the task, the model or the numbers of classes or
        bands can't be understood.
    """
    ledger = Ledger(tree)
    check_shapes(ledger, of_data=class_name(ledger.get(("data",))) in GENERIC)
    to = Translation(ledger, options, kind or _kind(ledger))
    translate_model(to)
    translate_data(to)
    translate_training(to)
    to.tile_px = tile_px or to.tile_px or _inference_px(ledger) or _model_px(ledger) or 224
    at_least("action.tile_px", to.tile_px, 1)
    to.set("data.tile_px", to.tile_px)
    return to


def merged(tree: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a configuration with the arguments that a checkpoint records in place of its own, and the differences.

    tree: the YAML's content, or None for what the checkpoint knows alone. The weights belong to the checkpoint's
    arguments, so that these win.
    """
    if tree is None:
        return {"model": {"init_args": dict(arguments)}}, []
    model = dict(tree["model"])
    written = dict(model.get("init_args") or {})
    differences = []
    for key, value in arguments.items():
        if key == "model_args" and isinstance(value, Mapping):
            differences += _differences("model_args.", written.get(key) or {}, value)
            written[key] = dict(value)
        elif key in written and written[key] != value:
            differences.append(f"{key}: {written[key]!r} in the YAML, {value!r} in the checkpoint, which counts")
            written[key] = value
    return {**tree, "model": {**model, "init_args": written}}, differences


def _differences(prefix: str, written: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    return [
        f"{prefix}{key}: {written.get(key)!r} in the YAML, {recorded.get(key)!r} in the checkpoint, which counts"
        for key in dict.fromkeys([*written, *recorded])
        if written.get(key) != recorded.get(key)
    ]


def _kind(ledger: Ledger) -> str:
    named = class_name(ledger.get(("model",)))
    if named is not None:
        if named not in KINDS:
            raise UserError(f"The TerraTorch task {named} can't be imported. {choices(named, KINDS)}")
        return KINDS[named]
    recorded = ledger.get((*MODEL, "task"))
    if recorded not in OF_TASK:
        raise UserError(
            f"The checkpoint does not say which task it is for ({recorded!r}); say it with action.task, one of "
            f"{', '.join(KINDS.values())}."
        )
    return OF_TASK[recorded]


def _inference_px(ledger: Ledger) -> int | None:
    tiles = ledger.get((*MODEL, "tiled_inference_parameters"), {})
    height, width = tiles.get("h_crop"), tiles.get("w_crop")
    return height if isinstance(height, int) and height == width else None


def _model_px(ledger: Ledger) -> int | None:
    size = ledger.get((*MODEL_ARGS, "backbone_img_size"))
    return size if isinstance(size, int) else None
