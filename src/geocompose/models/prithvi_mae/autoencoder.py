"""Prithvi's masked autoencoder: learns without labels, by predicting the patches of an image that it was not shown.

Source: arXiv 2111.06377 (the method), Prithvi-EO-1.0 (arXiv 2310.18660) and Prithvi-EO-2.0 (arXiv 2412.02732).
"""

from torch import Tensor, nn

from geocompose.backbones.prithvi.encodings import Grid
from geocompose.backbones.prithvi.vit import PrithviViT
from geocompose.errors import UserError
from geocompose.models.prithvi_mae.decoder import MAEDecoder
from geocompose.models.prithvi_mae.masking import image_of, patches_of, predict_patches


class PrithviMAE(nn.Module):
    """An encoder over the patches that are kept, and a decoder that predicts all of them."""

    def __init__(
        self, encoder: PrithviViT, decoder: MAEDecoder, *, mask_ratio: float = 0.75, norm_pix_loss: bool = False
    ) -> None:
        """Take the parts.

        mask_ratio: share of the patches that are removed, from 0 to 1. norm_pix_loss: whether the loss compares with
            each patch normalised by its own mean and deviation; predictions are then of that kind too.

        Raises:
            UserError: `mask_ratio` is not a share.
        """
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.mask_ratio = share(mask_ratio)
        self.norm_pix_loss = norm_pix_loss
        self.weights: dict[str, str] | None = None
        self.pretraining, self.published = encoder.pretraining, encoder.published

    def forward(
        self,
        image: Tensor,
        temporal_coords: Tensor | None = None,
        location_coords: Tensor | None = None,
        mask_ratio: float | None = None,
        noise: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return the loss as {"loss": scalar}, the prediction in the image's shape, and the mask without bands.

        The loss is the mean squared error over the removed patches, 0 where none was removed. In the mask, (B, H, W) or
        (B, T, H, W), 1 marks removed pixels.

        image: (B, bands, H, W), or (B, bands, T, H, W) for several frames; H and W multiples of the patch.
        temporal_coords, location_coords: as the encoder takes them.
        mask_ratio: share of the patches to remove, from 0 to 1; the model's own where null.
        noise: (B, patches), by which patches are ordered: those with the smallest values are kept; random where null.

        Raises:
            UserError: sizes don't fit, the ratio is not a share, or coordinates are given that are not encoded.
        """
        ratio = self.mask_ratio if mask_ratio is None else share(mask_ratio)
        frames = image if image.ndim == 5 else image.unsqueeze(2)
        _, predicted, removed = predict_patches(
            self.encoder, self.decoder, frames, ratio, noise, temporal_coords, location_coords
        )
        loss = self._loss(patches_of(frames, self.encoder.patch_size), predicted, removed)
        grid = self.encoder.grid_of(frames)
        prediction = self._image_of(predicted, grid)
        mask = self._image_of(removed.unsqueeze(-1).expand_as(predicted), grid)[:, 0]
        if image.ndim == 4:
            prediction, mask = prediction.squeeze(2), mask.squeeze(1)
        return {"loss": loss}, prediction, mask

    def forward_features(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> list[Tensor]:
        """Return all layers' tokens of the encoder, of which no patch is removed."""
        return self.encoder.forward_features(image, temporal_coords, location_coords)

    def _loss(self, target: Tensor, predicted: Tensor, removed: Tensor) -> Tensor:
        target, predicted = target.float(), predicted.float()
        if self.norm_pix_loss:
            mean, variance = target.mean(dim=-1, keepdim=True), target.var(dim=-1, keepdim=True)
            target = (target - mean) / (variance + 1e-6).sqrt()
        by_patch = (predicted - target).square().mean(dim=-1)
        return (by_patch * removed).sum() / removed.sum().clamp(min=1)

    def _image_of(self, patches: Tensor, grid: Grid) -> Tensor:
        return image_of(patches, grid, self.encoder.patch_size, self.encoder.in_chans)


def share(mask_ratio: float) -> float:
    """Return a share of patches to remove.

    Raises:
        UserError: it is not one.
    """
    if not 0 <= mask_ratio <= 1:
        raise UserError(f"mask_ratio must be the share of patches to remove, from 0 to 1; got {mask_ratio}.")
    return mask_ratio
