"""What all models of backbone, necks, decoder and head have in common."""

from typing import Self

from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.models.freezing import freeze, keep_still
from geocompose.models.output import ModelOutput
from geocompose.models.padding import PaddingMode, pad_to_multiple
from geocompose.necks.base import NeckSequence


class EncoderDecoderModel(nn.Module):
    """Wires ready parts: pads the image, runs encoder and necks, and gives every decoder with its head the same features."""

    def __init__(
        self,
        *,
        encoder: nn.Module,
        neck: NeckSequence,
        decoder: nn.Module,
        head: nn.Module | None,
        pad_multiple: int,
        padding: PaddingMode | None = "reflect",
        aux_heads: dict[str, tuple[nn.Module, nn.Module | None]] | None = None,
        single_output: bool = False,
    ) -> None:
        """Take the parts.

        head: None for a decoder that includes it. pad_multiple: height and width are padded to a multiple of it.
        padding: how (see `pad_to_multiple`); None leaves images as they are. aux_heads: decoder and head of each
        auxiliary output by its name. single_output: outputs have one channel, which is left out of their shape.
        """
        super().__init__()
        self.encoder = encoder
        self.neck = neck
        self.decoder = decoder
        self.head = head if head is not None else nn.Identity()
        self.aux_heads = nn.ModuleDict(
            {
                name: nn.Sequential(aux_decoder, aux_head if aux_head is not None else nn.Identity())
                for name, (aux_decoder, aux_head) in (aux_heads or {}).items()
            }
        )
        self.pad_multiple = pad_multiple
        self.padding = padding
        self.single_output = single_output
        self._frozen: list[str] = []

    def forward(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> ModelOutput:
        """Return the outputs for an image (B, C, H, W) or (B, C, T, H, W) of any size.

        Coordinates go to the encoder as they are, where they are given.
        """
        given = {"temporal_coords": temporal_coords, "location_coords": location_coords}
        coordinates = {name: value for name, value in given.items() if value is not None}
        padded = image if self.padding is None else pad_to_multiple(image, self.pad_multiple, self.padding)
        image_size, padded_size = (image.shape[-2], image.shape[-1]), (padded.shape[-2], padded.shape[-1])
        features = self.neck(self.encoder(padded, **coordinates), padded_size)
        auxiliary = {
            name: self._finish(head(features), padded_size, image_size) for name, head in self.aux_heads.items()
        }
        output = self._finish(self.head(self.decoder(features)), padded_size, image_size)
        return ModelOutput(output, auxiliary)

    def _finish(self, output: Tensor, padded_size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
        """Return a head's output as the model's, given the sizes of the padded image and of the image itself."""
        raise NotImplementedError

    def _only(self, output: Tensor) -> Tensor:
        """Return an output without its dimension of channels, where the model has a single one.

        Raises:
            UserError: it has several, of which all but one would be lost.
        """
        if not self.single_output:
            return output
        if output.shape[1] != 1:
            raise UserError(
                f"The model has one output, and its head gives {output.shape[1]}: give the head that number, or change num_outputs."
            )
        return output[:, 0]

    def _freeze(self, part: str) -> None:
        freeze(getattr(self, part))
        if part not in self._frozen:
            self._frozen.append(part)
        self.train(self.training)

    def freeze_encoder(self) -> None:
        """Stop the encoder from learning, batch-norm statistics included; adapters and prompts in it go on."""
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
            keep_still(getattr(self, part))
        return self
