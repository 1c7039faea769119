"""torchgeo's weights by their names in its enumerations, and how they get into a backbone."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.files import cached, flat, origin, read, tensors
from geocompose.backbones.foreign.prefixes import of_model
from geocompose.backbones.foreign.probe import reason
from geocompose.backbones.foreign.weights import load
from geocompose.catalog.torchgeo import torchgeo_models
from geocompose.catalog.torchgeo_provenance import pretraining_of
from geocompose.catalog.torchgeo_weights import member_named, without_weights
from geocompose.errors import UserError, choices, shortened
from geocompose.imagery.pretraining import Pretraining

log = logging.getLogger("geocompose")

POSITIONS = "pos_embed"
# Of the vector or the classes that a backbone lacks; files of one model have them, of another not.
OF_HEADS = ("head.", "fc.", "fc_norm.", "norm.", "projector.", "mask_token", "attn_bias", "s1_GAP_FFN.", "s2_GAP_FFN.")


@dataclass(frozen=True)
class Published:
    """A member of one of torchgeo's enumerations of weights: its full name, file and what it says of itself."""

    name: str
    member: Any

    @property
    def img_size(self) -> int | None:
        """The image size that its position encodings are for, where it says so."""
        return self.member.meta.get("img_size")

    @property
    def window_size(self) -> int | None:
        """The window of a Swin transformer, where it is not the model's own."""
        return self.member.meta.get("window_size")

    def pretraining(self) -> Pretraining:
        """Return what the weights have seen."""
        return pretraining_of(self.member)

    def read(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors by name, downloaded once by torchgeo, and their source and sha256.

        Raises:
            UserError: the file can't be downloaded or read.
        """
        url = self.member.url
        try:
            # Without executing code; where the file's name has a hash, it is compared.
            content = self.member.get_state_dict(progress=False, map_location="cpu", check_hash=True, weights_only=True)
        except Exception as error:
            raise UserError(
                f"The weights {self.name} can't be downloaded from {url}: {type(error).__name__}: {reason(error)} "
                "Download the file elsewhere and give its path as backbone.ckpt_path, beside "
                f"backbone.weights={self.member.name}."
            ) from error
        return flat(content), origin(cached(url), f"{self.name} {url}")


def published(name: str, weights: str) -> Published:
    """Return a model's weights by their name in torchgeo, with or without the enumeration's.

    Raises:
        UserError: torchgeo has none for this model, or none of this name; names the nearest.
    """
    enumeration = _enumeration(name, f"backbone.weights={weights}")
    members = enumeration.__members__  # other names of the same weights included
    member = member_named(name, weights, enumeration.__name__, members)
    return Published(f"{enumeration.__name__}.{member}", members[member])


def only_weights(name: str) -> str:
    """Return the name of a model's weights where torchgeo has no others.

    Raises:
        UserError: there are several, or none.
    """
    members = list(_enumeration(name, "backbone.pretrained=true").__members__)
    if len(members) > 1:
        raise UserError(
            f"backbone.pretrained=true: torchgeo has {len(members)} weights for {name}, of different sensors: name "
            f"those you mean, such as backbone.weights={members[0]}. {choices('', members)}"
        )
    return members[0]


def _enumeration(name: str, given: str) -> Any:
    try:
        return torchgeo_models().get_model_weights(name)
    except KeyError as error:
        raise without_weights(name, given) from error


def read_file(path: str, target: "Target") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a local weight file by name, without a prefix before them, and its source and sha256.

    Raises:
        UserError: it can't be read as weights; see also `of_model`.
    """
    own = target.module.state_dict()
    here = {_bare(key, target.prefixes): key for key in own}
    state = of_model(tensors(read(path), path), own, lambda key: here.get(_bare(key, target.prefixes)), path)
    return state, origin(path)


@dataclass(frozen=True)
class InputLayer:
    """Weights that an image meets first, by their name.

    bands, of_weights: the model's bands there, and the weights'; None is all of them.
    """

    key: str
    bands: Sequence[str] | None
    of_weights: Sequence[str] | None = None


@dataclass(frozen=True)
class Target:
    """A backbone to be filled.

    known: returns the names in the whole model's state dict. prefixes: of names in weight files.
    grid: rows and columns of tokens of the position encoding; None where it is computed, or there are no tokens.
    inputs: the layers that an image meets first; none where they are made from wavelengths.
    """

    name: str
    module: nn.Module
    known: Callable[[], Collection[str]]
    prefixes: tuple[str, ...] = ()
    grid: tuple[int, int] | None = None
    inputs: Sequence[InputLayer] = ()

    def key_of(self, bare: str) -> str:
        """Return the module's own name of a tensor that the plain model has under another."""
        return next(key for key in self.module.state_dict() if _bare(key, self.prefixes) == bare)


def fill_target(
    target: Target, state: Mapping[str, Tensor], *, of: str, choices: Mapping[str, BandChoice], strict: bool
) -> None:
    """Fill a backbone with weights under torchgeo's names; position encodings are resampled to its grid.

    of: the weights, for messages. choices: the weights that an image meets first, by name, and which of their bands
        belong where.
    strict: whether names that the whole model lacks are refused.

    Raises:
        UserError: names are missing or unexpected, or shapes differ; lists them.
    """
    own = target.module.state_dict()
    here = {_bare(key, target.prefixes): key for key in own}
    known = {_bare(key, target.prefixes) for key in target.known()}
    matched: dict[str, Tensor] = {}
    unexpected = []
    for key, value in state.items():
        bare = _bare(key, target.prefixes)
        if bare in here:
            place = here[bare]
            matched[place] = _fitted(bare, value, own[place], target.grid, choices.get(bare))
        elif bare not in known and not bare.startswith(OF_HEADS):
            unexpected.append(key)
    load(
        target.module,
        matched,
        unexpected if strict else (),
        what=f"{of} doesn't fit {target.name}",
        advice="Give weights of this very model, for the same backbone.bands and kwargs.",
    )
    if unexpected:
        log.info("Passed over in %s: %s.", of, shortened(unexpected, 6))
    for choice in choices.values():
        choice.announce()


def _bare(key: str, prefixes: Sequence[str]) -> str:
    """Return a name as the plain model has it: timm's getter of features and torchgeo's wrappers put one before it."""
    for prefix in ("model.", *prefixes):
        key = key.removeprefix(prefix)
    return key


def _fitted(bare: str, value: Tensor, own: Tensor, grid: tuple[int, int] | None, choice: BandChoice | None) -> Tensor:
    """Return a tensor of the weights as the backbone's bands and image size want it."""
    if bare == POSITIONS and grid is not None and value.ndim == 3 and value.shape[1] != own.shape[1]:
        return resample_abs_pos_embed(value, new_size=list(grid), num_prefix_tokens=1)
    if choice is None:
        return value
    if value.ndim != 2:
        return choice.of_input(value, own)
    # A linear layer over a patch's pixels, band by band.
    bands = len(choice.pretrained_bands), len(choice.places)
    if value.shape[1] % bands[0]:
        return value
    chosen = choice.of_input(value.unflatten(1, (bands[0], -1)), own.unflatten(1, (bands[1], -1)))
    return chosen.flatten(1)
