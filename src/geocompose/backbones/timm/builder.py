"""Every model of timm that returns feature maps, as timm itself builds it, with what other parts need to know of it."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import timm
import torch
from timm.models import get_arch_pretrained_cfgs, is_model_pretrained
from torch import nn

from geocompose.backbones.foreign.arguments import (
    check_kwargs,
    check_one_source,
    image_size,
    input_channels,
    levels,
    usual_levels,
)
from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.memory import looked_at
from geocompose.backbones.foreign.probe import refuse_size, shell, whole_patches
from geocompose.backbones.foreign.weights import input_layers
from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.backbones.timm.architecture import Architecture, Arguments, architecture_of, create, reductions_of
from geocompose.backbones.timm.probe import TimmProbe, probed
from geocompose.backbones.timm.weights import load_checkpoint, load_pretrained, pretraining_of
from geocompose.errors import UserError, choices, did_you_mean
from geocompose.imagery.bands import canonical
from geocompose.imagery.numbered_bands import names_alone
from geocompose.imagery.pretraining import Pretraining, of_own_file
from geocompose.runs.pretrained import seen_by_file

log = logging.getLogger("geocompose")

# Arguments of timm that have a place of their own in `build_timm`.
OWN_PLACE = {
    "name": "backbone.name",
    "model_name": "backbone.name",
    "pretrained": "backbone.pretrained",
    "bands": "backbone.bands",
    "in_chans": "backbone.in_chans",
    "img_size": "backbone.img_size",
    "out_indices": "backbone.out_indices",
    "ckpt_path": "backbone.ckpt_path",
    "checkpoint_path": "backbone.ckpt_path",
    "drop_path_rate": "backbone.drop_path_rate",
}
# Of the classifier that a backbone lacks (timm drops some of them without a word), or of timm's own wiring.
NOT_OF_A_BACKBONE = (
    *("num_classes", "global_pool", "num_features", "head_conv", "head_bias", "head_norm"),
    *("features_only", "feature_cls", "pretrained_cfg", "pretrained_cfg_overlay", "device", "dtype"),
)


def build_timm(
    name: str,
    pretrained: bool = False,
    bands: list[str] | None = None,
    in_chans: int | None = None,
    img_size: int | list[int] | None = None,
    out_indices: list[int] | None = None,
    ckpt_path: str | None = None,
    drop_path_rate: float | None = None,
    kwargs: dict[str, object] | None = None,
    allow_random_bands: bool = False,
    pretrained_on: dict[str, str | None] | None = None,
) -> nn.Module:
    """Return timm's own features module of the model `name`: images (B, C, H, W) in, a list of feature maps out.

    The module carries `out_channels`, `feature_specs` (one per returned map), `in_chans`, `bands`, `img_size` (height
    and width in pixels it was built for), `fixed_size` (it takes no other), `weights` (source and sha256, None if
    random) and `pretraining` (what the weights have seen; None if random, or of a file of your own without
    `pretrained_on`). Names in its state dict are timm's. Parameters that the returned maps don't depend on don't
    require gradients. Within `torch.device("meta")` nothing is downloaded, read or allocated.

    name: a name of `timm.list_models()`, with or without a tag of pretrained weights (`resnet50.a1_in1k`).
    pretrained: load timm's weights, through the Hugging Face hub. Their filters go to red, green and blue by name.
    bands: names of the input's bands; their number is `in_chans`.
    in_chans: number of input channels where `bands` is null; null is 3. Channels without names get pretrained filters
        as timm makes them: repeated, rescaled, or of one channel the sum of all.
    img_size: height and width in pixels; null is the model's own. Models that need no size take any, and where they
        have patches, whole ones: the size is rounded up to them.
    out_indices: levels to return, ascending, negative ones from the end; null is all levels of a pyramid, and four
        evenly spaced layers ending in the last of a model whose layers all have one stride.
    ckpt_path: weights under timm's names (safetensors or torch); all names have to match but those of the classifier
        and of layers that aren't returned.
    drop_path_rate: stochastic depth from 0 to below 1; null is timm's default.
    kwargs: further arguments of the model's class in timm.
    allow_random_bands: consent to bands that the weights lack; their filters start randomly.
    pretrained_on: `unit` and `level` that the weights of `ckpt_path` have seen, where no description beside the file
        says it (`geocompose.runs.description`); null is unknown, and nothing is asked of data.

    Raises:
        UserError: a name, tag, band, argument, size, level or weight file that doesn't fit; says what does.
    """
    _check_name(name, pretrained)
    check_one_source(pretrained, ckpt_path)
    bands, channels = input_channels(bands, in_chans)
    given = image_size(img_size)
    architecture = architecture_of(name)
    arguments: Arguments = {"in_chans": channels} | _arguments(name, architecture, given, drop_path_rate, kwargs or {})
    # Arguments of the user's may change the number of levels, as `depth` does.
    reductions = reductions_of(name, architecture, arguments) if kwargs else architecture.reductions
    arguments["out_indices"] = _levels(name, reductions, out_indices)
    size = _size(architecture, arguments, given, max(reductions.values()))
    build = partial(create, name, architecture, arguments)

    def refusal(error: BaseException) -> UserError:
        return refuse_size(name, size, channels, error, _advice(architecture, channels, size))

    def look() -> tuple[TimmProbe, nn.Module]:
        module = shell(build)
        return probed(module, channels, size, refusal), module

    found, module = looked_at([build_timm, name, arguments, size], look)
    pretraining = pretraining_of(name) if pretrained else None
    stated = _seen(ckpt_path, bands, channels, pretrained_on, name) if ckpt_path else None
    choice = BandChoice(bands, pretraining.names, allow_random_bands) if pretraining and bands else None
    weights = None
    on_meta = torch.get_default_device().type == "meta"
    if on_meta:
        module = module if module is not None else shell(build)
    elif pretrained:
        module, weights = load_pretrained(name, architecture, arguments, choice)
    else:
        module = build()
    found.fit(module)
    if ckpt_path and not on_meta:
        weights = load_checkpoint(module, name, architecture, arguments, ckpt_path)
        if stated is None:
            log.info(
                "What the weights of backbone.ckpt_path=%s have seen is not known, so that nothing is asked of the "
                "data; backbone.pretrained_on={unit: ..., level: ...} states it.",
                ckpt_path,
            )
        else:
            log.info("The weights of backbone.ckpt_path=%s have seen %s.", ckpt_path, stated.in_words())
    if weights is None and not on_meta:
        log.info("Backbone %s starts from random weights (backbone.pretrained=false).", name)
    random: set[str] = set()
    # Filters that timm repeats over further channels, or makes of others, are not those of the channels either.
    foreign = pretrained and (channels != architecture.input_channels if choice is None else bool(choice.random))
    if foreign:
        more = arguments | {"in_chans": channels + 1}
        random = input_layers(module.state_dict(), shell(partial(create, name, architecture, more)))
    return found.shown.declare(
        module,
        channels=channels,
        bands=bands,
        size=size,
        weights=weights,
        pretraining=pretraining or stated,
        random_inputs=random,
        layers=LayerNumbers(arguments["out_indices"], max(reductions) + 1),
    )


def _seen(
    ckpt_path: str,
    bands: Sequence[str] | None,
    channels: int,
    stated: Mapping[str, str | None] | None,
    name: str,
) -> Pretraining | None:
    """Return what the weights of an own file have seen; None where nothing is known of it.

    Raises:
        UserError: its filters are of other bands than the model's, or in another order.
    """
    found = seen_by_file(ckpt_path, stated)
    if found is None:
        if stated is None:
            return None
        return of_own_file(stated, Pretraining(tuple(names_alone(bands) or (None,) * channels)), name)
    if bands is not None and list(map(canonical, bands)) != list(map(canonical, found.names)):
        raise UserError(
            f"The weights of backbone.ckpt_path={ckpt_path} have the bands {', '.join(found.names)}, and the model has "
            f"{', '.join(bands)}. Filters of a timm model's own file stay where they are: give the bands in that "
            f"order, 'data.bands=[{','.join(found.names)}]'."
        )
    return found


def _check_name(name: str, pretrained: bool) -> None:
    """Refuse a model or a tag that timm doesn't have, and `pretrained` for a model without weights."""
    architecture, _, tag = name.partition(".")
    models = timm.list_models()
    if architecture not in models:
        guess = did_you_mean(architecture, {each: each for each in models})
        raise UserError(
            f"backbone.name={name}: timm {timm.__version__} has no such model. {guess}"
            f"timm.list_models() lists all {len(models)}."
        )
    tags = [each for each in get_arch_pretrained_cfgs(architecture) if "." in each]
    if tag and name not in tags:
        have = choices(name, tags) if tags else f"It has none: write backbone.name={architecture}."
        raise UserError(f"backbone.name={name}: timm has no weights tagged {tag!r} for {architecture}. {have}")
    if pretrained and not is_model_pretrained(name):
        others = [each for each in tags if is_model_pretrained(each)]
        instead = choices(name, others) if others else "Write backbone.pretrained=false or choose another model."
        raise UserError(f"backbone.pretrained=true: timm has no pretrained weights for {name}. {instead}")


def _arguments(
    name: str,
    architecture: Architecture,
    size: tuple[int, int] | None,
    drop_path_rate: float | None,
    kwargs: dict[str, object],
) -> Arguments:
    """Return the arguments for timm: the user's, and those that let a model take any image size where it can."""
    check_kwargs(
        kwargs,
        architecture.arguments,
        OWN_PLACE,
        f"a backbone of timm's {architecture.class_name}",
        refused=NOT_OF_A_BACKBONE,
        open_ended=architecture.open_ended,
    )
    arguments = dict(kwargs)
    if drop_path_rate is not None:
        if not 0 <= drop_path_rate < 1:
            raise UserError(f"backbone.drop_path_rate must be a share from 0 to below 1; got {drop_path_rate}.")
        if "drop_path_rate" not in architecture.arguments and not architecture.open_ended:
            raise UserError(f"backbone.drop_path_rate={drop_path_rate}: {name} has no stochastic depth; write null.")
        arguments["drop_path_rate"] = drop_path_rate
    if "dynamic_img_size" in architecture.arguments:
        arguments.setdefault("dynamic_img_size", True)
    if "strict_img_size" in architecture.arguments:
        arguments.setdefault("strict_img_size", False)
    if size is not None and "img_size" in architecture.arguments:
        arguments["img_size"] = size
    return arguments


def _levels(name: str, reductions: dict[int, int], out_indices: list[int] | None) -> list[int]:
    """Return the levels to return, in timm's numbers."""
    if not reductions:
        raise UserError(f"backbone.name={name}: this model of timm returns no feature maps, so it can't be a backbone.")
    numbers = list(reductions)
    if out_indices is None:
        return usual_levels(numbers, one_stride=len(set(reductions.values())) == 1)
    return levels(name, numbers, out_indices)


def _size(
    architecture: Architecture, arguments: Arguments, given: tuple[int, int] | None, patch: int
) -> tuple[int, int]:
    """Return the image size to build for: whole patches where the model takes no others; `arguments` are told."""
    size = architecture.input_size if given is None else given
    if not arguments.get("dynamic_img_size"):
        return size
    if given is None:
        # Where its own size isn't made of whole patches, the model never saw the rest.
        return size[0] // patch * patch, size[1] // patch * patch
    # Images of a given size are padded.
    arguments["img_size"] = size = whole_patches(size, patch)
    return size


def _advice(architecture: Architecture, channels: int, size: tuple[int, int]) -> str:
    """Return what to try instead of images that the model can't take."""
    stride = max(architecture.reductions.values())
    own = architecture.input_size
    if size != own:
        near = ",".join(str(max(1, round(side / stride)) * stride) for side in size)
        return f"Multiples of {stride} fit most models: try backbone.img_size=[{near}], or null for {own[0]}x{own[1]}."
    if channels != architecture.input_channels:
        return f"It was made for {architecture.input_channels} channels; try that, or another model."
    return "It can't be a backbone here: choose another model."
