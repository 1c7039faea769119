"""CROMA as a backbone: radar and optical images by an encoder each, joined by cross-attention; or one of them alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.backbones.torchgeo.tokens import Grid, TokenLayers
from geocompose.catalog.torchgeo_spectra import RADAR
from geocompose.errors import UserError
from geocompose.imagery.bands import canonical

PATCH = 8
HEADS = 16  # fixed in the encoders
ENCODERS: Mapping[str, str] = {"sar": "s1_encoder", "optical": "s2_encoder"}


class Croma(TokenLayers):
    """Returns tokens (B, rows * columns, width) without a class token, of the joint encoder or of the only one.

    The encodings of relative positions are a formula, so that images may have any size that the patch of 8 divides.

    Source: CROMA (arXiv 2311.00566).
    """

    num_prefix_tokens = 0

    def __init__(self, model: Any, bands: Mapping[str, list[str]], order: list[str], img_size: tuple[int, int]) -> None:
        """Take torchgeo's CROMA.

        bands: the modalities' bands, `sar` before `optical`. order: all of them as they are stacked in one image.
        """
        joint = len(bands) > 1
        width = model.encoder_dim
        depth = model.encoder_depth if list(bands) == ["optical"] else model.encoder_depth // 2
        super().__init__(width, depth, PATCH, len(order), img_size, order)
        self.places = {modality: [order.index(name) for name in names] for modality, names in bands.items()}
        self.modalities = {modality: list(names) for modality, names in bands.items()} if joint else None
        for modality, names in bands.items():
            encoder = getattr(model, ENCODERS[modality])
            if len(names) != encoder.in_channels:
                encoder.linear_input = nn.Linear(len(names) * PATCH**2, width)
                encoder.in_channels = len(names)
            setattr(self, ENCODERS[modality], encoder)
        self.joint_encoder = model.joint_encoder if joint else None

    def layer_modules(self) -> Sequence[nn.Module]:
        """Return the layers of the joint encoder, or of the only one."""
        return list(self._stack().layers)

    def last_norm(self) -> nn.Module:
        """Return the norm after the last layer."""
        return self._stack().norm_out

    def _stack(self) -> Any:
        if self.joint_encoder is not None:
            return self.joint_encoder
        return getattr(self, ENCODERS[next(iter(self.places))]).transformer

    def forward(self, image: Tensor | Mapping[str, Tensor]) -> list[Tensor]:
        """Return the selected layers' tokens.

        image: (B, bands, H, W), all bands stacked as in `bands`; or such a tensor of each modality by its name.

        Raises:
            UserError: bands or sizes don't fit, or a modality is missing.
        """
        images = self._modalities(image)
        first = next(iter(images.values()))
        grid = first.shape[-2] // PATCH, first.shape[-1] // PATCH
        bias = distance_bias(grid, device=first.device).to(first.dtype)
        if self.joint_encoder is None:
            encoder = getattr(self, ENCODERS[next(iter(images))])
            return self._run(encoder.linear_input(_patches(first)), bias, None)
        encoded = {name: getattr(self, ENCODERS[name])(imgs=given, attn_bias=bias) for name, given in images.items()}
        return self._run(encoded["sar"], bias, encoded["optical"])

    def _run(self, tokens: Tensor, bias: Tensor, context: Tensor | None) -> list[Tensor]:
        layers = {}
        stack = self._stack().layers
        for index in range(max(self.out_indices) + 1):
            attention, *cross, feed_forward = stack[index]
            tokens = attention(tokens, bias) + tokens
            for attend in cross:
                tokens = attend(tokens, context, bias) + tokens
            tokens = feed_forward(tokens) + tokens
            if index in self.out_indices:
                layers[index] = self.returned(index, tokens)
        return [layers[index] for index in self.out_indices]

    def _modalities(self, image: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        if isinstance(image, Tensor):
            self.grid_of(image)
            return {name: image[:, places] for name, places in self.places.items()}
        if set(image) != set(self.places):
            raise UserError(
                f"This backbone takes the modalities {', '.join(self.places)}; got {', '.join(image) or 'none'}."
            )
        images = {name: image[name] for name in self.places}
        stacked = [given for _, given in images.items()]
        for name, given in images.items():
            if given.shape[1] != len(self.places[name]):
                raise UserError(f"{name} has {len(self.places[name])} bands here; the image has {given.shape[1]}.")
            if given.shape[-2:] != stacked[0].shape[-2:]:
                raise UserError("The modalities of an image have one size; resample them to one grid.")
        self.grid_of(torch.cat(stacked, dim=1))
        return images


def by_modality(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the bands of radar and of optical sensors apart, radar first; what has none is left out."""
    parts = {
        "sar": [name for name in names if canonical(name) in RADAR],
        "optical": [name for name in names if canonical(name) not in RADAR],
    }
    return {modality: bands for modality, bands in parts.items() if bands}


def _patches(image: Tensor) -> Tensor:
    """Return (B, rows * columns, bands * 64): each patch's pixels, band by band."""
    cells = image.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)  # (B, bands, rows, columns, 8, 8)
    return cells.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def distance_bias(grid: Grid, heads: int = HEADS, device: torch.device | None = None) -> Tensor:
    """Return (1, heads, tokens, tokens): minus the distance of two tokens in cells, at each head's slope.

    Source: CROMA; slopes as in ALiBi (arXiv 2108.12409).
    """
    places = torch.cartesian_prod(*(torch.arange(count, device=device) for count in grid)).float()
    steps = places[:, None] - places[None]
    # Each head sees its own distance: slopes are a geometric series from 2^(-8 / heads) to 2^-8.
    slopes = 2.0 ** (-8.0 / heads * torch.arange(1, heads + 1, device=device))
    return -steps.square().sum(-1).sqrt() * slopes[None, :, None, None]
