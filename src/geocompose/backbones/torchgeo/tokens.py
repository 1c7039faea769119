"""What torchgeo's vision transformers have in common as backbones: a stack of blocks whose outputs are tokens."""

from collections.abc import Sequence

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from geocompose.backbones.layer_choice import chosen_layers
from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.backbones.prithvi.encodings import sine_cosine
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError

Grid = tuple[int, int]  # rows and columns of tokens


class TokenLayers(nn.Module):
    """A choice of layers out of a stack; what comes after the last chosen one is not computed and doesn't learn."""

    num_prefix_tokens = 1
    fixed_size = False

    def __init__(
        self, width: int, depth: int, patch_size: int, in_chans: int, img_size: tuple[int, int], bands: list[str] | None
    ) -> None:
        """Say how wide the tokens are, how many layers there are and what the images are."""
        super().__init__()
        self.embed_dim, self.depth, self.patch_size = width, depth, patch_size
        self.in_chans, self.img_size = in_chans, img_size
        self.bands = bands
        self.out_indices = LayerNumbers(range(depth), depth)

    def layer_modules(self) -> Sequence[nn.Module]:
        """Return the layers, of which `select_layers` chooses."""
        raise NotImplementedError

    def last_norm(self) -> nn.Module | None:
        """Return the norm that the last layer's output passes, if any."""
        return None

    def select_layers(self, indices: Sequence[int]) -> None:
        """Return only these layers, in this order, and compute nothing after the last of them.

        Raises:
            UserError: an index is outside the depth, given twice or was given up before, or `indices` is empty.
        """
        self.out_indices = chosen_layers(indices, self.depth, self.out_indices)
        reached = max(self.out_indices)
        for layer in self.layer_modules()[reached + 1 :]:
            layer.requires_grad_(False)
        norm = self.last_norm()
        if norm is not None and reached < self.depth - 1:
            norm.requires_grad_(False)

    @property
    def out_channels(self) -> list[int]:
        """The width of each returned feature."""
        return [self.embed_dim] * len(self.out_indices)

    @property
    def feature_specs(self) -> list[FeatureSpec]:
        """The returned features."""
        spec = FeatureSpec(self.embed_dim, self.patch_size, "tokens", num_prefix_tokens=self.num_prefix_tokens)
        return [spec] * len(self.out_indices)

    def grid_of(self, image: Tensor) -> Grid:
        """Return rows and columns of tokens of an image (B, bands, H, W).

        Raises:
            UserError: it has other bands, or a size that is not a multiple of the patch.
        """
        rows, columns = image.shape[-2:]
        if image.shape[1] != self.in_chans:
            names = f" ({', '.join(self.bands)})" if self.bands else ""
            raise UserError(f"This backbone takes {self.in_chans} bands{names}; the image has {image.shape[1]}.")
        if rows % self.patch_size or columns % self.patch_size or not rows or not columns:
            raise UserError(
                f"{rows} x {columns} pixels are not multiples of the patch of {self.patch_size}; pad the image "
                "(PixelWiseModel does)."
            )
        return rows // self.patch_size, columns // self.patch_size

    def returned(self, index: int, tokens: Tensor) -> Tensor:
        """Return the output of a layer as it is handed on: the last one's passes the norm."""
        norm = self.last_norm()
        return norm(tokens) if norm is not None and index == self.depth - 1 else tokens


class BlockTokens(TokenLayers):
    """Layers that are blocks of timm, one after the other; tokens (B, 1 + rows * columns, width), class token first."""

    def __init__(
        self,
        blocks: nn.Sequential | nn.ModuleList,
        norm: nn.Module | None,
        patch_size: int,
        in_chans: int,
        img_size: tuple[int, int],
        bands: list[str] | None,
        width: int,
    ) -> None:
        """Take the blocks and the norm after them."""
        super().__init__(width, len(blocks), patch_size, in_chans, img_size, bands)
        self.blocks = blocks
        self.norm = norm

    def layer_modules(self) -> Sequence[nn.Module]:
        """Return the blocks."""
        return list(self.blocks)

    def last_norm(self) -> nn.Module | None:
        """Return the norm."""
        return self.norm

    def run_blocks(self, tokens: Tensor) -> list[Tensor]:
        """Return the selected layers for tokens before the first block."""
        layers = {}
        for index in range(max(self.out_indices) + 1):
            tokens = self.blocks[index](tokens)
            if index in self.out_indices:
                layers[index] = self.returned(index, tokens)
        return [layers[index] for index in self.out_indices]


def own_grid(img_size: tuple[int, int], patch_size: int) -> Grid:
    """Return the token grid of an image size: at least one cell."""
    return max(1, img_size[0] // patch_size), max(1, img_size[1] // patch_size)


def plane_encoding(width: int, grid: Grid, scale: float = 1.0, device: torch.device | None = None) -> Tensor:
    """Return (1, 1 + rows * columns, width): sines and cosines of each token's column, then of its row.

    The class token comes first and has zeros.

    scale: what one step to the next token counts, such as the ground sampling distance in metres.

    Source: Masked Autoencoders (arXiv 2111.06377); with a scale, Scale-MAE (arXiv 2212.14532).

    Raises:
        UserError: `width` is not a multiple of 4.
    """
    if width % 4:
        raise UserError(
            f"backbone.kwargs.embed_dim must be a multiple of 4, for the encoding of positions; got {width}."
        )
    rows, columns = torch.meshgrid(*(torch.arange(count, device=device) for count in grid), indexing="ij")
    parts = [sine_cosine(place.flatten() * scale, width // 2) for place in (columns, rows)]
    cells = torch.cat(parts, dim=1)
    return torch.cat([cells.new_zeros(1, width), cells]).unsqueeze(0)


def resampled(table: Tensor, own: Grid, grid: Grid) -> Tensor:
    """Return a position encoding (1, 1 + tokens, width) for another token grid, class token first."""
    if own == grid:
        return table
    return resample_abs_pos_embed(table, new_size=list(grid), old_size=list(own), num_prefix_tokens=1)


def with_class_token(cls_token: Tensor, positions: Tensor, patches: Tensor) -> Tensor:
    """Return (B, 1 + tokens, width): class token and patches, with positions (1 or B, 1 + tokens, width) added."""
    positions = positions.to(patches.dtype)
    first = (cls_token + positions[:, :1]).expand(patches.shape[0], -1, -1)
    return torch.cat([first.to(patches.dtype), patches + positions[:, 1:]], dim=1)
