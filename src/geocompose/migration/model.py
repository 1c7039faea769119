"""TerraTorch's `model_args` as options of our groups: backbone, neck, decoder, head, auxiliary, peft."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from geocompose.errors import UserError, choices
from geocompose.migration.ledger import Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.translation import MODEL, MODEL_ARGS, Translation

KINDS = {
    "SemanticSegmentationTask": "segmentation",
    "PixelwiseRegressionTask": "regression",
    "ClassificationTask": "classification",
    "MultiLabelClassificationTask": "multilabel",
    "ScalarRegressionTask": "scalar_regression",
}
FACTORY = "EncoderDecoderFactory"
# Arguments of the factory that only confirm what is always so here.
_ALWAYS = {"rescale": True, "backbone_padding": "reflect", "backbone_use_temporal": False}
_WITHOUT_PLACE = {
    "rescale": "outputs are always resized to the image",
    "image_size_out": "outputs always have the image's size",
    "backbone_padding": "images are padded by reflection",
    "backbone_use_temporal": "the data has one frame per image",
}
_LORA = {"r": "r", "lora_alpha": "alpha", "lora_dropout": "dropout", "target_modules": "target_modules"}
_PEFT_DEFAULTS = {"r": 8, "alpha": 8, "dropout": 0.0}


def translate_model(to: Translation) -> None:
    """Translate what makes the model.

    Raises:
        UserError: another factory, no model_args, or a backbone or decoder that is not there.
    """
    from geocompose.registry import BACKBONE_REGISTRY, DECODER_REGISTRY  # which load torch

    ledger = to.ledger
    factory = ledger.get((*MODEL, "model_factory"), FACTORY)
    if factory != FACTORY:
        raise UserError(
            f"model_factory={factory} can't be imported; {FACTORY} can. Describe the model by {FACTORY} first."
        )
    ledger.carried((*MODEL, "model_factory"), "geocompose.factory.EncoderDecoderFactory")
    arguments = ledger.get(MODEL_ARGS)
    if not isinstance(arguments, Mapping) or not isinstance(arguments.get("backbone"), str):
        raise UserError("The TerraTorch configuration has no model_args with a backbone's name; nothing can be built.")
    if not isinstance(arguments.get("decoder"), str):
        raise UserError("The TerraTorch configuration's model_args have no decoder's name; nothing can be built.")
    for key, why in _WITHOUT_PLACE.items():
        if key in arguments:
            if arguments[key] == _ALWAYS.get(key):
                ledger.needless((*MODEL_ARGS, key), why)
            else:
                ledger.lost((*MODEL_ARGS, key), why, changes_model=True)
    _backbone(to, arguments["backbone"], BACKBONE_REGISTRY)
    _neck(to)
    _decoder(to, arguments["decoder"], DECODER_REGISTRY)
    head = to.choose("head", to.kind)
    includes_head = DECODER_REGISTRY.includes_head(arguments["decoder"])
    if "kernel_size" in head and not includes_head:
        to.set("head.kernel_size", 1)  # TerraTorch's heads end so behind every decoder, smp's included
    lost = f"{arguments['decoder']} includes its head" if includes_head else None
    _arguments(to, "head", set(head), lost=lost)
    _auxiliary(to)
    _peft(to)


def _backbone(to: Translation, name: str, registry: Any) -> None:
    place = (*MODEL_ARGS, "backbone")
    if name not in registry:
        raise UserError(f"model_args.backbone={name}: there is no such backbone here. {choices(name, registry)}")
    own = name.removeprefix("terratorch_").removeprefix("geocompose_")
    target = _target(registry, name)
    if target.__name__ == "build_prithvi":
        keys = to.choose("backbone", "prithvi")
        to.carry(place, "backbone.variant", own)
    elif found := to.options.by_target("backbone", target.__name__):
        option = "timm" if "timm" in found else found[0]
        keys = to.choose("backbone", option)
        if "name" in keys:
            to.carry(place, "backbone.name", name.removeprefix("timm_"))
        else:
            to.ledger.carried(place, f"backbone={option}")
    else:
        raise UserError(f"model_args.backbone={name}: no option of the group backbone builds it.")
    if "in_chans" not in keys:
        to.ledger.needless((*MODEL_ARGS, "backbone_in_chans"), "as many as the bands")
    for key, so in (("encoder_only", True), ("vit_adapter", False), ("features_only", True)):
        for where in (f"backbone_{key}", f"backbone_kwargs.{key}"):
            if to.ledger.get((*MODEL_ARGS, *where.split("."))) is so:
                to.ledger.needless((*MODEL_ARGS, *where.split(".")), "it is always so")
    _arguments(to, "backbone", set(keys))


def _neck(to: Translation) -> None:
    necks = to.ledger.get((*MODEL_ARGS, "necks"))
    if not necks:
        to.choose("neck", "none")
        to.ledger.carried((*MODEL_ARGS, "necks"), "neck=none")
        return
    to.choose("neck", "list")
    to.carry((*MODEL_ARGS, "necks"), "neck.necks", necks)


def _decoder(to: Translation, name: str, registry: Any) -> None:
    place = (*MODEL_ARGS, "decoder")
    if name not in registry:
        raise UserError(f"model_args.decoder={name}: there is no such decoder here. {choices(name, registry)}")
    builder = registry.find(name)
    found = to.options.by_target("decoder", _target(registry, name).__name__)
    arch = getattr(builder, "keywords", {}).get("arch")
    if arch is not None:
        found = [option for option in found if to.options.content("decoder", option).get("arch") == arch]
    if not found:
        raise UserError(f"model_args.decoder={name}: no option of the group decoder builds it.")
    keys = to.choose("decoder", found[0])
    to.ledger.carried(place, f"decoder={found[0]}")
    _arguments(to, "decoder", set(keys))


def _target(registry: Any, name: str) -> Any:
    target = registry.find(name)
    while isinstance(target, partial):
        target = target.func
    return target


def _arguments(to: Translation, part: str, keys: set[str], lost: str | None = None) -> None:
    """Carry the arguments of a part: those with its prefix, and those in PART_kwargs.

    keys: the option's. lost: why none can be carried.
    """
    given: dict[str, Place] = {}
    for key in to.ledger.get(MODEL_ARGS, {}):
        if key == f"{part}_kwargs":
            inner = to.ledger.get((*MODEL_ARGS, key), {})
            given |= {str(name): (*MODEL_ARGS, key, str(name)) for name in inner}
        elif key.startswith(f"{part}_") and key not in _WITHOUT_PLACE:
            given[key.removeprefix(f"{part}_")] = (*MODEL_ARGS, key)
    foreign = to.options.content(part, to.choices[part]).get("kwargs")
    for name, place in given.items():
        value = to.ledger.get(place)
        if value is None or to.ledger.has_verdict(place):
            continue
        if name.startswith("temporal_"):
            to.ledger.lost(place, _WITHOUT_PLACE["backbone_use_temporal"])
        elif lost is not None:
            to.ledger.lost(place, lost)
        elif name in keys:
            to.carry(place, f"{part}.{name}", value)
        elif foreign is not None and (name in foreign or not foreign):
            to.carry(place, f"{part}.kwargs.{name}", value)
        else:
            to.ledger.lost(place, f"{part}={to.choices[part]} has no argument {name!r}")


def _auxiliary(to: Translation) -> None:
    place, listed = (*MODEL, "aux_heads"), to.ledger.get((*MODEL, "aux_heads"))
    if not listed:
        place, listed = (*MODEL_ARGS, "aux_decoders"), to.ledger.get((*MODEL_ARGS, "aux_decoders"))
    if not listed:
        to.choose("auxiliary", "none")
        return
    heads = []
    for item in listed:
        node = item.get("init_args") or {} if class_name(item) == "AuxiliaryHead" else item
        heads.append({key: node[key] for key in ("name", "decoder", "decoder_args") if node.get(key) is not None})
    to.choose("auxiliary", "fcn")
    to.carry(place, "auxiliary.decoders", heads)


def _peft(to: Translation) -> None:
    place: Place = (*MODEL_ARGS, "peft_config")
    config = to.ledger.get(place)
    if not config:
        to.choose("peft", "none")
        return
    if str(config.get("method")).upper() != "LORA":
        to.choose("peft", "none")
        to.ledger.lost(place, f"the group peft has no method {config.get('method')!r}", changes_model=True)
        return
    to.choose("peft", "lora")
    to.ledger.carried((*place, "method"), "peft=lora")
    # PEFT's own defaults hold where nothing is said, which our option's are not.
    for key, default in _PEFT_DEFAULTS.items():
        to.set(f"peft.{key}", default)
    if config.get("replace_qkv") is not None:
        to.carry((*place, "replace_qkv"), "peft.replace_qkv", config["replace_qkv"])
    for name, value in (config.get("peft_config_kwargs") or {}).items():
        inner = (*place, "peft_config_kwargs", name)
        if name == "target_modules" and not isinstance(value, list):
            to.ledger.lost(inner, "peft.target_modules is a list of names", changes_model=True)
        elif name in _LORA:
            to.carry(inner, f"peft.{_LORA[name]}", value)
        else:
            to.carry(inner, f"peft.kwargs.{name}", value)
