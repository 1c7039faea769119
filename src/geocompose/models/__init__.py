"""Models: a backbone, necks, a decoder and a head, wired for a kind of output; and full models that stand alone."""

from geocompose.models.auxiliary import AuxiliaryHead
from geocompose.models.output import ModelOutput
from geocompose.models.pixel_wise import PixelWiseModel
from geocompose.models.scalar_output import ScalarOutputModel

__all__ = ["AuxiliaryHead", "ModelOutput", "PixelWiseModel", "ScalarOutputModel"]
