"""What a sample is drawn as, and features that are kept of it in place of its image."""

from typing import NamedTuple, Protocol

from torch import Tensor

from geocompose.data.augmentation import View
from geocompose.data.window import Region

FEATURES = "features"  # the key of a sample, and of a batch, that holds them, in place of `image`


class Drawn(NamedTuple):
    """A sample as it is drawn: a window of a scene, in one of the eight views."""

    region: Region
    view: View


class KeptFeatures(Protocol):
    """What a frozen backbone returns for samples, kept from before."""

    def of(self, drawn: Drawn) -> list[Tensor]:
        """Return the features of a sample, one tensor per layer, without a dimension of the batch."""
