"""The model of tasks with one output for the whole image."""

from torch import Tensor

from geocompose.models.encoder_decoder import EncoderDecoderModel


class ScalarOutputModel(EncoderDecoderModel):
    """Returns logits (B, classes), or values (B, outputs); (B,) with `single_output`.

    The map of a decoder that includes its head is averaged.
    """

    def _finish(self, output: Tensor, padded_size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
        if output.ndim == 4:
            output = output.mean(dim=(2, 3))
        return self._only(output)
