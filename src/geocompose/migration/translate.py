"""From the configuration of a TerraTorch run to one of ours, with an account of every setting."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.migration.data.known_data import KNOWN
from geocompose.migration.data.modules import GENERIC, translate_data
from geocompose.migration.data.tiles import settle_tiles
from geocompose.migration.kinds import kind_of
from geocompose.migration.ledger import Ledger
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.model.factories import check_factory
from geocompose.migration.model.model_args import translate_model
from geocompose.migration.shapes import OF_DATA, OF_MODEL, OF_NAMES, check_shapes
from geocompose.migration.training.learning import translate_training
from geocompose.migration.translation import Options, Translation


def translate(
    tree: Mapping[str, Any],
    options: Options,
    *,
    kind: str | None = None,
    tile_px: int | None = None,
    beside: Path | None = None,
) -> Translation:
    """Return what a configuration becomes.

    tree: the plain content of its YAML, or as much of it as a checkpoint knows. kind: of task, where given; else that
    of the task's class, or of what a checkpoint says. tile_px: size of the data's tiles; else that of crops, of tiled
    inference or of the backbone's images, or 224. beside: the folder of the YAML, for files that it names.

    Raises:
        UserError: a setting has another shape than TerraTorch takes; the task, the model or the numbers of bands can't
        be understood.
    """
    ledger = Ledger(tree)
    # What has no counterpart is refused by its name, whatever its settings look like.
    check_shapes(ledger, OF_NAMES)
    kind = kind or kind_of(ledger)
    check_factory(ledger)
    check_shapes(ledger, OF_MODEL)
    if class_name(ledger.get(("data",))) in {*GENERIC, *KNOWN}:
        check_shapes(ledger, OF_DATA)
    to = Translation(ledger, options, kind, beside=beside)
    translate_model(to)
    translate_data(to)
    settle_tiles(to, tile_px)
    translate_training(to)
    return to


def merged(tree: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a configuration with the arguments that a checkpoint records in place of its own, and the differences.

    tree: the YAML's content, or None for what the checkpoint knows alone. The weights belong to the checkpoint's
    arguments, so that these win.
    """
    if tree is None:
        return {"model": {"init_args": dict(arguments)}}, []
    if not arguments:
        return dict(tree), []
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
