"""Loading published Prithvi weights into an encoder or a masked autoencoder: three layouts, any choice of bands.

v2 files hold `encoder.*` and `decoder.*`, v1 files the same names without prefixes, old files `_timm_module.*`.
"""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geocompose.backbones.foreign.files import without_timm_module
from geocompose.errors import UserError, shortened
from geocompose.imagery.bands import canonical

log = logging.getLogger("geocompose")

POSITIONS = ("pos_embed", "decoder_pos_embed")
ENCODINGS = ("temporal_embed_enc", "location_embed_enc", "temporal_embed_dec", "location_embed_dec")


def whole(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a masked autoencoder under v2's names, `encoder.*` and `decoder.*`."""
    named = {}
    for key, value in without_timm_module(state).items():
        if key.startswith(("encoder.", "decoder.")):
            named[key] = value
        else:
            of_decoder = key.startswith("decoder_") or "_dec." in key or key == "mask_token"
            named[f"decoder.{key}" if of_decoder else f"encoder.{key}"] = value
    return named


def encoder_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what belongs to the encoder, under the encoder's own names."""
    start = "encoder."
    return {key.removeprefix(start): value for key, value in whole(state).items() if key.startswith(start)}


def load_weights(
    model: nn.Module,
    state: dict[str, Tensor],
    *,
    bands: Sequence[str],
    pretrained_bands: Sequence[str],
    allow_random_bands: bool,
) -> None:
    """Copy pretrained weights into an encoder or a masked autoencoder; its own position encodings stay.

    state: weights under the model's names, as `encoder_part` or `whole` returns them.
    bands: the model's bands, in their order. pretrained_bands: those of the weights, in theirs.
    allow_random_bands: the consent to bands that the weights don't have; they keep their random start.

    Raises:
        UserError: bands without weights and without consent; tensors missing, unknown or of another shape.
    """
    own = model.state_dict()
    state = {key: value for key, value in state.items() if _last(key) not in POSITIONS}
    state |= {key: value for key, value in own.items() if _last(key) in POSITIONS}
    _fit_encodings(state, own)
    prompts = {key: value for key, value in own.items() if "vpt_prompt_embeddings." in key}
    if not prompts.keys() & state.keys():  # published files have none: they start as in a new model
        state |= prompts
    choice = BandChoice(bands, pretrained_bands, allow_random_bands)
    for key in set(state) & set(own):
        if key.endswith("patch_embed.proj.weight"):
            state[key] = choice.of_input(state[key], own[key])
        elif _last(key, 2) in ("decoder_pred.weight", "decoder_pred.bias"):
            state[key] = choice.of_output(state[key], own[key])
    _check_names(state, own)
    model.load_state_dict(state)
    choice.announce()


class BandChoice:
    """Takes from pretrained weights what belongs to the model's bands, by their names."""

    def __init__(self, bands: Sequence[str], pretrained_bands: Sequence[str], allow_random: bool) -> None:
        """Match the bands.

        Raises:
            UserError: a band has no pretrained weights, and nobody consented.
        """
        self.pretrained_bands = list(pretrained_bands)
        place = {canonical(name): index for index, name in enumerate(pretrained_bands)}
        self.places = [place.get(canonical(name)) for name in bands]
        self.random = [name for name, found in zip(bands, self.places, strict=True) if found is None]
        if self.random and not allow_random:
            raise UserError(
                f"The pretrained weights have no band {', '.join(self.random)}; they have "
                f"{', '.join(pretrained_bands)}. Leave these bands out, or let them start randomly: "
                "backbone.allow_random_bands=true."
            )

    @property
    def is_the_same(self) -> bool:
        """Whether the model's bands are those of the weights, in their order."""
        return self.places == list(range(len(self.pretrained_bands)))

    def of_input(self, pretrained: Tensor, own: Tensor) -> Tensor:
        """Return the patch embedding's weights (embed_dim, bands, frames, rows, columns) for the model's bands."""
        self._check_count(pretrained.shape[1])
        if pretrained.shape[0] != own.shape[0] or pretrained.shape[2:] != own.shape[2:]:
            return pretrained  # reported with all other wrong shapes
        return self._chosen(pretrained, own, dim=1)

    def of_output(self, pretrained: Tensor, own: Tensor) -> Tensor:
        """Return the predictor's weights or biases for the model's bands; bands run fastest along the first dimension."""
        pixels, count = own.shape[0] // len(self.places), len(self.pretrained_bands)
        if pretrained.shape[0] != pixels * count or pretrained.shape[1:] != own.shape[1:]:
            return pretrained
        split = [tensor.unflatten(0, (pixels, -1)) for tensor in (pretrained, own)]
        return self._chosen(*split, dim=1).flatten(0, 1)

    def _chosen(self, pretrained: Tensor, own: Tensor, *, dim: int) -> Tensor:
        pairs = enumerate(self.places)
        slices = [own.select(dim, to) if at is None else pretrained.select(dim, at) for to, at in pairs]
        return torch.stack(slices, dim=dim)

    def _check_count(self, count: int) -> None:
        if count != len(self.pretrained_bands):
            raise UserError(
                f"The weights have {count} input bands, but pretrained_bands names {len(self.pretrained_bands)}: "
                f"{self.pretrained_bands}."
            )

    def announce(self) -> None:
        """Say which bands start randomly."""
        if self.random:
            log.warning("No pretrained weights for %s: these bands start randomly, as allowed.", ", ".join(self.random))


def _fit_encodings(state: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """Drop the scales of coordinate encodings that are off, and let those start anew that the weights lack."""
    for key in [key for key in (*state, *own) if _is_encoding(key)]:
        if key not in own:
            state.pop(key, None)
        elif key not in state:
            log.warning("The weights have no %s: it starts as in a new model.", key.removesuffix(".scale"))
            state[key] = own[key]


def _is_encoding(key: str) -> bool:
    return _last(key, 2) in [f"{encoding}.scale" for encoding in ENCODINGS]


def _check_names(state: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    missing = sorted(set(own) - set(state))
    unknown = sorted(set(state) - set(own))
    shapes = [
        f"{name}: {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model"
        for name in sorted(set(own) & set(state))
        if state[name].shape != own[name].shape
    ]
    if missing or unknown or shapes:
        parts = [("missing", missing), ("unknown", unknown), ("of another shape", shapes)]
        lists = "; ".join(f"{len(names)} {what} ({_first(names)})" for what, names in parts if names)
        raise UserError(f"These weights are not this model's: {lists}. Check backbone.variant, patch_size and depth.")


def _first(names: list[str], most: int = 3) -> str:
    return shortened(names, most)


def _last(key: str, count: int = 1) -> str:
    return ".".join(key.split(".")[-count:])
