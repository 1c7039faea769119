"""Every backbone of transformers (`AutoBackbone`), by its model type, a folder or a model of the hub."""

import logging
from functools import partial

import torch
from torch import Tensor, nn

from geocompose.backbones.foreign.arguments import (
    check_one_source,
    image_size,
    input_channels,
    levels,
    usual_levels,
)
from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.memory import looked_at
from geocompose.backbones.foreign.probe import (
    Probe,
    observed,
    on_meta,
    probe,
    refuse_size,
    shell,
    whole_patches,
)
from geocompose.backbones.foreign.weights import input_bands, input_layers, load_file
from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.backbones.transformers.config import OWN_CHANNELS, Definition, definition
from geocompose.backbones.transformers.weights import load_pretrained, pretraining_of
from geocompose.catalog.transformers import TYPES
from geocompose.errors import FOREIGN_ERRORS, UserError
from geocompose.imagery.bands import band_names

log = logging.getLogger("geocompose")

USUAL_SIZE = (224, 224)


class TransformersBackbone(nn.Module):
    """A backbone of transformers that returns its feature maps as a list; its own names stand behind `model.`."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a backbone; `patch_size` is its config's, for whoever reads tokens."""
        super().__init__()
        self.model = model
        self.patch_size = getattr(model.config, "patch_size", None)
        self.img_size: tuple[int, int] | None = None
        self.fixed_size = False

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of an image (B, C, H, W), finest first.

        Raises:
            UserError: the model takes images of one size, and this is another one.
        """
        # A model of 64 x 96 pixels may take 96 x 64 without a word, which are as many patches.
        if self.fixed_size and tuple(image.shape[-2:]) != self.img_size:
            raise UserError(
                f"This backbone takes images of {self.img_size} pixels only (backbone.img_size); got "
                f"{tuple(image.shape[-2:])}."
            )
        return list(self.model(image).feature_maps)


def build_transformers(
    name: str,
    pretrained: bool = False,
    bands: list[str] | None = None,
    in_chans: int | None = None,
    img_size: int | list[int] | None = None,
    out_indices: list[int] | None = None,
    ckpt_path: str | None = None,
    pretrained_bands: list[str] | None = None,
    allow_random_bands: bool = False,
    kwargs: dict[str, object] | None = None,
) -> nn.Module:
    """Return a backbone of transformers: images (B, C, H, W) in, a list of feature maps out.

    It carries `out_channels`, `feature_specs`, `in_chans`, `bands`, `img_size`, `fixed_size` (it takes no other),
    `weights` (source and sha256, None if random) and `pretraining`. Names in its state dict are transformers', behind
    `model.`. Parameters that the returned maps don't depend on don't require gradients. Within `torch.device("meta")`
    no weights are downloaded, read or allocated; of a folder or a model of the hub, config.json is read, since it says
    what the model is.

    name: a model type with its default config (`dinov2`, `swinv2`, ...), a folder that `save_pretrained` wrote, or a
        model of the hub (`facebook/dinov2-small`).
    pretrained: load the weights of that folder or model.
    bands: names of the input's bands. Pretrained filters go to the weights' bands by name.
    in_chans: number of input channels where `bands` is null; null is 3.
    img_size: height and width in pixels; null is the config's. Position encodings keep the config's size and are
        interpolated, where the model does so; models that take one size only are made for this one.
    out_indices: levels to return, ascending, in transformers' numbers: 0 is the stem where there is one; negative ones
        count from the end. Null: all stages of a pyramid, and four evenly spaced layers ending in the last where all
        have one stride.
    ckpt_path: weights under transformers' names (safetensors or torch), of the backbone alone.
    pretrained_bands: bands of the weights, in their order; null is red, green, blue.
    allow_random_bands: consent to bands that the weights lack.
    kwargs: keys of the model's config, such as {hidden_size: 384}.

    Raises:
        UserError: a name, key, band, size, level or weights that don't fit; says what does.
    """
    check_one_source(pretrained, ckpt_path)
    if pretrained and name in TYPES:
        raise UserError(
            f"backbone.pretrained=true: {name} is a type of models, without weights of its own. Write "
            "backbone.name=MODEL, a model of the Hugging Face hub such as facebook/dinov2-small, or a folder."
        )
    made_of = definition(name, kwargs or {})
    names, channels = input_channels(bands, in_chans)
    if made_of.channels_key is None and channels != OWN_CHANNELS:
        raise UserError(
            f"backbone.name={name}: transformers' {made_of.model_type} takes {OWN_CHANNELS} channels only, here are "
            f"{channels}. Name {OWN_CHANNELS} bands, or choose another backbone."
        )
    choice = None
    if pretrained:
        given = None if pretrained_bands is None else band_names("backbone.pretrained_bands", pretrained_bands)
        own, of_weights = input_bands(names, channels, given, made_of.channels, name)
        choice = BandChoice(own, of_weights, allow_random_bands)
    size = whole_patches(image_size(img_size) or made_of.image_size or USUAL_SIZE, made_of.whole_cells)
    (found, made_for, chosen), module = looked_at(
        [build_transformers, name, made_of.backbone_class, made_of.settings, channels, size, out_indices],
        lambda: _look(name, made_of, channels, size, out_indices),
    )
    on_meta_device = torch.get_default_device().type == "meta"
    pretraining = weights = None
    if choice is not None:
        pretraining = pretraining_of(name, choice.pretrained_bands, read=not on_meta_device)
    if on_meta_device:
        module = module if module is not None else shell(partial(_backbone, made_of, channels, made_for, chosen))
    else:
        model = made_of.create(channels, made_for, chosen)
        if choice is not None:
            idle = {parameter.removeprefix("model.") for parameter in found.idle_parameters}
            weights = load_pretrained(model, made_of, name, made_for, chosen, choice, idle)
        if ckpt_path:
            more = "A whole model's weights are loaded from its folder: backbone.name=FOLDER backbone.pretrained=true."
            weights = load_file(model, ckpt_path, name, more)
        if weights is None:
            log.info("Backbone %s starts from random weights (backbone.pretrained=false).", name)
        module = TransformersBackbone(model)
    random: set[str] = set()
    if choice is not None and choice.random:
        random = input_layers(module.state_dict(), shell(partial(_backbone, made_of, channels + 1, made_for, chosen)))
    return found.declare(
        module,
        channels=channels,
        bands=names,
        size=size,
        weights=weights,
        pretraining=pretraining,
        random_inputs=random,
        layers=LayerNumbers(chosen, made_of.stages[-1] + 1),
    )


def _backbone(
    made_of: Definition, channels: int, made_for: tuple[int, int] | None, levels: list[int]
) -> TransformersBackbone:
    return TransformersBackbone(made_of.create(channels, made_for, levels))


def _look(
    name: str, made_of: Definition, channels: int, size: tuple[int, int], out_indices: list[int] | None
) -> tuple[tuple[Probe, tuple[int, int] | None, list[int]], nn.Module]:
    """Return what a shell of the backbone shows, and the shell.

    What it shows comes with the size that the backbone has to be made for (None: its own), and the levels it returns.
    """
    asked_for = None if out_indices is None else levels(name, list(range(made_of.stages[-1] + 1)), out_indices)
    errors: list[BaseException] = []
    for made_for in (None, size) if made_of.image_size not in (None, size) else (None,):
        try:
            module, chosen = _with_levels(made_of, channels, size, made_for, asked_for)
            found = probe(module, channels, size, observed(f"the backbone {name}", size))
        except UserError:
            raise
        except FOREIGN_ERRORS as error:
            errors.append(error)
            continue
        return (found, made_for, chosen), module
    own = made_of.image_size
    advice = f"Try backbone.img_size=[{own[0]},{own[1]}]." if own and own != size else "Choose another model."
    raise refuse_size(name, size, channels, errors[0], advice) from errors[0]


def _with_levels(
    made_of: Definition,
    channels: int,
    size: tuple[int, int],
    made_for: tuple[int, int] | None,
    asked_for: list[int] | None,
) -> tuple[nn.Module, list[int]]:
    """Return a shell of the backbone, and the levels that it returns: those asked for, else the usual ones.

    Whether all levels have one stride is only seen on their maps. Where four of them are chosen then, the backbone is
    built once more, to return these.
    """
    if asked_for is not None:
        return shell(partial(_backbone, made_of, channels, made_for, asked_for)), asked_for
    every = shell(partial(_backbone, made_of, channels, made_for, made_of.stages)).eval()
    with on_meta(), torch.no_grad():
        maps = every(torch.empty(1, channels, *size))
    chosen = usual_levels(made_of.stages, one_stride=len({tuple(each.shape[1:]) for each in maps}) == 1)
    if chosen == made_of.stages:
        return every, chosen
    return shell(partial(_backbone, made_of, channels, made_for, chosen)), chosen
