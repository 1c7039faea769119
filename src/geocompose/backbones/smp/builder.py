"""Encoders of segmentation_models.pytorch as backbones, under its own names."""

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.backbones.foreign.arguments import check_one_source, image_size, input_channels, levels
from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.files import download, origin, read_state_dict
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
from geocompose.backbones.foreign.weights import RGB, fill, input_bands, input_layers, load_file, of_photographs
from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.catalog.smp import check_name
from geocompose.errors import FOREIGN_ERRORS, UserError, choices
from geocompose.imagery.bands import band_names
from geocompose.imagery.numbered_bands import names_alone
from geocompose.imagery.pretraining import Pretraining, of_own_file
from geocompose.runs.pretrained import seen_by_file

log = logging.getLogger("geocompose")

OWN_SIZE = (224, 224)  # of the images of all its weights that matter; any other will do
OUTPUT_STRIDES = (8, 16, 32)


class SmpEncoder(nn.Module):
    """An encoder of smp that returns chosen levels.

    Names in its state dict are those of smp's whole models, `encoder.*`.
    """

    def __init__(self, encoder: nn.Module, levels: list[int] | None = None) -> None:
        """Wrap an encoder.

        levels: numbers of the features to return, as smp counts them; null: all that are features. The image itself,
            which most of its encoders return first, isn't one, nor is a map without channels.
        """
        super().__init__()
        self.encoder = encoder
        self.levels = levels

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of an image (B, C, H, W), finest first."""
        features = self.encoder(image)
        if self.levels is not None:
            return [features[level] for level in self.levels]
        return [feature for feature in features if feature is not image and feature.shape[1] > 0]


def build_smp_encoder(
    name: str,
    weights: str | None = None,
    bands: list[str] | None = None,
    in_chans: int | None = None,
    img_size: int | list[int] | None = None,
    out_indices: list[int] | None = None,
    ckpt_path: str | None = None,
    depth: int = 5,
    output_stride: int = 32,
    allow_random_bands: bool = False,
    pretrained_bands: list[str] | None = None,
    pretrained_on: dict[str, str | None] | None = None,
) -> nn.Module:
    """Return an encoder of smp: images (B, C, H, W) in, a list of feature maps out, finest first.

    It carries `out_channels`, `feature_specs`, `in_chans`, `bands`, `img_size`, `fixed_size`, `weights` (source and
    sha256, None if random) and `pretraining`. Parameters that the returned maps don't depend on don't require
    gradients. Within `torch.device("meta")` nothing is downloaded, read or allocated.

    name: such as `mit_b0`, `mobileone_s0`, `vgg13`, `densenet121`; smp's `tu-` encoders are timm's, see `build_timm`.
    weights: smp's name of pretrained weights, such as `imagenet`, through the Hugging Face hub; null: random.
    bands: names of the input's bands. Pretrained filters go to red, green and blue by name.
    in_chans: number of input channels where `bands` is null; null is 3.
    img_size: height and width in pixels at which the features are looked at; the encoders take any.
    out_indices: levels to return, ascending: 0 is the finest, and negative ones count from the end; null: all.
    ckpt_path: weights under smp's names, those of a whole model (`encoder.*`) or of the encoder.
    depth: number of times the resolution is halved, 3 to 5.
    output_stride: 32, or 16 or 8: later stages are dilated instead of halved, where the encoder can.
    allow_random_bands: consent to bands that the weights lack.
    pretrained_bands: bands of the weights of `ckpt_path`, in their order; null: those of the description beside the
        file (`geocompose.runs.description`), and without one those of the model.
    pretrained_on: `unit` and `level` that these weights have seen, where no description says it; null is unknown, and
        nothing is asked of data.

    Raises:
        UserError: a name, band, level, depth or weights that don't fit; says what does.
    """
    _check(name, weights, ckpt_path, depth, output_stride)
    names, channels = input_channels(bands, in_chans)
    size = whole_patches(image_size(img_size) or OWN_SIZE, 32)
    create = partial(_create, name, depth=depth, output_stride=output_stride)
    key = [build_smp_encoder, name, depth, output_stride, channels, size, out_indices]
    try:
        (found, chosen, layers), encoder = looked_at(
            key, lambda: _look(shell(partial(create, channels)), channels, size, name, out_indices)
        )
    except UserError:
        raise
    except FOREIGN_ERRORS as error:
        raise refuse_size(name, size, channels, error, "Try backbone.depth=5 and backbone.output_stride=32.") from error
    source = pretraining = choice = None
    if weights is not None:
        choice = BandChoice(*input_bands(names, channels, None, len(RGB), name), allow_random_bands)
        pretraining = Pretraining(RGB, "uint8")
    elif ckpt_path and (pretraining := _seen(ckpt_path, names, pretrained_bands, pretrained_on, name)) is not None:
        of_weights = pretraining.names
        choice = BandChoice(*input_bands(names, channels, of_weights, len(of_weights), name), allow_random_bands)
    if torch.get_default_device().type == "meta":
        encoder = encoder if encoder is not None else shell(partial(create, channels))
    else:
        encoder = create(channels)
        if choice is not None and weights is not None:
            source = _load_pretrained(encoder, create, name, weights, choice)
            pretraining = _pretraining(name, weights)
        if ckpt_path:
            source = _load_own(encoder, create, name, ckpt_path, channels, choice)
            if pretraining is not None:
                log.info("The weights of backbone.ckpt_path=%s have seen %s.", ckpt_path, pretraining.in_words())
        if source is None:
            log.info("Backbone %s starts from random weights (backbone.weights=null).", name)
    random: set[str] = set()
    if choice is not None and choice.random:
        random = input_layers(encoder.state_dict(), shell(partial(create, channels + 1)))
    return found.declare(
        SmpEncoder(encoder, chosen),
        channels=channels,
        bands=names,
        size=size,
        weights=source,
        pretraining=pretraining,
        random_inputs=[f"encoder.{key}" for key in random],
        layers=layers,
    )


def _check(name: str, weights: str | None, ckpt_path: str | None, depth: int, output_stride: int) -> None:
    """Refuse what smp doesn't have."""
    check_name(name)
    if not 3 <= depth <= 5:
        raise UserError(f"backbone.depth must be the number of times the resolution is halved, 3 to 5; got {depth}.")
    if output_stride not in OUTPUT_STRIDES:
        raise UserError(f"backbone.output_stride must be 8, 16 or 32; got {output_stride}.")
    if weights is None:
        return
    check_one_source(True, ckpt_path, "backbone.weights")
    published = _published(name)
    if weights not in published:
        raise UserError(f"backbone.weights={weights}: smp has no such weights of {name}. {choices(weights, published)}")


def _published(name: str) -> Mapping[str, Any]:
    from segmentation_models_pytorch.encoders import encoders

    return encoders[name]["pretrained_settings"]


def _create(name: str, channels: int, depth: int, output_stride: int) -> nn.Module:
    from segmentation_models_pytorch.encoders import get_encoder

    with warnings.catch_warnings():
        # Names that begin with timm- are deprecated there, but have no successor of the same parameter names.
        warnings.simplefilter("ignore", DeprecationWarning)
        encoder = get_encoder(name, in_channels=channels, depth=depth, weights=None, output_stride=output_stride)
    return _with_plain_convolutions(encoder)


def _with_plain_convolutions(encoder: nn.Module) -> nn.Module:
    """Return an encoder whose own convolutions that pad nothing are torch's, with the same weights under their names.

    smp's EfficientNets have each convolution in a class of their own that pads by numbers it holds. Most of them, all
    of 1x1, hold none, compute what torch's does, and can be adapted as torch's.
    """
    found = [(name, module) for name, module in encoder.named_modules() if isinstance(module, nn.Conv2d)]
    for name, module in found:
        if isinstance(getattr(module, "static_padding", None), nn.Identity):
            own: Any = module
            with torch.device("meta"):
                plain = nn.Conv2d(
                    own.in_channels, own.out_channels, own.kernel_size, own.stride, own.padding, own.dilation,
                    own.groups, own.bias is not None,
                )  # fmt: skip
            plain.weight, plain.bias = own.weight, own.bias
            parent, _, last = name.rpartition(".")
            setattr(encoder.get_submodule(parent), last, plain)
    return encoder


def _look(
    encoder: nn.Module, channels: int, size: tuple[int, int], name: str, out_indices: list[int] | None
) -> tuple[tuple[Probe, list[int], LayerNumbers], nn.Module]:
    """Return what a shell of an encoder shows, and the shell.

    What it shows comes with the numbers of the levels that are returned: smp's, and those that users write.
    """
    with on_meta(), torch.no_grad():
        image = torch.empty(1, channels, *size)
        every = encoder.eval()(image)
    available = [level for level, feature in enumerate(every) if feature is not image and feature.shape[1] > 0]
    wanted = range(len(available)) if out_indices is None else levels(name, range(len(available)), out_indices)
    chosen = [available[index] for index in wanted]
    found = probe(SmpEncoder(encoder, chosen), channels, size, observed(f"the backbone {name}", size))
    return (found, chosen, LayerNumbers(wanted, len(available))), encoder


def _pretraining(name: str, weights: str) -> Pretraining:
    """Return what weights have seen, as the file beside them says."""
    settings = _published(name)[weights]
    said = json.loads(download(settings["repo_id"], "config.json", settings["revision"]).read_text())
    assert said.get("input_space", "RGB") == "RGB", said
    per_unit = 255 / max(said.get("input_range", [0, 1]))
    return of_photographs(said["mean"], said["std"], per_unit)


def _seen(
    ckpt_path: str,
    names: list[str] | None,
    pretrained_bands: list[str] | None,
    stated: dict[str, str | None] | None,
    name: str,
) -> Pretraining | None:
    """Return what the weights of an own file have seen; None where nothing is known of it.

    names: of the model's bands.
    """
    found = seen_by_file(ckpt_path, stated)
    given = None if pretrained_bands is None else tuple(band_names("backbone.pretrained_bands", pretrained_bands))
    if found is not None:
        if given is not None and len(given) != len(found.bands):
            raise UserError(
                f"backbone.pretrained_bands names {len(given)} bands, but the description beside {ckpt_path} has "
                f"{len(found.bands)}: {', '.join(found.names)}. Name each of them, in their order."
            )
        return found if given is None else replace(found, bands=given)
    if given is None and stated is None:
        return None
    known = names_alone(names)
    of_weights = given or (None if known is None else tuple(known))
    if of_weights is None:
        raise UserError("backbone.pretrained_on needs the names of the weights' bands: give backbone.pretrained_bands.")
    return of_own_file(stated or {}, Pretraining(of_weights), name)


def _load_own(
    encoder: nn.Module,
    create: partial[nn.Module],
    name: str,
    path: str,
    channels: int,
    choice: BandChoice | None,
) -> dict[str, str]:
    """Fill an encoder from an own file, whose filters follow the bands where it is known which they are."""
    if choice is None:
        log.info(
            "What the weights of backbone.ckpt_path=%s have seen is not known: their bands are taken for the model's, "
            "and nothing is asked of the data. backbone.pretrained_bands and backbone.pretrained_on state it, or a "
            "description beside the file (docs/inputs.md).",
            path,
        )
        return load_file(encoder, path, name)
    first_layers = input_layers(encoder.state_dict(), shell(partial(create, channels + 1)))
    return load_file(encoder, path, name, first_layers=first_layers, choice=choice)


def _load_pretrained(
    encoder: nn.Module, create: partial[nn.Module], name: str, weights: str, choice: BandChoice
) -> dict[str, str]:
    """Fill an encoder with smp's published weights; return their source and sha256."""
    settings = _published(name)[weights]
    file = download(settings["repo_id"], "model.safetensors", settings["revision"])
    with torch.random.fork_rng(devices=[]):
        theirs = create(len(RGB))
    theirs.load_state_dict(read_state_dict(file))
    state = theirs.state_dict()
    first_layers = input_layers(state, shell(partial(create, len(RGB) + 1)))
    fill(encoder, state, first_layers, choice, name)
    return origin(file, f"{settings['repo_id']}@{settings['revision']}/model.safetensors")
