"""TerraTorch's GenericUnetModelFactory: its UNet, or the image itself, and a decoder that includes its head."""

from geocompose.errors import UserError
from geocompose.migration.model.arguments import Argument, ModelArguments
from geocompose.migration.translation import Translation

_FACTORY = "GenericUnetModelFactory"
# How many outputs these decoders have where nothing is said of it.
_USUAL_OUTPUTS = {"ASPPSegmentationHead": 2, "ASPPRegressionHead": 1}


def of_generic_unet(to: Translation, given: dict[str, Argument]) -> ModelArguments:
    """Return what describes the model; other arguments than those of the two parts do nothing in TerraTorch.

    Raises:
        UserError: it would take the backbone from mmsegmentation, or there is neither backbone nor decoder.
    """
    backbone, decoder = given.get("backbone", Argument(None)), given.get("decoder", Argument(None))
    if backbone.value not in (None, "UNet"):
        raise UserError(
            f"model_args.backbone={backbone.value}: {_FACTORY} would take it from mmsegmentation, whose backbones are "
            "not here. Take another, such as UNet, with EncoderDecoderFactory."
        )
    if backbone.value is None and decoder.value is None:
        raise UserError(f"{_FACTORY} needs `backbone`, `decoder` or both in model_args; nothing is there.")
    found = {
        "backbone": Argument(backbone.value or "IdentityBackbone", backbone.place),
        "decoder": Argument(decoder.value or "IdentityDecoder", decoder.place),
    }
    if backbone.value is not None:
        found["backbone_out_indices"] = Argument([0])  # TerraTorch hands the finest map on, which is its last
    found |= _of_parts(to, given, with_decoder=decoder.value is not None)
    found |= _outputs(to, given, found, decoder.value)
    _tell(to, given)
    return ModelArguments(found)


def _of_parts(to: Translation, given: dict[str, Argument], *, with_decoder: bool) -> dict[str, Argument]:
    found = {}
    for name, argument in given.items():
        if name.startswith("backbone_"):
            # mmsegmentation's name of the width of the finest level.
            found[{"backbone_base_channels": "backbone_out_channels"}.get(name, name)] = argument
        elif name.startswith("decoder_") and with_decoder:
            found[name] = argument
        elif name == "regression_relu" and argument.value is True and to.kind == "regression":
            found["head_final_act"] = Argument("torch.nn.ReLU", argument.place)
        elif name not in ("backbone", "decoder", "num_classes") and argument.place is not None:
            to.ledger.needless(argument.place, f"{_FACTORY} makes nothing of it")
    return found


def _outputs(
    to: Translation, given: dict[str, Argument], found: dict[str, Argument], decoder: str | None
) -> dict[str, Argument]:
    """Return how many outputs the model has, which is the decoder's to say, and take that from its own arguments."""
    key, own = (
        ("num_outputs", "decoder_out_channels") if to.kind == "regression" else ("num_classes", "decoder_num_classes")
    )
    of_decoder = [found.pop(name) for name in ("decoder_num_classes", "decoder_out_channels") if name in found]
    counted, of_model = next(iter(of_decoder), None), given.get("num_classes")
    if decoder is None and to.kind == "regression" and of_model is not None and of_model.place is not None:
        to.ledger.needless(of_model.place, f"{_FACTORY} makes nothing of it")
        return {}
    if decoder is None:
        return {} if of_model is None else {"num_classes": of_model}
    if counted is None and decoder in _USUAL_OUTPUTS:
        counted = Argument(_USUAL_OUTPUTS[decoder])
        to.ledger.remark(f"The model has {counted.value} outputs, as {decoder} has where the file has no {own}.")
    counted = counted or of_model
    if of_model is not None and of_model.place is not None and counted is not of_model:
        to.ledger.needless(of_model.place, f"{_FACTORY} does not hand it to the decoder, whose {own} counts")
    return {} if counted is None else {key: counted}


def _tell(to: Translation, given: dict[str, Argument]) -> None:
    backbone, decoder = (given.get(part, Argument(None)).value for part in ("backbone", "decoder"))
    stops = [*(["backbone_base_channels"] if "backbone_base_channels" in given else []),
             *([str(decoder)] if decoder in _USUAL_OUTPUTS else [])]  # fmt: skip
    if stops:
        to.ledger.remark(
            f"TerraTorch 1.2.11 stops at {' and at '.join(stops)} with {_FACTORY}; earlier versions don't."
        )
    if decoder is None:
        to.ledger.remark(f"TerraTorch takes the UNet's finest map for its output; here head={to.kind} makes one of it.")
    if backbone is not None:
        asked = given.get("backbone_upsample_cfg", Argument(None)).value is not None
        theirs = "interpolation and a 3 x 3 convolution" if asked else "transposed convolutions of 4 x 4"
        to.ledger.remark(
            f"backbone=unet is not the UNet of {_FACTORY}, which is mmsegmentation's: that one enlarges maps by "
            f"{theirs} with batch norm and ReLU, ours by transposed convolutions of 2 x 2 alone.",
            changes_model=True,
        )
    else:
        to.ledger.remark(
            f"{_FACTORY}'s model is a backbone, a decoder and a head here, whose weights have other names.",
            changes_model=True,
        )
