"""The Prithvi encoder: a vision transformer over patches in space and time.

Source: Prithvi-EO-1.0 (arXiv 2310.18660) and Prithvi-EO-2.0 (arXiv 2412.02732). Parameter names are those of the published weights.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from geocompose.backbones.encodings import CoordinateEncoding, grid_encoding
from geocompose.errors import UserError, at_least, choices
from geocompose.features import FeatureSpec

COORDINATES = ("time", "location")


class PatchEmbed(nn.Module):
    """Cuts (B, C, T, H, W) into patches and projects each to one token."""

    def __init__(self, in_chans: int, embed_dim: int, patch_size: tuple[int, int, int]) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv3d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, image: Tensor) -> Tensor:
        """Return tokens (B, frames * rows * columns, embed_dim), columns fastest."""
        return self.proj(image).flatten(2).transpose(1, 2)


class PrithviViT(nn.Module):
    """Prithvi's encoder. Returns a list of (B, 1 + frames * rows * columns, embed_dim), class token first, a layer each.

    Block outputs are returned without norm; the last block's pass `norm`. Nothing after the last returned layer is
    computed, and what is never computed does not require gradients.
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
    ) -> None:
        """Build with random weights.

        bands: names of the input's channels, in their order.
        img_size: pixels; the position encoding of other sizes is interpolated from this one's grid.
        patch_size: (frames, rows, columns) of a patch, or one number for rows and columns.
        coords_encoding: any of `time` and `location`: what may be given at call time and is then added to the tokens.
        out_indices: layers to return, in this order; all by default; negative ones count from the end.

        Raises:
            UserError: a size, an index or a name can't be; says what can.
        """
        super().__init__()
        patch_size = (1, patch_size, patch_size) if isinstance(patch_size, int) else tuple(patch_size)
        img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        for name, value in (
            ("embed_dim", embed_dim),
            ("depth", depth),
            ("num_heads", num_heads),
            ("num_frames", num_frames),
        ):
            at_least(name, value, 1)
        if len(img_size) != 2 or min(img_size) < 1:
            raise UserError(f"img_size is one number of pixels, or [rows, columns]; got {list(img_size)}.")
        if len(patch_size) != 3 or patch_size[1] != patch_size[2]:
            raise UserError(
                f"patch_size is (frames, pixels, pixels) with square patches, such as [1, 16, 16]; got {list(patch_size)}."
            )
        if embed_dim % num_heads:
            raise UserError(f"embed_dim must be a multiple of num_heads; got {embed_dim} and {num_heads}.")
        if num_frames % patch_size[0]:
            raise UserError(f"num_frames must be a multiple of the patch's {patch_size[0]} frames; got {num_frames}.")
        for name in coords_encoding:
            if name not in COORDINATES:
                raise UserError(f"coords_encoding has no {name!r}. {choices(name, COORDINATES)}")
        self.bands = list(bands)
        self.in_chans = len(self.bands)
        self.embed_dim, self.depth = embed_dim, depth
        self.patch_size, self.img_size, self.num_frames = patch_size, img_size, num_frames
        self.weights: dict[str, str] | None = None
        self.pretraining_statistics: tuple[list[float], list[float]] | None = None

        self.coords_encoding = list(coords_encoding)
        self.patch_embed = PatchEmbed(self.in_chans, embed_dim, patch_size)
        rows, columns = (max(1, size // patch_size[1]) for size in img_size)
        self.grid = (num_frames // patch_size[0], rows, columns)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.register_buffer("pos_embed", grid_encoding(embed_dim, self.grid).unsqueeze(0))
        self.temporal_embed_enc = self._coordinates("time", coords_encoding, coords_scale_learn)
        self.location_embed_enc = self._coordinates("location", coords_encoding, coords_scale_learn)
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, qkv_bias=True, norm_layer=nn.LayerNorm, drop_path=rate)
            for rate in rates
        )
        self.norm = nn.LayerNorm(embed_dim)
        self._initialise()
        self.select_layers(range(depth) if out_indices is None else out_indices)

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
        """Return these layers from now on, in this order, and compute nothing after the last of them.

        Raises:
            UserError: an index is outside the depth, given twice, or there is none.
        """
        wanted = [index + self.depth if index < 0 else index for index in indices]
        if not wanted or any(not 0 <= index < self.depth for index in wanted) or len(set(wanted)) < len(wanted):
            raise UserError(
                f"This backbone has layers 0 to {self.depth - 1}, each selectable once; got {list(indices)}."
            )
        self.out_indices = wanted
        reached = max(wanted)
        for index, block in enumerate(self.blocks):
            block.requires_grad_(index <= reached)
        self.norm.requires_grad_(reached == self.depth - 1)

    @property
    def out_channels(self) -> list[int]:
        """The width of each returned feature."""
        return [self.embed_dim] * len(self.out_indices)

    @property
    def feature_specs(self) -> list[FeatureSpec]:
        """The returned features, for an input of `num_frames` frames."""
        spec = FeatureSpec(self.embed_dim, self.patch_size[1], "tokens", num_prefix_tokens=1, num_frames=self.grid[0])
        return [spec] * len(self.out_indices)

    def positions(self, grid: tuple[int, int, int]) -> Tensor:
        """Return the position encoding (1, 1 + tokens, embed_dim) of a token grid (frames, rows, columns).

        Another number of frames is computed anew; other rows or columns are interpolated bicubically (aligned corners).
        """
        if grid == self.grid:
            return self.pos_embed
        frames, rows, columns = grid
        if frames == self.grid[0]:
            table = self.pos_embed
        else:
            table = grid_encoding(self.embed_dim, (frames, self.grid[1], self.grid[2])).to(self.pos_embed).unsqueeze(0)
        if (rows, columns) == self.grid[1:]:
            return table
        maps = table[0, 1:].reshape(frames, *self.grid[1:], self.embed_dim).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, size=(rows, columns), mode="bicubic", align_corners=True)
        return torch.cat([table[:, :1], maps.permute(0, 2, 3, 1).reshape(1, -1, self.embed_dim)], dim=1)

    def forward(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> list[Tensor]:
        """Return the selected layers' tokens.

        image: (B, bands, H, W), or (B, bands, T, H, W) for several frames; H and W multiples of the patch.
        temporal_coords: (B, T, 2), year and day of year from 0, where `time` is encoded.
        location_coords: (B, 2), latitude and longitude in degrees, where `location` is encoded.

        Raises:
            UserError: sizes don't fit, or coordinates are given that this backbone does not encode.
        """
        if image.ndim == 4:
            image = image.unsqueeze(2)
        grid = self._grid_of(image)
        tokens = self.patch_embed(image)
        positions = self.positions(grid).to(tokens.dtype)
        tokens = tokens + positions[:, 1:]
        if temporal_coords is not None:
            tokens = tokens + self._time(temporal_coords, grid).to(tokens.dtype)
        if location_coords is not None:
            if self.location_embed_enc is None:
                raise UserError("location_coords are given, but coords_encoding of this backbone lacks 'location'.")
            tokens = tokens + self.location_embed_enc(location_coords).unsqueeze(1).to(tokens.dtype)
        first = (self.cls_token + positions[:, :1]).expand(tokens.shape[0], -1, -1)
        tokens = torch.cat([first.to(tokens.dtype), tokens], dim=1)

        layers = {}
        for index in range(max(self.out_indices) + 1):
            tokens = self.blocks[index](tokens)
            if index in self.out_indices:
                layers[index] = self.norm(tokens) if index == self.depth - 1 else tokens
        return [layers[index] for index in self.out_indices]

    def _grid_of(self, image: Tensor) -> tuple[int, int, int]:
        _, channels, *size = image.shape
        if channels != self.in_chans:
            raise UserError(
                f"This backbone takes {self.in_chans} bands ({', '.join(self.bands)}); the image has {channels}."
            )
        if any(n % patch or not n for n, patch in zip(size, self.patch_size, strict=True)):
            raise UserError(
                f"Frames and pixels {tuple(size)} are no multiples of the patch {self.patch_size}; pad the image "
                "(PixelWiseModel does)."
            )
        t, h, w = (n // patch for n, patch in zip(size, self.patch_size, strict=True))
        return t, h, w

    def _time(self, temporal_coords: Tensor, grid: tuple[int, int, int]) -> Tensor:
        frames, rows, columns = grid
        if self.temporal_embed_enc is None:
            raise UserError("temporal_coords are given, but coords_encoding of this backbone lacks 'time'.")
        if temporal_coords.shape[1:] != (frames, 2):
            raise UserError(
                f"temporal_coords are (B, {frames}, 2) for {frames} frames of tokens; got {tuple(temporal_coords.shape)}."
            )
        return self.temporal_embed_enc(temporal_coords).repeat_interleave(rows * columns, dim=1)
