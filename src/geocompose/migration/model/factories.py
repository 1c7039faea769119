"""TerraTorch's model factories: what the arguments of each are for `EncoderDecoderFactory`."""

from collections.abc import Callable, Mapping
from typing import Any

from geocompose.catalog.smp import NAMES as SMP_ENCODERS
from geocompose.errors import UserError
from geocompose.migration.ledger import Ledger
from geocompose.migration.model.arguments import Argument, ModelArguments
from geocompose.migration.model.unet_factory import of_generic_unet
from geocompose.migration.translation import MODEL, MODEL_ARGS, Translation

Arguments = dict[str, Argument]

USUAL = "EncoderDecoderFactory"
_OTHERS: Mapping[str, str] = {
    "ObjectDetectionModelFactory": "builds object detectors, which are not here",
    "WxCModelFactory": "builds weather models, which are not here",
    "FullModelFactory": "builds whole models by name, of which Prithvi's autoencoders with ReconstructionTask are here",
    "Clay1_5ModelFactory": "builds Clay 1.5, which is not here; Clay 1 is where TerraTorch is installed "
    "(backbone=terratorch backbone.name=clay_v1_base, pip install -r requirements-terratorch.txt)",
    "SatMAEModelFactory": "builds SatMAE, which is not here; backbone=prithvi is a masked autoencoder that is",
}
# An own head of these decoders is a convolution of one pixel after dropout, which here are a decoder and a head.
WITH_HEAD = {"ASPPSegmentationHead": "ASPPDecoder", "ASPPRegressionHead": "ASPPDecoder"}
_DROPOUT_OF_ASPP = 0.3


def check_factory(ledger: Ledger) -> None:
    """Refuse a configuration whose model is built by a factory that nothing here stands for.

    Raises:
        UserError: names the factory, what it builds, and those that can be imported.
    """
    factory = ledger.get((*MODEL, "model_factory"), USUAL)
    if factory not in _FACTORIES:
        why = _OTHERS.get(str(factory), "is not known here")
        raise UserError(
            f"model_factory={factory} can't be imported: it {why}. Factories that are: {', '.join(_FACTORIES)}."
        )


def model_arguments(to: Translation) -> ModelArguments:
    """Return what describes the model, whichever factory builds it; see `check_factory`.

    Raises:
        UserError: no model_args, or a part of them that nothing here stands for.
    """
    factory = to.ledger.get((*MODEL, "model_factory"), USUAL)
    arguments = to.ledger.get(MODEL_ARGS)
    if not isinstance(arguments, Mapping):
        raise UserError("The TerraTorch configuration has no model_args with a backbone's name; nothing can be built.")
    to.ledger.carried((*MODEL, "model_factory"), "geocompose.factory.EncoderDecoderFactory")
    return _FACTORIES[factory](to, {str(name): Argument(arguments[name], (*MODEL_ARGS, name)) for name in arguments})


def _as_they_are(to: Translation, given: Arguments) -> ModelArguments:
    return ModelArguments(_taken(to, given))


def _taken(to: Translation, given: Arguments) -> Arguments:
    """Return the arguments that TerraTorch's EncoderDecoderFactory takes; at others it stops."""
    taken = {name: argument for name, argument in given.items() if name in _OF_USUAL or name.startswith(_PREFIXES)}
    for name, argument in given.items():
        if name not in taken and argument.place is not None:
            instead = f"; {_WITHOUT_PREFIX[name]} is what it takes" if name in _WITHOUT_PREFIX else ""
            to.ledger.lost(argument.place, f"{USUAL} takes no {name} and stops at it in TerraTorch{instead}")
    return taken


def _of_prithvi(to: Translation, given: Arguments) -> ModelArguments:
    """The factory before today's: some arguments without prefix, no necks."""
    _channels(to, given)
    _lose(to, given, "prepare_features_for_image_model", "TerraTorch takes necks in its place")
    found = _taken(to, _renamed(given, _WITHOUT_PREFIX))
    return ModelArguments(_with_usual_weights(to, found, "PrithviModelFactory"))


def _of_clay(to: Translation, given: Arguments) -> ModelArguments:
    _channels(to, given)
    name = given.get("backbone")
    if name is None or "clay" not in str(name.value):
        raise UserError("ClayModelFactory builds backbones whose name has 'clay' in it; model_args.backbone has not.")
    for key in ("prepare_features_for_image_model", "checkpoint_path"):
        _lose(to, given, key, "the weights of Clay are those that TerraTorch has")
    found = _renamed(given, _WITHOUT_PREFIX)
    found["backbone"] = Argument("terratorch_clay_v1_base", name.place)
    return ModelArguments(_with_usual_weights(to, found, "ClayModelFactory"))


def _with_usual_weights(to: Translation, given: Arguments, factory: str) -> Arguments:
    """Return the arguments; they ask for pretrained weights where nothing is said of them, as earlier factories do."""
    if "backbone_pretrained" in given:
        return given
    to.ledger.remark(f"Pretrained weights are asked for, as {factory} does where the file says nothing of them.")
    return {**given, "backbone_pretrained": Argument(True)}


def _of_smp(to: Translation, given: Arguments) -> ModelArguments:
    """A whole model of segmentation_models.pytorch, here its encoder, decoder and head."""
    _channels(to, given)
    _needless(to, given, ("regression_relu",), "it counts in regression, which this factory does not build")
    for key in [key for key in given if key.startswith("aux_")]:
        _needless(to, given, (key,), "TerraTorch does not hand it on")
    backbone, model = given.pop("backbone", None), given.pop("model", None)
    if backbone is None or model is None or not isinstance(backbone.value, str) or not isinstance(model.value, str):
        raise UserError("SMPModelFactory needs the names `model` (such as Unet) and `backbone` in model_args.")
    found = _renamed(given, {"bands": "backbone_bands"})
    found["decoder"] = Argument(f"smp_{model.value}", model.place)
    pretrained = found.pop("pretrained", Argument(True))
    if backbone.value in SMP_ENCODERS:
        found["backbone"] = Argument(f"smp_{backbone.value}", backbone.place)
        weights = {True: "imagenet", False: None}.get(pretrained.value, pretrained.value)
        found["backbone_weights"] = Argument(weights, pretrained.place)
        if weights is None and pretrained.place is not None:
            to.ledger.carried(pretrained.place, "backbone.weights=null")
    elif backbone.value.startswith("tu-"):
        found["backbone"] = Argument(f"timm_{backbone.value.removeprefix('tu-')}", backbone.place)
        found["backbone_pretrained"] = Argument(bool(pretrained.value), pretrained.place)
    else:
        raise UserError(
            f"model_args.backbone={backbone.value}: SMPModelFactory would build a class of your own as smp's encoder. "
            "Write it as a backbone (docs/extending.md), and import the configuration with an encoder of smp."
        )
    for name in [name for name in found if name.startswith("smp_")]:
        argument = found.pop(name)
        own = name.removeprefix("smp_")
        if own == "encoder_depth":
            found["backbone_depth"] = argument
        else:
            # `decoder_attention_type` is the decoder's `attention_type`, but `decoder_channels` its `decoder_channels`.
            found[f"decoder_{own}" if own == "decoder_channels" else own] = argument
    to.ledger.remark(
        "SMPModelFactory's whole model of smp is its encoder, decoder and head here, whose weights have other names.",
        changes_model=True,
    )
    return ModelArguments(found, head_as_built=False)


def _of_timm(to: Translation, given: Arguments) -> ModelArguments:
    """A whole classifier of timm, here its features and a head."""
    found = _renamed(given, {"pretrained": "backbone_pretrained", "in_channels": "backbone_in_chans"})
    backbone, pretrained = found.get("backbone"), found.get("backbone_pretrained", Argument(True))
    if backbone is None or not isinstance(backbone.value, str):
        raise UserError("TimmModelFactory needs the name of a model of timm as model_args.backbone.")
    found["backbone"] = Argument(f"timm_{backbone.value.removeprefix('timm_')}", backbone.place)
    if isinstance(pretrained.value, str):
        found["backbone_pretrained"] = Argument(True)
        found["backbone_ckpt_path"] = pretrained
        to.ledger.remark("model_args.pretrained names weights; they are read as a file, backbone.ckpt_path.")
    else:
        found["backbone_pretrained"] = pretrained
    found["decoder"] = Argument("IdentityDecoder")
    to.ledger.remark(
        "timm's own classifier is decoder=identity and head=classification here: logits at each position of the last "
        "feature, and their mean. timm's own pools as the model does, which of a ViT is its class token after a norm.",
        changes_model=True,
    )
    return ModelArguments(found)


def _of_full_model(to: Translation, given: Arguments) -> ModelArguments:
    """A masked autoencoder of Prithvi, here a backbone and decoder=prithvi_mae."""
    model = given.pop("model", Argument(None))
    name = str(model.value)
    if to.kind != "reconstruction" or not (name.startswith("prithvi_") and name.endswith("_mae")):
        raise UserError(
            f"model_factory=FullModelFactory with model={model.value} can't be imported: only Prithvi's autoencoders "
            "(prithvi_eo_v1_100_mae, ...) with ReconstructionTask can."
        )
    found = {name if name in ("rescale", "padding") else f"backbone_{name}": value for name, value in given.items()}
    found["backbone"] = Argument(name.removesuffix("_mae"), model.place)
    for key in ("embed_dim", "depth", "num_heads"):
        if f"backbone_decoder_{key}" in found:
            found[f"decoder_{key}"] = found.pop(f"backbone_decoder_{key}")
    found["decoder"] = Argument("prithvi_mae")
    return ModelArguments(found)


_WITHOUT_PREFIX = {"bands": "backbone_bands", "pretrained": "backbone_pretrained", "num_frames": "backbone_num_frames"}
# What EncoderDecoderFactory takes in TerraTorch 1.2.11, and how the arguments of parts begin.
_OF_USUAL = {
    "backbone", "decoder", "necks", "num_classes", "num_outputs", "aux_decoders", "rescale", "image_size_out",
    "peft_config",
}  # fmt: skip
_PREFIXES = ("backbone_", "decoder_", "head_")
_FACTORIES: Mapping[str, Callable[[Translation, Arguments], ModelArguments]] = {
    USUAL: _as_they_are,
    "PrithviModelFactory": _of_prithvi,
    "SMPModelFactory": _of_smp,
    "TimmModelFactory": _of_timm,
    "GenericUnetModelFactory": of_generic_unet,
    "ClayModelFactory": _of_clay,
    "FullModelFactory": _of_full_model,
}


def _renamed(given: Arguments, names: Mapping[str, str]) -> Arguments:
    return {names.get(name, name): argument for name, argument in given.items()}


def _channels(to: Translation, given: Arguments) -> None:
    _needless(to, given, ("in_channels",), "as many as the bands")
    given.pop("in_channels", None)


def _needless(to: Translation, given: Arguments, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if name in given and (place := given[name].place) is not None:
            to.ledger.needless(place, why)


def _lose(to: Translation, given: Arguments, name: str, why: str) -> None:
    if name in given and (place := given.pop(name).place) is not None:
        to.ledger.lost(place, why, changes_model=True)


def as_decoder_and_head(arguments: ModelArguments) -> ModelArguments:
    """Return the arguments with a decoder that includes its head in two parts, where there is such a decoder here."""
    name = arguments.get("decoder")
    if name not in WITH_HEAD:
        return arguments
    own = {key: value for key, value in arguments.items() if key == "head_final_act" or not key.startswith("head_")}
    parts: dict[str, Any] = dict(own)
    parts["decoder"] = Argument(WITH_HEAD[name], arguments.place("decoder"))
    dropout = parts.pop("decoder_head_dropout_ratio", Argument(_DROPOUT_OF_ASPP))
    parts["head_dropout"] = dropout
    return ModelArguments(parts, head_as_built=arguments.head_as_built)
