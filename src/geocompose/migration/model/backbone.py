"""The backbone of a TerraTorch model as an option of our group backbone, with what takes it through time."""

from typing import Any

from geocompose.catalog.terratorch import NAMES as TERRATORCHS
from geocompose.errors import SLIP, UserError, choices, nearest
from geocompose.migration.bands import band_list
from geocompose.migration.ledger import Place
from geocompose.migration.model.arguments import Argument, ModelArguments
from geocompose.migration.model.parts import built_by, option_for, translate_arguments
from geocompose.migration.translation import MODEL, Translation

# Names that earlier versions of TerraTorch had.
_EARLIER = {"prithvi_vit_100": "prithvi_eo_v1_100", "prithvi_vit_300": "prithvi_eo_v2_300"}
# Prithvi's Swin is mmsegmentation's; timm's of the same depths, widths, heads and windows.
_SWIN = {"prithvi_swin_B": "swin_base_patch4_window7_224", "prithvi_swin_L": "swin_large_patch4_window7_224"}
# Their maps have channels last; TerraTorch turns them before necks and decoder see them.
CHANNELS_FIRST: dict[str, Any] = {"name": "PermuteDims", "new_order": [0, 3, 1, 2]}
# What TerraTorch 1.2.11's Prithvi looks at.
_OF_PRITHVI = {
    "pretrained", "bands", "model_bands", "ckpt_path", "pretrained_cfg_overlay", "pretrained_bands", "encoder_only",
    "vit_adapter", "out_indices", "img_size", "patch_size", "num_frames", "in_chans", "embed_dim", "depth", "num_heads",
    "mlp_ratio", "norm_layer", "coords_encoding", "coords_scale_learn", "drop_path", "vpt", "vpt_n_tokens",
    "vpt_dropout", "use_temporal", "padding",
}  # fmt: skip
_POOLINGS = ("mean", "max", "diff", "attention", "concat")
_PREFIXES = ("timm_", "smp_", "torchgeo_", "transformers_", "terratorch_")


def has_channels_last(name: str) -> bool:
    """Return whether TerraTorch turns a backbone's maps to channels first itself, which a neck does here."""
    return name in _SWIN


def translate_backbone(to: Translation, arguments: ModelArguments, registry: Any) -> None:
    """Translate the backbone's name and arguments, frames and poolings included.

    Raises:
        UserError: there is no such backbone here.
    """
    name = arguments.get("backbone")
    keys = _swin(to, arguments, name) if name in _SWIN else _registered(to, arguments, name, registry)
    if "in_chans" not in keys and (given := arguments.place("backbone_in_chans")) is not None:
        to.ledger.needless(given, "as many as the bands")
    for key in ("in_channels", "num_channels"):
        if (given := arguments.place(f"backbone_{key}")) is not None and key not in keys:
            to.ledger.needless(given, "as many as the bands")
    for key, so in (("encoder_only", True), ("vit_adapter", False), ("features_only", True)):
        for inner, argument in arguments.of_part("backbone"):
            if inner == key and argument.value is so and argument.place is not None:
                to.ledger.needless(argument.place, "it is always so")
    if to.choices["backbone"] == "terratorch" and (size := arguments.get("backbone_img_size")) is not None:
        to.set("backbone.kwargs.img_size", size)  # backbone.img_size is where its features are looked at
    _weights_file(to, arguments, keys)
    _bands(to, arguments, keys)
    _frames(to, arguments, keys)
    if to.choices["backbone"] == "prithvi" and to.kind != "reconstruction":
        _swallowed(to, arguments)
    apart = ["bands", "model_bands"]  # settled with the data's
    apart += ["pretrained"] if name in _SWIN and arguments.get("backbone_pretrained") is not False else []  # another's
    translate_arguments(to, "backbone", arguments, set(keys), apart=apart)
    if "ckpt_path" in to.values.get("backbone", {}):
        to.values["backbone"].pop("pretrained", None)  # two sources of weights, of which TerraTorch takes the file


def _registered(to: Translation, arguments: ModelArguments, given: str, registry: Any) -> dict[str, Any]:
    place, name = arguments.place("backbone"), _EARLIER.get(given, given)
    if name in TERRATORCHS and name in registry and built_by(registry, name).__name__ == "build_timm":
        name = f"terratorch_{name}"  # which TerraTorch's own registry has before timm's
    note = f"{given} is an earlier name of {name}" if given in _EARLIER else ""
    if name not in registry:
        guess = nearest(given, registry, cutoff=SLIP)
        raise UserError(
            f"model_args.backbone={given}: there is no such backbone here, nor in TerraTorch 1.2.11 alone. "
            f"{f'Did you mean {guess!r}? ' if guess else ''}Take one of docs/composing.md, or write your own "
            "(docs/extending.md)."
        )
    if built_by(registry, name).__name__ == "build_prithvi":
        keys = to.choose("backbone", "prithvi")
        own = name.removeprefix("terratorch_").removeprefix("geocompose_")
        to.carry(place, "backbone.variant", own, note)
        return keys
    option = option_for(to, "backbone", registry, name)
    if option is None:
        raise UserError(f"model_args.backbone={given}: no option of the group backbone builds it.")
    keys = to.choose("backbone", option)
    if "name" in keys:
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
        to.carry(place, "backbone.name", name.removeprefix(prefix), note)
    elif place is not None:
        to.ledger.carried(place, f"backbone={option}")
    return keys


def _swallowed(to: Translation, arguments: ModelArguments) -> None:
    """Say which arguments TerraTorch's Prithvi takes without looking at them: its constructor ends in **kwargs."""
    if arguments.get("backbone_vit_adapter") is True:
        return
    for name, argument in arguments.of_part("backbone"):
        if name not in _OF_PRITHVI and not name.startswith("temporal_") and argument.place is not None:
            to.ledger.needless(argument.place, "it has no effect on Prithvi in TerraTorch either, which ignores it")


def _swin(to: Translation, arguments: ModelArguments, name: str) -> dict[str, Any]:
    ledger, keys = to.ledger, to.choose("backbone", "timm")
    to.carry(arguments.place("backbone"), "backbone.name", _SWIN[name])
    ledger.remark(
        f"{name} is mmsegmentation's Swin, which is not here: timm's of the same depths, widths, heads and windows "
        f"(backbone.name={_SWIN[name]}) takes its place, from random weights and without a LayerNorm on each output.",
        changes_model=True,
    )
    files = [key for key in ("pretrained_cfg_overlay", "ckpt_path") if arguments.get(f"backbone_{key}") is not None]
    asked, pretrained = arguments.get("backbone_pretrained") is True, arguments.place("backbone_pretrained")
    if asked and pretrained is not None and files:
        ledger.lost(pretrained, f"weights of {name} don't fit timm's Swin: backbone.pretrained=false")
    elif asked and pretrained is not None:
        ledger.needless(pretrained, f"TerraTorch has no weights of {name} but a file's, and takes random ones too")
    if (window := arguments.get("backbone_window_size")) is not None:
        to.carry(arguments.place("backbone_window_size"), "backbone.kwargs.window_size", window)
    if asked and files and ledger.get((*MODEL, "freeze_backbone")) is True:
        ledger.remark("task.freeze_backbone=true would keep these random weights; write task.freeze_backbone=false.")
    for key in files:
        if asked and (place := arguments.place(f"backbone_{key}")) is not None:
            ledger.lost(place, f"weights of {name} don't fit timm's Swin")
    return keys


def _weights_file(to: Translation, arguments: ModelArguments, keys: dict[str, Any]) -> None:
    """Translate the file that weights are read from, by its key of today or that of earlier versions of TerraTorch.

    TerraTorch looks at it where pretrained weights are asked for alone.
    """
    given = dict(arguments.of_part("backbone"))
    asked = given.get("pretrained")
    for name in ("ckpt_path", "pretrained_cfg_overlay"):
        found = given.get(name)
        if found is None or found.value is None or found.place is None or to.ledger.has_verdict(found.place):
            continue
        file = found.value.get("file") if isinstance(found.value, dict) else found.value
        if asked is None or asked.value is not True:
            to.ledger.needless(found.place, "it counts with pretrained weights, and there are none")
        elif isinstance(file, str) and "ckpt_path" in keys:
            to.carry(found.place, "backbone.ckpt_path", file)
            if asked.place is not None:
                to.ledger.carried(asked.place, "backbone.ckpt_path")
            given["pretrained"] = asked = Argument(False)
        else:
            to.ledger.lost(found.place, "backbone.ckpt_path takes a file of weights")


def _bands(to: Translation, arguments: ModelArguments, keys: dict[str, Any]) -> None:
    """Translate which bands the model reads; several modalities keep theirs."""
    for name in ("bands", "model_bands"):
        given, place = arguments.get(f"backbone_{name}"), arguments.place(f"backbone_{name}")
        if given is None:
            continue
        if isinstance(given, dict):
            _bands_of_modalities(to, given, place)
            continue
        to.model_bands = band_list(given)
        to.model_bands_place = place
        if place is not None and to.model_bands is None:
            to.ledger.lost(place, "it is neither names nor places of bands")


def _bands_of_modalities(to: Translation, given: dict[str, Any], place: Place | None) -> None:
    """Translate the bands of each modality; those without a name are called by it and their place."""
    names = {
        str(modality): [
            band if isinstance(band, str) else f"{modality}_{index + 1}"
            for index, band in enumerate(band_list(bands) or [])
        ]
        for modality, bands in given.items()
    }
    to.carry(place, "backbone.kwargs.bands", names)
    to.model_bands = [band for bands in names.values() for band in bands]
    if names != given:
        to.ledger.remark(
            "Bands of modalities without a name are called by their place, such as "
            f"{to.model_bands[0] if to.model_bands else 'S2L2A_1'}: name the data's so, in data.band_names."
        )


def _frames(to: Translation, arguments: ModelArguments, keys: dict[str, Any]) -> None:
    """Translate how a model takes several time steps, and how many the configuration names."""
    ledger = to.ledger
    frames = arguments.get("backbone_num_frames")
    place = arguments.place("backbone_num_frames")
    if frames is not None:
        to.model_frames = frames
        if "num_frames" not in keys and place is not None:
            if frames == 1:
                ledger.needless(place, "images have one frame")
            else:
                ledger.lost(place, f"backbone={to.choices['backbone']} takes images of one frame", changes_model=True)
    used, place = arguments.get("backbone_use_temporal"), arguments.place("backbone_use_temporal")
    if used is not True:
        if place is not None:
            ledger.needless(place, "the backbone is given single images")
        for name, given in arguments.of_part("backbone"):
            if name.startswith("temporal_") and given.place is not None:
                ledger.needless(given.place, "it counts with backbone_use_temporal")
        return
    of_wrapper = {
        name.removeprefix("temporal_"): argument
        for name, argument in arguments.of_part("backbone")
        if name.startswith("temporal_")
    }
    pooling = of_wrapper.pop("pooling", None)
    concat = of_wrapper.pop("concat", None)
    chosen = "concat" if concat is not None and concat.value else "mean" if pooling is None else str(pooling.value)
    if chosen not in _POOLINGS:
        raise UserError(
            f"model_args.backbone_temporal_pooling={chosen} can't be imported. {choices(chosen, _POOLINGS)}"
        )
    keys_of_pooling = to.choose("temporal", chosen)
    for argument in (pooling, concat):
        if argument is not None and argument.place is not None:
            ledger.carried(argument.place, f"temporal={chosen}")
    if place is not None:
        ledger.carried(place, f"temporal={chosen}")
    for name, argument in of_wrapper.items():
        if argument.value is None or argument.place is None:
            continue
        if name == "n_timestamps":
            to.model_frames = argument.value
            ledger.carried(argument.place, "data.num_frames")
        elif name in keys_of_pooling:
            to.carry(argument.place, f"temporal.{name}", argument.value)
        else:
            ledger.lost(argument.place, f"temporal={chosen} has no argument {name!r}", changes_model=True)
