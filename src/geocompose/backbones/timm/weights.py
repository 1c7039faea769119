"""Weights for timm's models: timm's own from the hub, or a checkpoint under timm's names."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.files import cached, download, origin, read_state_dict
from geocompose.backbones.foreign.prefixes import of_model
from geocompose.backbones.foreign.probe import shell
from geocompose.backbones.foreign.weights import RGB, fill, input_layers, load, of_photographs
from geocompose.backbones.timm.architecture import Architecture, Arguments, create, names_of
from geocompose.errors import UserError, shortened
from geocompose.imagery.pretraining import Pretraining

log = logging.getLogger("geocompose")

# Other names of a hub file: the safe format comes first, as timm prefers it.
SAFE_NAMES = {
    "pytorch_model.bin": "model.safetensors",
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}


def pretraining_of(name: str) -> Pretraining | None:
    """Return what timm's weights have seen: 8-bit colours, whose mean and deviation timm gives per 1.0 of 255.

    None for a model whose weights are not for three colours. Photographs have no physical unit and no level.
    """
    config = get_pretrained_cfg(name)
    assert config is not None, name
    return of_photographs(config.mean, config.std) if config.input_size[0] == len(RGB) else None


def load_pretrained(
    name: str,
    architecture: Architecture,
    arguments: Arguments,
    choice: BandChoice | None,
) -> tuple[nn.Module, dict[str, str]]:
    """Return the features module with timm's pretrained weights, and their source and sha256.

    choice: which of the weights' filters belong to which band. None leaves other channels than theirs, which have no
        names, to timm.

    Raises:
        UserError: the weights can't be downloaded, or don't cover the model with these arguments; says why.
    """
    file, source = _pretrained_file(name)
    if choice is None or choice.is_the_same:
        module = _with_pretrained(name, architecture, arguments, file)
        _say_what_became_of_the_input_layer(name, module, arguments["in_chans"])
        return module, origin(file, source)
    with torch.random.fork_rng(devices=[]):
        theirs = _with_pretrained(name, architecture, arguments | {"in_chans": len(RGB)}, file).state_dict()
    first_layers = _first_layers(name, architecture, arguments, theirs)
    module = create(name, architecture, arguments)
    fill(module, theirs, first_layers, choice, name)
    return module, origin(file, source)


def _with_pretrained(name: str, architecture: Architecture, arguments: Arguments, file: Path) -> nn.Module:
    """Return the features module as timm fills it from a file of weights."""
    # timm reads this very file, so that the sha256 is that of what was loaded.
    overlay = {"file": str(file), "custom_load": False}
    module = create(name, architecture, arguments | {"pretrained": True, "pretrained_cfg_overlay": overlay})
    # timm leaves parameters random without an error where the weights have none for them.
    covered = _spelt(names_of(name, architecture, {"in_chans": arguments["in_chans"]}))
    random = [key for key in module.state_dict() if key not in covered]
    if random:
        raise UserError(
            f"backbone.pretrained=true: the weights of {name} have no values for {shortened(random, 6)}, which "
            "backbone.kwargs add. Leave those out, or use backbone.pretrained=false."
        )
    return module


def _first_layers(
    name: str, architecture: Architecture, arguments: Arguments, theirs: Mapping[str, Tensor]
) -> set[str]:
    """Return the names of the weights that an image meets first.

    theirs: the weights of a model of three channels.

    Raises:
        UserError: they are not filters of these.
    """
    refusal = UserError(
        f"The weights of {name} can't follow the bands: its input layer is not a convolution of red, green and blue. "
        "Write 'data.bands=[RED,GREEN,BLUE]', the order of its weights, or backbone.pretrained=false."
    )
    try:
        more = shell(lambda: create(name, architecture, arguments | {"in_chans": len(RGB) + 1}))
    except UserError as error:  # a model of three channels only
        raise refusal from error
    found = input_layers(theirs, more)
    if not found or any(theirs[key].ndim != 4 or theirs[key].shape[1] != len(RGB) for key in found):
        raise refusal
    return found


def _pretrained_file(name: str) -> tuple[Path, str]:
    """Return the file of timm's pretrained weights for `name`, downloaded once, and where it comes from."""
    config = get_pretrained_cfg(name)
    assert config is not None, name
    if config.hf_hub_id:
        file = config.hf_hub_filename or "pytorch_model.bin"
        if file in SAFE_NAMES:
            try:
                return download(config.hf_hub_id, SAFE_NAMES[file]), f"{config.hf_hub_id}/{SAFE_NAMES[file]}"
            except UserError as error:
                # Only a repository without that file has another; without a network there is nothing to try.
                cause = error.__cause__
                if not isinstance(cause, EntryNotFoundError) or isinstance(cause, LocalEntryNotFoundError):
                    raise
        return download(config.hf_hub_id, file), f"{config.hf_hub_id}/{file}"
    assert isinstance(config.url, str), name
    return _download_url(config.url), config.url


def _download_url(url: str) -> Path:
    """Return the local path of weights that are not on a hub, in torch's cache."""
    path = cached(url)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=False)
        except OSError as error:
            raise UserError(
                f"The weights {url} can't be downloaded: {error}. Download the file elsewhere and give its path as "
                "backbone.ckpt_path, or use backbone.pretrained=false."
            ) from error
    return path


def _input_weights(module: nn.Module) -> list[str]:
    """Return the names of the weights that an image meets first, as timm says which they are."""
    config: Any = module.pretrained_cfg
    first = config.get("first_conv") or ()
    own = dict(module.named_parameters())
    layers = [first] if isinstance(first, str) else list(first)
    return [key for layer in layers for key in _spellings(f"{layer}.weight") if key in own]


def _say_what_became_of_the_input_layer(name: str, module: nn.Module, channels: object) -> None:
    """Log one line where timm turned pretrained weights into those of another number of channels."""
    config: Any = module.pretrained_cfg
    pretrained_channels = config["input_size"][0]
    assert isinstance(channels, int), channels
    if channels == pretrained_channels:
        return
    own = dict(module.named_parameters())
    found = _input_weights(module)
    shown = "1 channel" if channels == 1 else f"{channels} channels"
    # Looked up in the weights themselves: timm leaves a layer random that it can't convert.
    repeats = channels > pretrained_channels and all(
        own[key].ndim == 4 and torch.equal(own[key][:, 0], own[key][:, pretrained_channels]) for key in found
    )
    if found and repeats:
        how = f"its {pretrained_channels} pretrained (red, green, blue) filters are repeated over {shown}, rescaled"
    elif found and channels < pretrained_channels:
        how = f"its filters for {shown} are made of the {pretrained_channels} pretrained (red, green, blue) ones"
    else:
        how = f"its filters for {shown} start randomly: timm couldn't convert the pretrained ones"
    log.warning("Backbone %s, input layer %s: %s.", name, ", ".join(found) or "unknown", how)


def load_checkpoint(
    module: nn.Module, name: str, architecture: Architecture, arguments: Arguments, path: str
) -> dict[str, str]:
    """Fill `module` from a weight file under timm's names; return its source and sha256.

    A name may be as in the classification model or as in the features module. Names of the whole model that the module
    lacks (the classifier, layers that aren't returned) are passed over.

    Raises:
        UserError: names are missing or unexpected, or shapes differ; lists them.
    """
    own = module.state_dict()

    def named(key: str) -> str | None:
        return next((spelling for spelling in _spellings(key) if spelling in own), None)

    state = of_model(read_state_dict(path), own, named, path)
    known = _spelt(names_of(name, architecture, arguments))
    matched: dict[str, Tensor] = {}
    unexpected = []
    for key, value in state.items():
        here = named(key)
        if here is not None:
            matched[here] = value
        elif key not in known:
            unexpected.append(key)
    load(
        module,
        matched,
        unexpected,
        what=f"backbone.ckpt_path={path} doesn't fit {name}",
        advice="Give weights of this very model, for the same backbone.in_chans, img_size and kwargs.",
    )
    return origin(path)


def _spelt(names: Iterable[str]) -> set[str]:
    """Return names in all spellings."""
    return {spelling for name in names for spelling in _spellings(name)}


def _spellings(key: str) -> tuple[str, ...]:
    """Return the names that a parameter of a model of timm has there and in timm's features modules."""
    return key, f"model.{key}", f"body.{key}", key.replace(".", "_", 1)
