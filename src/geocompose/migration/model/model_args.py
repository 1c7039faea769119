"""TerraTorch's `model_args` as options of our groups: backbone, neck, decoder, head, auxiliary, peft, temporal."""

from geocompose.errors import UserError
from geocompose.migration.model.arguments import ModelArguments
from geocompose.migration.model.backbone import CHANNELS_FIRST, has_channels_last, translate_backbone
from geocompose.migration.model.decoder import translate_decoder
from geocompose.migration.model.factories import as_decoder_and_head, model_arguments
from geocompose.migration.model.peft import translate_peft
from geocompose.migration.translation import Translation

# Arguments of the factory that only confirm what is always so here.
_ALWAYS = {"rescale": True, "backbone_padding": "reflect", "padding": "reflect"}
_WITHOUT_PLACE = {
    "rescale": "outputs are always resized to the image",
    "image_size_out": "outputs always have the image's size",
    "backbone_padding": "images are padded by reflection",
    "padding": "images are padded by reflection",
}


def translate_model(to: Translation) -> None:
    """Translate what makes the model.

    Raises:
        UserError: another factory, no model_args, or a backbone or decoder that is not there.
    """
    from geocompose.registry import BACKBONE_REGISTRY, DECODER_REGISTRY  # which load torch

    arguments = as_decoder_and_head(model_arguments(to))
    if not isinstance(arguments.get("backbone"), str):
        raise UserError("The TerraTorch configuration has no model_args with a backbone's name; nothing can be built.")
    if not isinstance(arguments.get("decoder"), str):
        raise UserError("The TerraTorch configuration's model_args have no decoder's name; nothing can be built.")
    for key, why in _WITHOUT_PLACE.items():
        if (place := arguments.place(key)) is not None:
            if arguments.get(key) == _ALWAYS.get(key):
                to.ledger.needless(place, why)
            else:
                to.ledger.lost(place, why, changes_model=True)
    translate_backbone(to, arguments, BACKBONE_REGISTRY)
    _neck(to, arguments)
    translate_decoder(to, arguments, DECODER_REGISTRY)
    translate_peft(to, arguments)
    counted = "num_outputs" if to.kind in ("regression", "scalar_regression") else "num_classes"
    to.num_outputs = arguments.get(counted), arguments.place(counted)


def _neck(to: Translation, arguments: ModelArguments) -> None:
    necks, place = arguments.get("necks"), arguments.place("necks")
    if has_channels_last(arguments.get("backbone")):
        to.choose("neck", "list")
        to.carry(
            place,
            "neck.necks",
            [CHANNELS_FIRST, *(necks or [])],
            "it begins with PermuteDims, as TerraTorch turns these maps itself",
        )
        return
    if not necks:
        to.choose("neck", "none")
        if place is not None:
            to.ledger.carried(place, "neck=none")
        return
    to.choose("neck", "list")
    to.carry(place, "neck.necks", necks)
