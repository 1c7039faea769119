"""Decoder, head and auxiliary heads of a TerraTorch model as options of our groups."""

from typing import Any

from geocompose.errors import SLIP, UserError, choices
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.model.arguments import ModelArguments
from geocompose.migration.model.parts import option_for, translate_arguments
from geocompose.migration.translation import MODEL, MODEL_ARGS, Translation

# Arguments of decoders that only repeat what follows from the features and the labels here.
_FOLLOWS = {"in_channels": "it follows from the features", "num_classes": "as many as the classes or variables"}
_PIXEL_HEADS = ("segmentation", "regression", "reconstruction")


def translate_decoder(to: Translation, arguments: ModelArguments, registry: Any) -> None:
    """Translate the decoder's name and arguments, and the head's.

    Raises:
        UserError: there is no such decoder here.
    """
    name, place = arguments.get("decoder"), arguments.place("decoder")
    head = to.choose("head", to.kind)
    if name == "prithvi_mae":
        keys, includes_head = to.choose("decoder", "prithvi_mae"), True
    else:
        if name not in registry:
            raise UserError(
                f"model_args.decoder={name}: there is no such decoder here. {choices(name, registry, cutoff=SLIP)}"
            )
        option = option_for(to, "decoder", registry, name)
        if option is None:
            raise UserError(f"model_args.decoder={name}: no option of the group decoder builds it.")
        keys, includes_head = to.choose("decoder", option), registry.includes_head(name)
        if place is not None:
            to.ledger.carried(place, f"decoder={option}")
    for key, why in _FOLLOWS.items():
        if (given := arguments.place(f"decoder_{key}")) is not None and key not in keys:
            to.ledger.needless(given, why)
    translate_arguments(to, "decoder", arguments, set(keys))
    if "kernel_size" in head and not includes_head and arguments.head_as_built:
        to.set("head.kernel_size", 1)  # TerraTorch's heads end so behind every decoder, smp's included
    lost = f"{name} includes its head" if includes_head else None
    translate_arguments(to, "head", arguments, set(head), lost=lost)
    _auxiliary(to, arguments)


def _auxiliary(to: Translation, arguments: ModelArguments) -> None:
    """Translate auxiliary heads as TerraTorch builds them: with the main head's arguments, whatever theirs are."""
    place, listed = (*MODEL, "aux_heads"), to.ledger.get((*MODEL, "aux_heads"))
    if not listed:
        place, listed = (*MODEL_ARGS, "aux_decoders"), to.ledger.get((*MODEL_ARGS, "aux_decoders"))
    if not listed:
        to.choose("auxiliary", "none")
        return
    of_main = {f"head_{name}": argument.value for name, argument in arguments.of_part("head")}
    if to.kind in _PIXEL_HEADS:
        of_main["head_kernel_size"] = 1
    heads = []
    for index, item in enumerate(listed):
        wrapped = class_name(item) == "AuxiliaryHead"
        node = item.get("init_args") or {} if wrapped else item
        at = (*place, str(index), *(("init_args",) if wrapped else ()))
        head = {key: node[key] for key in ("name", "decoder") if node.get(key) is not None}
        own = node.get("decoder_args") or {}
        for key in own:
            if str(key).startswith("head_") and own[key] != of_main.get(key):
                to.ledger.lost(
                    (*at, "decoder_args", str(key)),
                    "TerraTorch ignores it and gives auxiliary heads the main head's arguments, and so does this",
                )
        kept = {key: value for key, value in own.items() if not str(key).startswith("head_")}
        given = kept | {key: value for key, value in of_main.items() if value is not None}
        heads.append(head | ({"decoder_args": given} if given else {}))
    to.choose("auxiliary", "fcn")
    to.carry(place, "auxiliary.decoders", heads)
