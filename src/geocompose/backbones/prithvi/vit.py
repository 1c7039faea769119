"""The Prithvi encoder: a vision transformer over patches in space and time.

Source: Prithvi-EO-1.0 (arXiv 2310.18660) and Prithvi-EO-2.0 (arXiv 2412.02732). Parameter names are those of the
    published weights.
"""

from collections.abc import Sequence

import torch
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from geocompose.backbones.layer_choice import chosen_layers
from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.backbones.prithvi.encodings import (
    CoordinateEncoding,
    Grid,
    grid_encoding,
    positions_for,
    with_coordinates,
)
from geocompose.backbones.prithvi.prompts import random_prompts, run_with_prompts
from geocompose.backbones.prithvi.sizes import check_sizes, image_of, patch_of
from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.shapes import map_to_tokens
from geocompose.errors import UserError, choices
from geocompose.imagery.pretraining import Pretraining

COORDINATES = ("time", "location")


class PatchEmbed(nn.Module):
    """Cuts (B, C, T, H, W) into patches and projects each to one token."""

    def __init__(self, in_chans: int, embed_dim: int, patch_size: tuple[int, int, int]) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv3d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, image: Tensor) -> Tensor:
        """Return tokens (B, frames * rows * columns, embed_dim), columns fastest."""
        return map_to_tokens(self.proj(image))


class PrithviViT(nn.Module):
    """Prithvi's encoder. Returns (B, 1 + frames * rows * columns, embed_dim) per layer, class token first.

    Block outputs are returned without norm; the last block's pass `norm`. Nothing after the last returned layer is
    computed, and what is never computed does not require gradients. With `vpt`, tokens that are learned for each block
    (`vpt_prompt_embeddings`, see `geocompose.backbones.prithvi.prompts`) stand after the class token while that block
    runs; they go on learning when the backbone is frozen.
    """

    pos_embed: Tensor
    maps_by_default = True  # without necks, a model gets its tokens as maps

    def __init__(
        self,
        *,
        bands: Sequence[str],
        embed_dim: int,
        depth: int,
        num_heads: int,
        img_size: int | Sequence[int] = 224,
        patch_size: int | Sequence[int] = (1, 16, 16),
        num_frames: int = 1,
        mlp_ratio: float = 4.0,
        coords_encoding: Sequence[str] = (),
        coords_scale_learn: bool = False,
        drop_path: float = 0.0,
        out_indices: Sequence[int] | None = None,
        vpt: bool = False,
        vpt_n_tokens: int | None = None,
        vpt_dropout: float = 0.0,
    ) -> None:
        """Build with random weights.

        bands: names of the input's channels, in their order.
        img_size: pixels; the position encoding of other sizes is interpolated from this one's grid.
        patch_size: (frames, rows, columns) of a patch, or one number for rows and columns.
        coords_encoding: any of `time` and `location`: what may be given at call time and is then added to the tokens.
        drop_path: the share of training samples in which a block is skipped, the same for each block; 0 to below 1.
        out_indices: layers to return, in this order; all by default; negative ones count from the end.
        vpt: whether each block gets `vpt_n_tokens` learned prompts, of which training drops a share `vpt_dropout`.

        Raises:
            UserError: a size, an index or a name can't be; says what can.
        """
        super().__init__()
        patch, size = patch_of(patch_size), image_of(img_size)
        check_sizes(
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            num_frames=num_frames,
            mlp_ratio=mlp_ratio,
            patch_frames=patch[0],
        )
        for name, share in (("drop_path", drop_path), ("vpt_dropout", vpt_dropout)):
            if not 0 <= share < 1:
                raise UserError(f"{name} must be a share from 0 to below 1; got {share}.")
        for name in coords_encoding:
            if name not in COORDINATES:
                raise UserError(f"coords_encoding has no {name!r}. {choices(name, COORDINATES)}")
        self.bands = list(bands)
        self.in_chans = len(self.bands)
        self.embed_dim, self.depth = embed_dim, depth
        self.patch_size, self.img_size, self.num_frames = patch, size, num_frames
        self.weights: dict[str, str] | None = None
        self.pretraining: Pretraining | None = None
        self.published: Pretraining | None = None
        self.random_inputs: list[str] = []

        self.coords_encoding = list(coords_encoding)
        self.patch_embed = PatchEmbed(self.in_chans, embed_dim, patch)
        rows, columns = (max(1, pixels // patch[1]) for pixels in size)
        self.grid = (num_frames // patch[0], rows, columns)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.register_buffer("pos_embed", grid_encoding(embed_dim, self.grid).unsqueeze(0))
        self.temporal_embed_enc = self._coordinates("time", coords_encoding, coords_scale_learn)
        self.location_embed_enc = self._coordinates("location", coords_encoding, coords_scale_learn)
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, qkv_bias=True, norm_layer=nn.LayerNorm, drop_path=drop_path)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self._initialise()
        self.vpt_prompt_embeddings = random_prompts(
            vpt, vpt_n_tokens, vpt_dropout, depth=depth, embed_dim=embed_dim, patch_px=patch[1]
        )
        self.vpt_dropout = nn.Dropout(vpt_dropout)
        # What goes on learning, in training mode, when the backbone is frozen.
        self.adapter_layer_names = ("vpt_prompt_embeddings", "vpt_dropout") if vpt else ()
        self.out_indices = LayerNumbers(range(depth), depth)
        if out_indices is not None:
            self.select_layers(out_indices)

    def _coordinates(self, name: str, wanted: Sequence[str], learn_scale: bool) -> CoordinateEncoding | None:
        return CoordinateEncoding(self.embed_dim, learn_scale=learn_scale) if name in wanted else None

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        projection = self.patch_embed.proj.weight
        nn.init.xavier_uniform_(projection.view(projection.shape[0], -1))
        trunc_normal_(self.cls_token, std=0.02)

    def select_layers(self, indices: Sequence[int]) -> None:
        """Return only these layers, in this order, and compute nothing after the last of them.

        Gradients are only ever switched off, for what comes after the last layer: what was frozen stays frozen. So a
        layer after those selected before can't be selected again.

        Raises:
            UserError: an index is outside the depth, given twice or was given up before, or `indices` is empty.
        """
        self.out_indices = chosen_layers(indices, self.depth, self.out_indices)
        reached = max(self.out_indices)
        for block in self.blocks[reached + 1 :]:
            block.requires_grad_(False)
        for prompts in list(self.vpt_prompt_embeddings or [])[reached + 1 :]:
            prompts.requires_grad_(False)
        if reached < self.depth - 1:
            self.norm.requires_grad_(False)

    @property
    def out_channels(self) -> list[int]:
        """The width of each returned feature."""
        return [self.embed_dim] * len(self.out_indices)

    @property
    def feature_specs(self) -> list[FeatureSpec]:
        """The returned features, for an input of `num_frames` frames."""
        spec = FeatureSpec(self.embed_dim, self.patch_size[1], "tokens", num_prefix_tokens=1, num_frames=self.grid[0])
        return [spec] * len(self.out_indices)

    def positions(self, grid: Grid) -> Tensor:
        """Return the position encoding (1, 1 + tokens, embed_dim) of a token grid (frames, rows, columns)."""
        return positions_for(self.pos_embed, self.grid, grid)

    def forward(
        self,
        image: Tensor,
        temporal_coords: Tensor | None = None,
        location_coords: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> list[Tensor]:
        """Return the selected layers' tokens.

        image: (B, bands, H, W), or (B, bands, T, H, W) for several frames; H and W multiples of the patch.
        temporal_coords: (B, T, 2), year and day of year from 0 of each frame, where `time` is encoded.
        location_coords: (B, 2), latitude and longitude in degrees, where `location` is encoded.
        kept: (B, any number), the places of the patches that the blocks see, as a masked autoencoder's; all where null.

        Raises:
            UserError: sizes don't fit, or coordinates are given that this backbone does not encode.
        """
        first, patches = self.embed(image, temporal_coords, location_coords)
        if kept is not None:
            patches = patches.gather(1, kept.unsqueeze(-1).expand(-1, -1, patches.shape[2]))
        return self.run_blocks(torch.cat([first, patches], dim=1))

    def forward_features(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> list[Tensor]:
        """Return all layers' tokens, also those that `forward` leaves out; what is given is as there."""
        first, patches = self.embed(image, temporal_coords, location_coords)
        return self.run_blocks(torch.cat([first, patches], dim=1), range(self.depth))

    def prepare_features_for_image_model(
        self, features: Sequence[Tensor], image_size: Sequence[int] | None = None
    ) -> list[Tensor]:
        """Return tokens (B, 1 + frames * rows * columns, embed_dim) as maps (B, frames * embed_dim, rows, columns).

        Frames come before channels. image_size: rows and columns of the image in pixels; where null, `img_size`.

        Raises:
            UserError: the tokens are not those of an image of this size.
        """
        size = self.img_size if image_size is None else image_of(list(image_size))
        rows, columns = (pixels // patch for pixels, patch in zip(size, self.patch_size[1:], strict=True))
        maps = []
        for tokens in features:
            count = tokens.shape[1] - 1
            if not rows * columns or count % (rows * columns) or not count:
                raise UserError(
                    f"{count} tokens beside the class token are not those of an image of {size[0]} x {size[1]} pixels, "
                    f"{rows} x {columns} per frame: give its rows and columns as image_size."
                )
            grid = tokens[:, 1:].unflatten(1, (-1, rows, columns))
            maps.append(grid.permute(0, 1, 4, 2, 3).flatten(1, 2))
        return maps

    def embed(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the class token (B, 1, embed_dim) and the patch tokens of an image, before the first block."""
        if image.ndim == 4:
            image = image.unsqueeze(2)
        grid = self.grid_of(image)
        patches = self.patch_embed(image)
        positions = self.positions(grid).to(patches.dtype)
        patches = with_coordinates(
            patches + positions[:, 1:],
            grid,
            patch_frames=self.patch_size[0],
            time=self.temporal_embed_enc,
            location=self.location_embed_enc,
            temporal_coords=temporal_coords,
            location_coords=location_coords,
        )
        first = (self.cls_token + positions[:, :1]).expand(patches.shape[0], -1, -1)
        return first.to(patches.dtype), patches

    def run_blocks(self, tokens: Tensor, wanted: Sequence[int] | None = None) -> list[Tensor]:
        """Return layers for tokens (B, 1 + any number of patches, embed_dim), class token first.

        wanted: the layers' numbers; the selected ones where null.
        """
        wanted = self.out_indices if wanted is None else wanted
        layers = {}
        for index in range(max(wanted) + 1):
            tokens = self._block(index, tokens)
            if index in wanted:
                layers[index] = self.norm(tokens) if index == self.depth - 1 else tokens
        return [layers[index] for index in wanted]

    def _block(self, index: int, tokens: Tensor) -> Tensor:
        block = self.blocks[index]
        if self.vpt_prompt_embeddings is None:
            return block(tokens)
        prompts = self.vpt_dropout(self.vpt_prompt_embeddings[index].expand(tokens.shape[0], -1, -1))
        return run_with_prompts(block, tokens, prompts)

    def grid_of(self, image: Tensor) -> Grid:
        """Return the token grid of an image (B, bands, T, H, W).

        Raises:
            UserError: it has other bands, or a size that is not a multiple of the patch.
        """
        _, channels, *size = image.shape
        if channels != self.in_chans:
            raise UserError(
                f"This backbone takes {self.in_chans} bands ({', '.join(self.bands)}); the image has {channels}."
            )
        if any(n % patch or not n for n, patch in zip(size, self.patch_size, strict=True)):
            raise UserError(
                f"Frames and pixels {tuple(size)} are not multiples of the patch {self.patch_size}; pad the image "
                "(PixelWiseModel does)."
            )
        t, h, w = (n // patch for n, patch in zip(size, self.patch_size, strict=True))
        return t, h, w
