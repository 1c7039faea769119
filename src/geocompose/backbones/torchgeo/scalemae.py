"""Scale-MAE as a backbone: a vision transformer whose position encodings are in metres on the ground."""

from typing import Any

from torch import Tensor

from geocompose.backbones.torchgeo.tokens import BlockTokens, plane_encoding, with_class_token
from geocompose.contracts.shapes import map_to_tokens


class ScaleMae(BlockTokens):
    """Scale-MAE; its position encodings are computed for the image's grid and the ground sampling distance.

    Source: Scale-MAE (arXiv 2212.14532).
    """

    def __init__(
        self,
        model: Any,
        patch_size: int,
        in_chans: int,
        img_size: tuple[int, int],
        bands: list[str] | None,
        gsd_m: float,
    ) -> None:
        """Take torchgeo's Scale-MAE; `gsd_m`: metres per pixel."""
        super().__init__(model.blocks, None, patch_size, in_chans, img_size, bands, model.embed_dim)
        self.gsd_m = gsd_m
        self.patch_embed, self.cls_token = model.patch_embed, model.cls_token

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the selected layers' tokens for an image (B, bands, H, W); H and W multiples of the patch."""
        grid = self.grid_of(image)
        patches = map_to_tokens(self.patch_embed.proj(image))
        positions = plane_encoding(self.embed_dim, grid, self.gsd_m, image.device)
        return self.run_blocks(with_class_token(self.cls_token, positions, patches))
