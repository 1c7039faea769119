"""The decoder of Prithvi's masked autoencoder: from the tokens that were kept to a prediction of all patches."""

import math
from collections.abc import Sequence

import torch
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from geocompose.backbones.prithvi.encodings import (
    CoordinateEncoding,
    Grid,
    grid_encoding,
    positions_for,
    with_coordinates,
)
from geocompose.errors import UserError, at_least


class MAEDecoder(nn.Module):
    """A light transformer over all positions, a learned token where a patch was removed.

    Source: the masked autoencoder paper (arXiv 2111.06377). Parameter names are those of the published weights.
    """

    decoder_pos_embed: Tensor
    includes_head = True  # its last layer predicts the patches
    reconstructs = True  # hidden patches, not what features say of the shown ones: a composition of its own

    def __init__(
        self,
        *,
        encoder_embed_dim: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        grid: Grid,
        patch_size: Grid,
        in_chans: int,
        mlp_ratio: float = 4.0,
        coords_encoding: Sequence[str] = (),
        coords_scale_learn: bool = False,
    ) -> None:
        """Build with random weights.

        encoder_embed_dim: width of the tokens that come in; `embed_dim`, `depth`, `num_heads` are the decoder's own.
        grid: frames, rows and columns of tokens that positions are made for; those of other grids are interpolated.
        patch_size: frames, rows and columns of a patch, in_chans: its bands; it predicts their product of numbers.

        Raises:
            UserError: a size can't be.
        """
        super().__init__()
        for name, value in (("embed_dim", embed_dim), ("depth", depth), ("num_heads", num_heads)):
            at_least(f"decoder_{name}", value, 1)
        if embed_dim % num_heads or embed_dim % 16:
            raise UserError(
                "decoder_embed_dim must be a multiple of decoder_num_heads and of 16 (the encoding of column, row and "
                f"frame); got {embed_dim} and {num_heads} heads."
            )
        self.grid = grid
        self.patch_frames = patch_size[0]
        self.decoder_embed = nn.Linear(encoder_embed_dim, embed_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.register_buffer("decoder_pos_embed", grid_encoding(embed_dim, grid).unsqueeze(0))
        self.temporal_embed_dec = (
            CoordinateEncoding(embed_dim, learn_scale=coords_scale_learn) if "time" in coords_encoding else None
        )
        self.location_embed_dec = (
            CoordinateEncoding(embed_dim, learn_scale=coords_scale_learn) if "location" in coords_encoding else None
        )
        self.decoder_blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, qkv_bias=True, norm_layer=nn.LayerNorm) for _ in range(depth)
        )
        self.decoder_norm = nn.LayerNorm(embed_dim)
        self.decoder_pred = nn.Linear(embed_dim, math.prod(patch_size) * in_chans)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        trunc_normal_(self.mask_token, std=0.02)

    def forward(
        self,
        tokens: Tensor,
        places: Tensor,
        grid: Grid,
        temporal_coords: Tensor | None = None,
        location_coords: Tensor | None = None,
    ) -> Tensor:
        """Return the predicted values of all patches, (B, patches, numbers of a patch).

        tokens: (B, 1 + kept, encoder_embed_dim), class token first.
        places: (B, patches), for each patch of the grid its place among the kept ones followed by the removed ones.
        grid: frames, rows and columns of the patches. Coordinates: as the encoder takes them.
        """
        tokens = self.decoder_embed(tokens)
        batch, kept, width = tokens.shape[0], tokens.shape[1] - 1, tokens.shape[2]
        removed = self.mask_token.to(tokens.dtype).expand(batch, places.shape[1] - kept, -1)
        patches = torch.cat([tokens[:, 1:], removed], dim=1)
        patches = patches.gather(1, places.unsqueeze(-1).expand(-1, -1, width))
        positions = positions_for(self.decoder_pos_embed, self.grid, grid).to(tokens.dtype)
        patches = with_coordinates(
            patches + positions[:, 1:],
            grid,
            patch_frames=self.patch_frames,
            time=self.temporal_embed_dec,
            location=self.location_embed_dec,
            temporal_coords=temporal_coords,
            location_coords=location_coords,
        )
        tokens = torch.cat([tokens[:, :1] + positions[:, :1], patches], dim=1)
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return self.decoder_pred(self.decoder_norm(tokens))[:, 1:]
