"""Loading published Prithvi weights into an encoder or a masked autoencoder: three layouts, any choice of bands.

v2 files hold `encoder.*` and `decoder.*`, v1 files the same names without prefixes, old files `_timm_module.*`.
"""

import logging
from collections.abc import Sequence

from torch import Tensor, nn

from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.files import without_timm_module
from geocompose.backbones.foreign.weights import load

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
        UserError: bands without weights and without consent; tensors missing, unexpected or of another shape.
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
    load(
        model,
        state,
        what="These weights are not this model's",
        advice="Check backbone.variant, patch_size and depth.",
    )
    choice.announce()


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


def _last(key: str, count: int = 1) -> str:
    return ".".join(key.split(".")[-count:])
