"""The backbone that does nothing: the image itself is the only feature."""

from torch import Tensor, nn

from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError, at_least
from geocompose.imagery.numbered_bands import channel_names
from geocompose.registry import BACKBONE_REGISTRY


@BACKBONE_REGISTRY.register
class IdentityBackbone(nn.Module):
    """Hands the image (B, C, H, W) on as a list of one map of stride 1, for decoders of pixels or embeddings."""

    def __init__(
        self, bands: list[str] | None = None, in_chans: int | None = None, out_channels: list[int] | None = None
    ) -> None:
        """Say how many channels the image has, in one of three ways; where several are given, they must agree.

        bands: names of the channels. in_chans: their number. out_channels: their number as the list of one width.

        Raises:
            UserError: nothing says how many channels there are, or two say different things.
        """
        super().__init__()
        counts = {
            "bands": None if bands is None else len(channel_names("backbone.bands", bands)),
            "in_chans": in_chans,
            "out_channels": None if out_channels is None else _only(out_channels),
        }
        given = {name: count for name, count in counts.items() if count is not None}
        if len(set(given.values())) != 1:
            said = ", ".join(f"{name} say {count}" for name, count in given.items()) or "nothing says it"
            raise UserError(
                f"IdentityBackbone hands the image on, whose channels have one number, but {said}. Give "
                "backbone.bands, or backbone.in_chans."
            )
        self.in_chans = next(iter(given.values()))
        at_least("backbone.in_chans", self.in_chans, 1)
        self.bands = None if bands is None else channel_names("backbone.bands", bands)
        self.out_channels = [self.in_chans]
        self.feature_specs = [FeatureSpec(self.in_chans, 1)]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the image as the only feature.

        Raises:
            UserError: it is not an image (B, C, H, W) of the declared channels.
        """
        if image.ndim != 4 or image.shape[1] != self.in_chans:
            raise UserError(
                f"This backbone takes images (B, {self.in_chans}, rows, columns); got {tuple(image.shape)}."
            )
        return [image]


def _only(out_channels: list[int]) -> int:
    if len(out_channels) != 1:
        raise UserError(
            "IdentityBackbone returns one feature, so backbone.out_channels must be a list of one number; got "
            f"{out_channels}."
        )
    return out_channels[0]
