"""What each setting that is looked at has to be: a number, text, a list or a mapping."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from geocompose.errors import UserError
from geocompose.migration.ledger import Ledger, Place
from geocompose.migration.translation import DATA, MODEL, MODEL_ARGS, TRAINER


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SHAPES: Mapping[str, Callable[[Any], bool]] = {
    "a mapping": lambda value: isinstance(value, Mapping),
    "a list": lambda value: isinstance(value, list),
    "a list or a mapping": lambda value: isinstance(value, list | Mapping),
    "text": lambda value: isinstance(value, str),
    "text that is not empty": lambda value: isinstance(value, str) and value != "",
    "a number": _is_number,
    "a number above 0": lambda value: _is_number(value) and 0 < value < float("inf"),
    "a whole number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "a whole number, 1 or more": lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0,
    "a class's name, or a mapping with class_path": lambda value: isinstance(value, str | Mapping),
    "a loss's name, a list of names, or a mapping of names to numbers": lambda value: (
        isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(name, str) for name in value))
        or (isinstance(value, Mapping) and all(map(_is_number, value.values())))
    ),
}
Shapes = tuple[tuple[Place, str], ...]

# `*` stands for each item of a list or a mapping.
OF_NAMES: Shapes = (  # by which it is told what a configuration is
    (MODEL, "a mapping"),
    ((*MODEL, "task"), "text"),
    ((*MODEL, "model_factory"), "text"),
)
OF_MODEL: Shapes = (
    ((*MODEL_ARGS, "num_classes"), "a whole number, 1 or more"),
    ((*MODEL_ARGS, "num_outputs"), "a whole number, 1 or more"),
    *(
        ((*MODEL_ARGS, key), "a whole number, 1 or more")
        for key in ("num_frames", "backbone_num_frames", "backbone_temporal_n_timestamps")
    ),
    ((*MODEL_ARGS, "peft_config"), "a mapping"),
    ((*MODEL_ARGS, "peft_config", "peft_config_kwargs"), "a mapping"),
    ((*MODEL_ARGS, "aux_decoders"), "a list"),
    ((*MODEL_ARGS, "aux_decoders", "*"), "a mapping"),
    ((*MODEL, "aux_heads"), "a list"),
    ((*MODEL, "aux_heads", "*"), "a mapping"),
    ((*MODEL, "aux_heads", "*", "init_args"), "a mapping"),
    ((*MODEL, "aux_heads", "*", "decoder_args"), "a mapping"),
    ((*MODEL, "aux_heads", "*", "init_args", "decoder_args"), "a mapping"),
    ((*MODEL_ARGS, "aux_decoders", "*", "decoder_args"), "a mapping"),
    ((*MODEL, "class_names"), "a list"),
    ((*MODEL, "ignore_index"), "a whole number"),
    ((*MODEL, "loss"), "a loss's name, a list of names, or a mapping of names to numbers"),
    *(((*MODEL_ARGS, key), "text") for key in ("backbone", "decoder")),
    ((*MODEL_ARGS, "necks"), "a list"),
    ((*MODEL_ARGS, "necks", "*"), "a mapping"),
    ((*MODEL, "tiled_inference_parameters"), "a mapping"),
    *(
        ((*MODEL, "tiled_inference_parameters", f"{side}{what}"), "a whole number, 1 or more")
        for what in ("crop", "stride")
        for side in ("", "h_", "w_")
    ),
    ((*MODEL, "optimizer"), "text"),
    ((*MODEL, "optimizer_hparams"), "a mapping"),
    ((*MODEL, "optimizer_hparams", "lr"), "a number"),
    ((*MODEL, "lr"), "a number"),
    ((*MODEL, "lr_overrides"), "a mapping"),
    ((*MODEL, "lr_overrides", "*"), "a number"),
    ((*MODEL, "scheduler"), "text"),
    ((*MODEL, "scheduler_hparams"), "a mapping"),
    (("optimizer",), "a class's name, or a mapping with class_path"),
    (("optimizer", "init_args"), "a mapping"),
    (("optimizer", "init_args", "lr"), "a number"),
    (("lr_scheduler",), "a class's name, or a mapping with class_path"),
    (("lr_scheduler", "init_args"), "a mapping"),
    (TRAINER, "a mapping"),
    ((*TRAINER, "callbacks"), "a list or a mapping"),
)
OF_DATA: Shapes = (
    (DATA, "a mapping"),
    ((*DATA, "constant_scale"), "a number above 0"),
    ((*DATA, "data_root"), "text"),
    ((*DATA, "class_names"), "a list"),
    ((*DATA, "img_grep"), "text that is not empty"),
    ((*DATA, "label_grep"), "text that is not empty"),
    *(
        shape
        for split in ("train", "val", "test")
        for shape in (
            ((*DATA, f"{split}_label_data_root"), "text"),
            ((*DATA, f"{split}_transform"), "a list or a mapping"),
            ((*DATA, f"{split}_transform", "*", "init_args"), "a mapping"),
        )
    ),
)


def check_shapes(ledger: Ledger, shapes: Shapes) -> None:
    """Refuse settings of another shape than TerraTorch takes, before anything is read from them.

    shapes: OF_NAMES, OF_MODEL, or OF_DATA where the data module is one of the generic ones, whose settings are read.

    Raises:
        UserError: names the first such setting, what it is and what it has to be.
    """
    for pattern, shape in shapes:
        for place in _places(ledger, pattern):
            value = ledger.get(place)
            # null is the default of a setting, but no item.
            if (value is not None or pattern[-1] == "*") and not _SHAPES[shape](value):
                raise UserError(
                    f"{'.'.join(place)} of the TerraTorch configuration must be {shape}; got {value!r}. Correct the "
                    "file."
                )


def _places(ledger: Ledger, pattern: Place) -> Iterator[Place]:
    if "*" not in pattern:
        yield pattern
        return
    at = pattern.index("*")
    held = ledger.get(pattern[:at])
    keys = map(str, held) if isinstance(held, Mapping) else map(str, range(len(held) if isinstance(held, list) else 0))
    for key in keys:
        yield from _places(ledger, (*pattern[:at], key, *pattern[at + 1 :]))
