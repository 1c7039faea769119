"""Loading published Prithvi weights into an encoder: the three published layouts, any choice of bands.

v2 files hold `encoder.*` and `decoder.*`, v1 files the same names without prefixes, old files `_timm_module.*`.
"""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from geocompose.backbones.prithvi import PrithviViT
from geocompose.bands import canonical
from geocompose.errors import UserError

log = logging.getLogger("geocompose")


def encoder_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what belongs to the encoder, under the encoder's own names."""
    named = {key.replace("_timm_module.", ""): value for key, value in state.items()}
    kept = {}
    for key, value in named.items():
        if key.startswith("decoder") or "_dec." in key or "mask_token" in key:
            continue
        kept[key.removeprefix("encoder.")] = value
    return kept


def load_weights(
    model: PrithviViT, state: dict[str, Tensor], *, pretrained_bands: Sequence[str], allow_random_bands: bool
) -> None:
    """Copy pretrained weights into `model`; its own position encoding stays.

    pretrained_bands: the input channels of the weights, in their order.
    allow_random_bands: the consent to bands that the weights don't have; they keep their random start.

    Raises:
        UserError: bands without weights and without consent; tensors missing, unknown or of another shape.
    """
    state = encoder_part(state)
    state.pop("pos_embed", None)
    own = model.state_dict()
    for encoding in ("temporal_embed_enc", "location_embed_enc"):
        if f"{encoding}.scale" not in own:
            state.pop(f"{encoding}.scale", None)
        elif f"{encoding}.scale" not in state:
            log.warning("The weights have no %s: it starts as in a new model.", encoding)
            state[f"{encoding}.scale"] = own[f"{encoding}.scale"]
    key = "patch_embed.proj.weight"
    if key in state:
        state[key] = _bands(model, state[key], pretrained_bands, allow_random_bands)
    missing = sorted(set(own) - set(state) - {"pos_embed"})
    unknown = sorted(set(state) - set(own))
    shapes = [
        f"{name}: {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model"
        for name in sorted(set(own) & set(state))
        if state[name].shape != own[name].shape
    ]
    if missing or unknown or shapes:
        parts = [("missing", missing), ("unknown", unknown), ("of another shape", shapes)]
        lists = "; ".join(f"{len(names)} {what} ({_first(names)})" for what, names in parts if names)
        raise UserError(
            f"These weights are not this backbone's: {lists}. Check backbone.variant, patch_size and depth."
        )
    model.load_state_dict({**state, "pos_embed": own["pos_embed"]})


def _bands(model: PrithviViT, pretrained: Tensor, pretrained_bands: Sequence[str], allow_random: bool) -> Tensor:
    place = {canonical(name): index for index, name in enumerate(pretrained_bands)}
    if pretrained.shape[1] != len(place):
        raise UserError(
            f"The weights have {pretrained.shape[1]} input bands, but pretrained_bands names {len(place)}: {list(pretrained_bands)}."
        )
    own = model.patch_embed.proj.weight.detach()
    if pretrained.shape[0] != own.shape[0] or pretrained.shape[2:] != own.shape[2:]:
        return pretrained  # reported with all other wrong shapes
    random = [name for name in model.bands if canonical(name) not in place]
    if random and not allow_random:
        raise UserError(
            f"The pretrained weights have no band {', '.join(random)}; they have {', '.join(pretrained_bands)}. "
            "Leave these bands out, or let them start randomly: backbone.allow_random_bands=true."
        )
    if random:
        log.warning("No pretrained weights for %s: these bands start randomly, as allowed.", ", ".join(random))
    slices = [
        pretrained[:, place[canonical(name)]] if canonical(name) in place else own[:, index]
        for index, name in enumerate(model.bands)
    ]
    return torch.stack(slices, dim=1)


def _first(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
