"""Models: a backbone, necks, a decoder and a head, wired for a kind of output."""

from geocompose.models.output import ModelOutput
from geocompose.models.pixel_wise import PixelWiseModel

__all__ = ["ModelOutput", "PixelWiseModel"]
