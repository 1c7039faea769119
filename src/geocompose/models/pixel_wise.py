"""The model of tasks with an output for each pixel."""

from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.models.output import ModelOutput
from geocompose.models.padding import crop_centre, pad_to_multiple
from geocompose.necks.base import NeckSequence


class PixelWiseModel(nn.Module):
    """Wires ready parts: pads the image, runs encoder, necks, decoder and head, and brings the output back to the image."""

    def __init__(
        self,
        *,
        encoder: nn.Module,
        neck: NeckSequence,
        decoder: nn.Module,
        head: nn.Module | None,
        pad_multiple: int,
        rescale: bool = True,
    ) -> None:
        """Take the parts.

        head: None for a decoder that includes it. pad_multiple: height and width are padded to a multiple of it.
        rescale: resize the output bilinearly to the padded image and crop it; if false, the output stays as it is.
        """
        super().__init__()
        self.encoder = encoder
        self.neck = neck
        self.decoder = decoder
        self.head = head if head is not None else nn.Identity()
        self.pad_multiple = pad_multiple
        self.rescale = rescale
        self._frozen: list[str] = []

    def forward(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> ModelOutput:
        """Return logits (B, classes, H, W) for an image (B, C, H, W) or (B, C, T, H, W) of any size.

        Coordinates go to the encoder as they are, where they are given.
        """
        given = {"temporal_coords": temporal_coords, "location_coords": location_coords}
        coordinates = {name: value for name, value in given.items() if value is not None}
        padded = pad_to_multiple(image, self.pad_multiple)
        image_size = (padded.shape[-2], padded.shape[-1])
        features = self.neck(self.encoder(padded, **coordinates), image_size)
        logits = self.head(self.decoder(features))
        if self.rescale:
            if logits.shape[-2:] != image_size:
                logits = F.interpolate(logits, size=image_size, mode="bilinear", align_corners=False)
            logits = crop_centre(logits, (image.shape[-2], image.shape[-1]))
        return ModelOutput(output=logits)

    def _freeze(self, part: str) -> None:
        getattr(self, part).requires_grad_(False)
        if part not in self._frozen:
            self._frozen.append(part)
        self.train(self.training)

    def freeze_encoder(self) -> None:
        """Stop the encoder from learning, batch-norm statistics included."""
        self._freeze("encoder")

    def freeze_decoder(self) -> None:
        """Stop the decoder from learning, batch-norm statistics included."""
        self._freeze("decoder")

    def freeze_head(self) -> None:
        """Stop the head from learning."""
        self._freeze("head")

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what learns; frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            getattr(self, part).eval()
        return self
