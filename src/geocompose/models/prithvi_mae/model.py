"""The masked autoencoder as a model of the factory: encoder and decoder as parts, for images of any size."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geocompose.contracts.images import Image
from geocompose.errors import UserError
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.image_checks import check_image
from geocompose.models.output import ModelOutput
from geocompose.models.padding import crop_centre, pad_to_multiple
from geocompose.models.prithvi_mae.masking import image_of, predict_patches
from geocompose.necks.base import NeckSequence

if TYPE_CHECKING:  # they load timm
    from geocompose.backbones.prithvi.vit import PrithviViT
    from geocompose.models.prithvi_mae.decoder import MAEDecoder


@dataclass
class Reconstruction(ModelOutput):
    """The predicted image (B, bands, H, W), that of one band (B, H, W); and where it was hidden, (B, H, W) bool."""

    hidden: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))


torch.export.register_dataclass(Reconstruction)


class MaskedAutoencoderModel(EncoderDecoderModel):
    """Predicts all patches of an image of which it was shown some. Images are padded to whole patches, and cropped.

    mask_ratio: share of the patches that are hidden.
    """

    encoder: "PrithviViT"
    decoder: "MAEDecoder"

    def __init__(
        self, encoder: "PrithviViT", decoder: "MAEDecoder", *, pad_multiple: int, mask_ratio: float = 0.75
    ) -> None:
        """Take the parts: an encoder that returns its last layer, and a decoder for its tokens."""
        single = encoder.in_chans == 1
        super().__init__(
            encoder=encoder,
            neck=NeckSequence(),
            decoder=decoder,
            head=None,
            pad_multiple=pad_multiple,
            single_output=single,
        )
        self.mask_ratio = mask_ratio

    def forward(
        self,
        image: Image,
        temporal_coords: Tensor | None = None,
        location_coords: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Reconstruction:
        """Return the prediction for an image (B, bands, H, W), and which of its pixels it was not shown.

        noise: (B, patches of the padded image), by which patches are ordered: those with the smallest values are shown;
            random where None.

        Raises:
            UserError: the image has other bands, or several frames.
        """
        check_image(image, self._contract, self._places)
        if not isinstance(image, Tensor) or image.ndim != 4:
            raise UserError("A masked autoencoder takes images of one frame here: (B, bands, rows, columns).")
        size = image.shape[-2], image.shape[-1]
        frames = pad_to_multiple(image, self.pad_multiple).unsqueeze(2)
        features, predicted, removed = predict_patches(
            self.encoder, self.decoder, frames, self.mask_ratio, noise, temporal_coords, location_coords
        )
        self.neck(features, (frames.shape[-2], frames.shape[-1]))  # empty; a model's parts are all called
        whole = self._as_image(predicted, frames)[:, :, 0]
        patch_values = predicted.shape[-1] // self.encoder.in_chans
        mask = image_of(
            removed.unsqueeze(-1).expand(-1, -1, patch_values), self.encoder.grid_of(frames), self.encoder.patch_size, 1
        )[:, 0, 0]
        output = self._only(crop_centre(self.head(whole), size))
        return Reconstruction(output, {}, crop_centre(mask, size) > 0)

    def num_patches(self, size: tuple[int, int]) -> int:
        """Return how many patches an image of these rows and columns has, padding included."""
        rows, columns = (-(-pixels // self.pad_multiple) * self.pad_multiple for pixels in size)
        return (rows // self.encoder.patch_size[1]) * (columns // self.encoder.patch_size[2])

    def _as_image(self, patches: Tensor, frames: Tensor) -> Tensor:
        return image_of(patches, self.encoder.grid_of(frames), self.encoder.patch_size, self.encoder.in_chans)
