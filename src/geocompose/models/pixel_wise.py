"""The model of tasks with an output for each pixel."""

from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.errors import UserError
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.padding import PaddingMode, crop_centre
from geocompose.necks.base import NeckSequence


class PixelWiseModel(EncoderDecoderModel):
    """Brings the decoder's output back to the image: logits (B, classes, H, W), or values (B, outputs, H, W)."""

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
        rescale: bool = True,
        image_size_out: tuple[int, int] | None = None,
    ) -> None:
        """Take the parts; see `EncoderDecoderModel` for those that are not named here.

        single_output: the output is (B, H, W). rescale: resize the output bilinearly to the padded image and crop it;
        if false, it stays as it is. image_size_out: rows and columns to keep of the image's centre; all where None.
        """
        super().__init__(
            encoder=encoder,
            neck=neck,
            decoder=decoder,
            head=head,
            pad_multiple=pad_multiple,
            padding=padding,
            aux_heads=aux_heads,
            aux_passes_over=aux_passes_over,
            single_output=single_output,
        )
        self.rescale = rescale
        self.image_size_out = image_size_out

    def _finish(self, output: Tensor, padded_size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
        if output.ndim != 4:
            raise UserError(
                "A task with an output for each pixel needs a map (batch, outputs, rows, columns) from its head; it "
                f"gets {tuple(output.shape)}. Use head=segmentation or head=regression, the task's own, or another "
                "task."
            )
        if self.rescale:
            if output.shape[-2:] != padded_size:
                output = F.interpolate(output, size=padded_size, mode="bilinear", align_corners=False)
            # The centre of the image, not that of the padded one.
            output = crop_centre(crop_centre(output, image_size), self._kept(image_size))
        return self._only(output)

    def _kept(self, image_size: tuple[int, int]) -> tuple[int, int]:
        if self.image_size_out is None:
            return image_size
        if self.image_size_out[0] > image_size[0] or self.image_size_out[1] > image_size[1]:
            raise UserError(
                f"image_size_out={list(self.image_size_out)} keeps the centre of the output, so it can't be larger "
                f"than the image, which has {image_size[0]} x {image_size[1]} pixels. Leave it null, or make it "
                "smaller."
            )
        return self.image_size_out
