"""What all models of backbone, necks, decoder and head have in common."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from geocompose.contracts.backbone import contract_of
from geocompose.contracts.images import Image, split
from geocompose.errors import UserError, first_line
from geocompose.models.freezing import freeze, keep_still, thaw_of
from geocompose.models.image_checks import check_image
from geocompose.models.output import ModelOutput
from geocompose.models.padding import PaddingMode, pad_to_multiple
from geocompose.necks.base import NeckSequence


class EncoderDecoderModel(nn.Module):
    """Wires ready parts: pads the image, runs encoder and necks, and gives every decoder the same features."""

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
        aux_passes_over: dict[str, int] | None = None,
        single_output: bool = False,
    ) -> None:
        """Take the parts.

        head: None for a decoder that includes it. pad_multiple: height and width are padded to a multiple of it.
        padding: how (see `pad_to_multiple`); None leaves images as they are. aux_heads: decoder and head of each
        auxiliary output by its name. aux_passes_over: how many of the first features are not for it. single_output:
        outputs have one channel, which is left out of their shape.
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
        self._aux_passes_over = dict(aux_passes_over or {})
        self.pad_multiple = pad_multiple
        self.padding = padding
        self.single_output = single_output
        self._frozen: list[str] = []
        self._contract = contract_of(encoder)
        self._places = self._contract.places

    def forward(
        self, image: Image, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> ModelOutput:
        """Return the outputs for an image (B, C, H, W) or (B, C, T, H, W) of any size.

        A backbone of several modalities is given each by its name: out of one image with all bands, or out of a mapping
        of such images. Coordinates go to the encoder as they are, where they are given.

        Raises:
            UserError: the image has other bands, modalities or dimensions than the encoder takes, or a size that it
                can't take as it is, with padding None.
        """
        taken, image_size, padded_size = self._taken(image)
        features = self._features(taken, padded_size, _given(temporal_coords, location_coords))
        return self._answered(features, padded_size, image_size)

    def encoded(
        self, image: Image, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> list[Tensor]:
        """Return the encoder's features of an image, before the necks: what `from_features` goes on with.

        Raises:
            UserError: see `forward`; or the encoder returns something else than tensors.
        """
        taken, _, _ = self._taken(image)
        features = self.encoder(taken, **_given(temporal_coords, location_coords))
        if not isinstance(features, list | tuple) or not all(isinstance(one, Tensor) for one in features):
            raise UserError(f"The backbone {self._contract.name} returns something else than a list of tensors.")
        return list(features)

    def from_features(self, features: list[Tensor], image_size: tuple[int, int]) -> ModelOutput:
        """Return the outputs for images of this size, given what `encoded` has returned for them."""
        multiple = 1 if self.padding is None else self.pad_multiple
        rows, columns = (side + -side % multiple for side in image_size)
        return self._answered(self.neck(features, (rows, columns)), (rows, columns), image_size)

    def _taken(self, image: Image) -> tuple[Image, tuple[int, int], tuple[int, int]]:
        """Return an image as the encoder takes it, its size, and its size once it is padded."""
        check_image(image, self._contract, self._places)
        if isinstance(image, Tensor):
            padded = self._pad(image)
            return padded if self._places is None else split(padded, self._places), _size(image), _size(padded)
        taken = {name: self._pad(one) for name, one in image.items()}
        return taken, _size(next(iter(image.values()))), _size(next(iter(taken.values())))

    def _answered(
        self, features: list[Tensor], padded_size: tuple[int, int], image_size: tuple[int, int]
    ) -> ModelOutput:
        """Return the outputs, given the features after the necks."""
        auxiliary = {
            name: self._finish(head(features[self._aux_passes_over.get(name, 0) :]), padded_size, image_size)
            for name, head in self.aux_heads.items()
        }
        output = self._finish(self.head(self.decoder(features)), padded_size, image_size)
        return ModelOutput(output, auxiliary)

    def _pad(self, image: Tensor) -> Tensor:
        return image if self.padding is None else pad_to_multiple(image, self.pad_multiple, self.padding)

    def _features(self, image: Image, size: tuple[int, int], coordinates: dict[str, Tensor]) -> list[Tensor]:
        """Return the features after the necks, for an image of this size."""
        if self.padding is not None or not (size[0] % self.pad_multiple or size[1] % self.pad_multiple):
            return self.neck(self.encoder(image, **coordinates), size)
        try:
            return self.neck(self.encoder(image, **coordinates), size)
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:  # whatever a backbone of patches says to a rest
            said = first_line(error)
            raise UserError(
                f"Without padding this model can't take images of {size[0]} x {size[1]} pixels: rows and columns that "
                f"are multiples of {self.pad_multiple} always fit. Give such images, or leave backbone_padding at "
                f"'reflect'. It stopped with: {said}."
            ) from error

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
                f"The model has one output, and its head gives {output.shape[1]}: give the head that number, or change "
                "num_outputs."
            )
        return output[:, 0]

    def _freeze(self, part: str) -> None:
        freeze(getattr(self, part))
        if part not in self._frozen:
            self._frozen.append(part)
        self.train(self.training)

    def freeze_encoder(self) -> None:
        """Stop the encoder from learning, batch-norm statistics included.

        Adapters, prompts and `learning_inputs` go on.
        """
        self._freeze("encoder")

    def thaw_encoder(self) -> None:
        """Let an encoder that was frozen for a time (`Thaw`) learn, batch-norm statistics included."""
        thaw = thaw_of(self.encoder)
        assert thaw is not None, "only a backbone that says what learns later can be thawed"
        if "encoder" in self._frozen:
            self._frozen.remove("encoder")
        for name in thaw.parameters:
            self.encoder.get_parameter(name).requires_grad_(True)
        self.train(self.training)

    @property
    def frozen_parts(self) -> tuple[str, ...]:
        """The parts that were stopped from learning, such as `encoder`."""
        return tuple(self._frozen)

    @property
    def learning_inputs(self) -> list[str]:
        """Parameters of a frozen encoder that learn, because bands start randomly in them (`random_inputs`)."""
        return list(self._contract.random_inputs) if "encoder" in self._frozen else []

    def freeze_decoder(self) -> None:
        """Stop the decoder from learning, batch-norm statistics included."""
        self._freeze("decoder")

    def freeze_head(self) -> None:
        """Stop the head from learning."""
        self._freeze("head")

    def to(self, *args: Any, memory_format: torch.memory_format | None = None, **kwargs: Any) -> Self:
        """Move or convert the model as `nn.Module.to` does; `torch.channels_last` reaches the kernels of frames too."""
        if args or kwargs:
            super().to(*args, **kwargs)
        if memory_format is not None:
            # Torch would give its format of maps to the kernels of three dimensions too, which refuse it.
            formats = {4: memory_format, 5: memory_format}
            if memory_format == torch.channels_last:
                formats[5] = torch.channels_last_3d
            for tensor in (*self.parameters(), *self.buffers()):
                if tensor.ndim in formats:
                    tensor.data = tensor.data.contiguous(memory_format=formats[tensor.ndim])
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what learns; frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            keep_still(getattr(self, part))
        return self


def _given(temporal_coords: Tensor | None, location_coords: Tensor | None) -> dict[str, Tensor]:
    given = {"temporal_coords": temporal_coords, "location_coords": location_coords}
    return {name: value for name, value in given.items() if value is not None}


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]
