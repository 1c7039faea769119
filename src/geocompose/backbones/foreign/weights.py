"""Weights for backbones: of a file, or a library's own, whose filters follow the bands' names; all fit, or none."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.files import origin, read_state_dict
from geocompose.backbones.foreign.prefixes import of_model
from geocompose.errors import UserError, shortened
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
    """Return the names of the model's bands and of the weights'.

    Weights of three channels without names are of red, green and blue; a model without names has the weights' bands.

    of_weights: the weights' number of input channels.

    Raises:
        UserError: channels have no names, so that it can't be told which of the weights' they are.
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


def input_layers(theirs: Mapping[str, Tensor], with_one_channel_more: nn.Module) -> set[str]:
    """Return the names of the weights that an image meets first: those whose shape follows the number of channels."""
    other = with_one_channel_more.state_dict()
    return {key for key, value in theirs.items() if key in other and value.shape != other[key].shape}


def fill(
    module: nn.Module, pretrained: Mapping[str, Tensor], first_layers: set[str], choice: BandChoice, name: str
) -> None:
    """Load a library's own weights into a module of the same names; its first layers get the filters of its bands.

    first_layers: names of weights, see `input_layers`.

    Raises:
        UserError: tensors are missing, unexpected or of another shape.
    """
    own = module.state_dict()
    state = {
        key: choice.of_input(value, own[key]) if key in first_layers & own.keys() else value
        for key, value in pretrained.items()
    }
    load(
        module,
        state,
        what=f"The pretrained weights don't fit {name}",
        advice="Leave out the arguments that change its shape, or start from random weights.",
    )
    choice.announce()


def load_file(
    module: nn.Module,
    path: str,
    name: str,
    more: str = "",
    *,
    first_layers: set[str] | None = None,
    choice: BandChoice | None = None,
) -> dict[str, str]:
    """Fill a module from a weight file under its names, behind any prefix; return the file's path and sha256.

    more: the end of the message. choice: of the filters in `first_layers` (see `input_layers`), those of the module's
        bands are taken; null: the file's are the module's.

    Raises:
        UserError: names are missing or unexpected, or shapes differ; lists them. See also `of_model`.
    """
    own = module.state_dict()
    state = of_model(read_state_dict(path), own, str, path)
    if choice is not None:
        for key in (first_layers or set()) & state.keys() & own.keys():
            state[key] = choice.of_input(state[key], own[key])
    advice = f"Give weights of this very model, for as many bands. {more}".rstrip()
    load(module, state, what=f"backbone.ckpt_path={path} doesn't fit {name}", advice=advice)
    if choice is not None:
        choice.announce()
    return origin(path)


def load(
    module: nn.Module, state: Mapping[str, Tensor], unexpected: Sequence[str] = (), *, what: str, advice: str
) -> None:
    """Copy tensors into a module under its own names, all of them or none.

    unexpected: names in the file that belong nowhere, beside those of `state` that the module lacks.
    what, advice: the beginning and the end of the message.

    Raises:
        UserError: names are missing or unexpected, or shapes differ; lists them.
    """
    own = module.state_dict()
    # Batch norm's counters are not in weights of old versions of torch, and steer nothing here.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    shapes = [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in state.items()
        if key in own and value.shape != own[key].shape
    ]
    found = {
        "missing": missing,
        "unexpected": [*unexpected, *(key for key in state if key not in own)],
        "of another shape": shapes,
    }
    problems = "; ".join(f"{len(keys)} {kind}: {shortened(sorted(keys), 6)}" for kind, keys in found.items() if keys)
    if problems:
        raise UserError(f"{what}: {problems}. {advice}")
    module.load_state_dict(state, strict=False)
