"""Every model of torchgeo that looks at images, as a backbone: feature maps or tokens instead of one vector."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from geocompose.backbones.foreign.arguments import image_size
from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.probe import reason
from geocompose.backbones.torchgeo.croma import by_modality
from geocompose.backbones.torchgeo.families import FAMILIES, Request
from geocompose.backbones.torchgeo.weights import Published, Target, fill_target, only_weights, published, read_file
from geocompose.catalog.torchgeo import BY_WAVELENGTH, WITH_GSD, Model, model_named, torchgeo_models
from geocompose.catalog.torchgeo_provenance import CROMA_BANDS
from geocompose.errors import FOREIGN_ERRORS, UserError
from geocompose.imagery.numbered_bands import channel_names
from geocompose.imagery.pretraining import Pretraining

log = logging.getLogger("geocompose")


def build_torchgeo(
    name: str,
    weights: str | None = None,
    pretrained: bool | None = None,
    bands: list[str] | None = None,
    allow_random_bands: bool = False,
    in_chans: int | None = None,
    img_size: int | list[int] | None = None,
    out_indices: list[int] | None = None,
    ckpt_path: str | None = None,
    gsd_m: float | None = None,
    kwargs: dict[str, object] | None = None,
) -> nn.Module:
    """Return a model of torchgeo as a backbone: images (B, C, H, W) in, a list of feature maps or tokens out.

    ResNets and plain ViTs are timm's own feature modules, Swin transformers torchvision's stages; of DOFA, Scale-MAE,
    CROMA, Panopticon and Copernicus-FM the layers' tokens are returned, with position encodings for any image size.
    CROMA with both its modalities takes a mapping of `sar` and `optical` to images as well as one stacked image.

    The module carries what `build_timm`'s does, and what the chosen weights have seen: `pretraining`, None where they
    are not loaded, and `published` either way. Both are known on the meta device, where nothing is downloaded, read or
    allocated.

    name: a row of `torchgeo_models.MODELS`.
    weights: a name in torchgeo's enumeration of the model's weights, `ResNet50_Weights.SENTINEL2_ALL_MOCO` or its last
        part; null is random, or with `pretrained` the only ones that there are.
    pretrained: null loads `weights` or `ckpt_path` where given; false loads neither, and takes from `weights` only what
        the model has to be like (bands, image size, window).
    bands: names of the input's bands; null is those of the weights. Filters are matched with bands by name.
    allow_random_bands: consent to bands that the weights lack.
    in_chans: number of input channels where neither `bands` nor `weights` say it; null is 3.
    img_size: height and width in pixels; null is the model's or the weights' own. Other sizes are taken at call time.
    out_indices: levels or layers to return, negative ones from the end; null is all, of timm's ViTs four.
    ckpt_path: a local weight file under torchgeo's names; with `weights` a copy of that very file.
    gsd_m: ground sampling distance in metres: needed by Scale-MAE, known or not (null) by Copernicus-FM.
    kwargs: further arguments of the model, those of `torchgeo_models.ARGUMENTS` or of timm's class: sizes,
        `wavelengths_um` and `bandwidths_um` (of bands that the vocabulary lacks), CROMA's `modalities` (of sar,
        optical).

    Raises:
        UserError: torchgeo is missing, a name or argument that isn't there, bands without wavelength or weights,
            weights that can't be downloaded or don't fit.
    """
    model = model_named(name)
    torchgeo_models()  # that it is missing is said first
    given = dict(kwargs or {})
    if pretrained and weights is None and ckpt_path is None:
        weights = only_weights(name)
    chosen = None if weights is None else published(name, weights)
    _check_gsd(name, model, gsd_m)
    names = None if bands is None else channel_names("backbone.bands", bands)
    if model.family == "croma":
        names = _croma_bands(names, given.get("modalities"))
    seen = None if chosen is None else _seen(model, chosen, names)
    if names is None and seen is not None:
        names = seen.names
    request = Request(
        name,
        model,
        names,
        _channels(name, names, in_chans, given.get("wavelengths_um")),
        _size(img_size, chosen),
        out_indices,
        gsd_m,
        given,
        None if chosen is None else chosen.window_size,
    )
    try:
        target = FAMILIES[model.family](request)
    except UserError:
        raise
    except FOREIGN_ERRORS as error:
        raise UserError(f"backbone.name={name} can't be built with backbone.kwargs={given}: {reason(error)}") from error
    module: Any = target.module
    wanted = pretrained is not False and (chosen is not None or ckpt_path is not None)
    module.bands, module.published = names, seen
    module.pretraining = seen if wanted else None
    choices = {} if seen is None or not wanted else _choices(target, seen, allow_random_bands)
    module.random_inputs = [target.key_of(key) for key, choice in choices.items() if choice.random]
    module.weights = None
    if torch.get_default_device().type == "meta":
        return module
    if wanted:
        module.weights = _fill(target, chosen, ckpt_path, choices)
    else:
        log.info("Backbone %s starts from random weights (backbone.weights=null).", name)
    return module


def _check_gsd(name: str, model: Model, gsd_m: float | None) -> None:
    if gsd_m is None:
        return
    if model.family not in WITH_GSD:
        raise UserError(f"backbone.gsd_m={gsd_m}: {name} takes no ground sampling distance; write null.")
    if not gsd_m > 0:
        raise UserError(f"backbone.gsd_m must be metres per pixel, above 0; got {gsd_m}.")


def _croma_bands(names: list[str] | None, modalities: object) -> list[str]:
    """Return CROMA's bands: those given, else all of the modalities, both by default."""
    wanted = list(CROMA_BANDS) if modalities is None else modalities
    if (
        not isinstance(wanted, Sequence)
        or isinstance(wanted, str)
        or not wanted
        or not all(m in CROMA_BANDS for m in wanted)
    ):
        raise UserError(f"backbone.kwargs.modalities must be a list of sar, optical or both; got {modalities!r}.")
    if names is None:
        return [band for modality in CROMA_BANDS if modality in wanted for band in CROMA_BANDS[modality]]
    if modalities is not None and set(by_modality(names)) != set(wanted):
        raise UserError(
            f"backbone.kwargs.modalities={list(wanted)}, but backbone.bands={names} are of "
            f"{' and '.join(by_modality(names))}: leave one of them out."
        )
    return names


def _seen(model: Model, chosen: Published, names: list[str] | None) -> Pretraining | None:
    """Return what weights have seen; of those that are of no certain bands, neither unit nor level is published."""
    if model.family == "croma":
        return Pretraining(tuple(band for modality in by_modality(names or []) for band in CROMA_BANDS[modality]))
    if model.family in BY_WAVELENGTH:
        # Any band is as good as another that has a wavelength.
        return None if names is None else Pretraining(tuple(names))
    return chosen.pretraining()


def _channels(name: str, names: list[str] | None, in_chans: int | None, wavelengths: object) -> int:
    """Return the number of input channels."""
    if in_chans is not None and in_chans < 1:
        raise UserError(f"backbone.in_chans={in_chans}: a backbone needs at least one input channel.")
    counted = None if names is None else len(names)
    if names is None and isinstance(wavelengths, Sequence):
        counted = len(wavelengths)
    if counted is None:
        return 3 if in_chans is None else in_chans
    if in_chans not in (None, counted):
        raise UserError(
            f"backbone.in_chans={in_chans}, but {name} gets {counted} channels here{f': {names}' if names else ''}. "
            "Name the bands in backbone.bands and leave in_chans out."
        )
    return counted


def _size(img_size: int | list[int] | None, chosen: Published | None) -> tuple[int, int] | None:
    """Return the image size that is asked for, else the weights' own; None is the model's."""
    if img_size is None and chosen is not None and chosen.img_size is not None:
        return chosen.img_size, chosen.img_size
    return image_size(img_size)


def _choices(target: Target, seen: Pretraining, allow_random_bands: bool) -> dict[str, BandChoice]:
    """Return for each layer that an image meets first which filters belong to which band.

    Raises:
        UserError: a band has none, and there is no consent.
    """
    return {
        layer.key: BandChoice(layer.bands or seen.names, layer.of_weights or seen.names, allow_random_bands)
        for layer in target.inputs
    }


def _fill(
    target: Target, chosen: Published | None, ckpt_path: str | None, choices: Mapping[str, BandChoice]
) -> dict[str, str]:
    """Load weights, from the local file where there is one, and return where they come from."""
    if ckpt_path is not None:
        state, origin = read_file(ckpt_path, target)
        fill_target(target, state, of=f"backbone.ckpt_path={ckpt_path}", choices=choices, strict=chosen is None)
        return origin
    assert chosen is not None
    state, origin = chosen.read()
    fill_target(target, state, of=chosen.name, choices=choices, strict=False)
    return origin
