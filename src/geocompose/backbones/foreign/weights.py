"""Weights for backbones of other libraries: a file under their names, or their own, whose filters follow the bands' names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from geocompose.backbones.foreign.files import read_state_dict, sha256
from geocompose.backbones.prithvi.weights import BandChoice
from geocompose.errors import UserError
from geocompose.imagery.pretraining import Pretraining

RGB = ("RED", "GREEN", "BLUE")


def of_photographs(mean: Sequence[float], std: Sequence[float], per_unit: float = 255) -> Pretraining:
    """Return what weights of photographs have seen: 8-bit colours.

    mean, std: of red, green and blue, as their library says. per_unit: 8-bit values per 1.0 of these.
    """
    numbers = [tuple(per_unit * float(value) for value in values) for values in (mean, std)]
    return Pretraining(RGB, "uint8", None, *numbers)


def input_bands(
    bands: Sequence[str] | None, channels: int, pretrained_bands: Sequence[str] | None, of_weights: int, name: str
) -> tuple[list[str], list[str]]:
    """Return the names of the model's bands and of the weights': those given; red, green and blue where there are three.

    of_weights: the weights' number of input channels.

    Raises:
        UserError: channels without names, so that it can't be told which of the weights' they are.
    """
    if pretrained_bands is None:
        if of_weights != len(RGB):
            raise UserError(
                f"The weights of {name} have {of_weights} input channels, of which nothing says which bands they are: "
                "name them as backbone.pretrained_bands."
            )
        pretrained_bands = RGB
    if len(pretrained_bands) != of_weights:
        raise UserError(
            f"backbone.pretrained_bands names {len(pretrained_bands)} bands, but the weights of {name} have "
            f"{of_weights} input channels: name each of them, in their order."
        )
    if bands is None:
        if channels != len(pretrained_bands):
            raise UserError(
                f"backbone.in_chans={channels}, but the weights of {name} have {', '.join(pretrained_bands)}: give the "
                "names of the input's bands as backbone.bands."
            )
        bands = pretrained_bands
    return list(bands), list(pretrained_bands)


def fill(
    module: nn.Module, pretrained: Mapping[str, Tensor], input_layers: set[str], choice: BandChoice, name: str
) -> None:
    """Load a library's own weights into a module of the same names; input layers get the filters of its bands.

    input_layers: names of those whose shapes depend on the number of channels.

    Raises:
        UserError: tensors are missing, unknown or of another shape.
    """
    own = module.state_dict()
    state = {
        key: choice.of_input(value, own[key]) if key in input_layers & own.keys() else value
        for key, value in pretrained.items()
    }
    problems = misfits(own, state)
    if problems:
        raise UserError(
            f"The pretrained weights don't fit {name}: {problems}. Leave out the arguments that change its shape, or "
            "start from random weights."
        )
    module.load_state_dict(state, strict=False)
    choice.announce()


def load_file(module: nn.Module, path: str, prefixes: Sequence[str], name: str, more: str = "") -> dict[str, str]:
    """Fill a module from a weight file under its names; return the file's path and sha256.

    prefixes: what may stand before all names; other names than these are then somebody else's and passed over. more:
        the end of the message.

    Raises:
        UserError: names are missing or unexpected, or shapes differ; lists them.
    """
    state = read_state_dict(path)
    own = module.state_dict()
    for prefix in prefixes:
        inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if inner and not inner.keys().isdisjoint(own):
            state = inner
            break
    problems = misfits(own, state)
    if problems:
        raise UserError(
            f"backbone.ckpt_path={path} doesn't fit {name}: {problems}. Give weights of this very model, for as many bands. {more}".rstrip()
        )
    module.load_state_dict(state, strict=False)
    return {"source": path, "sha256": sha256(Path(path))}


def misfits(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Return what doesn't fit where, or "" where all does."""
    # Batch norm's counters are not in weights of old versions of torch, and steer nothing here.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in state.items()
        if key in own and value.shape != own[key].shape
    ]
    return "; ".join(
        f"{len(keys)} {what}: {', '.join(keys[:4])}{', ...' if len(keys) > 4 else ''}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    )
